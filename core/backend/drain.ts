// Draining a BlockBackend: its node, and those requests of its own that never reach a node. An instant, not a section.

import { assert, type SectionId, type SiteId } from "../base/index.ts";
import { bdrvRef, bdrvUnref } from "../graph/node-life.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { type DrainOptions, drainedBegin, drainedEnd } from "../io/drain.ts";
import { bdrvDrainAllBegin, bdrvDrainAllEnd } from "../io/drain-all.ts";
import { Drain, site } from "../probe/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  aioWaitWhile,
  globalStateCode,
  type Polls,
} from "../sched/index.ts";
import { type BlockBackend, blkAll } from "./block-backend.ts";
import { blkGetAioContext } from "./context.ts";
import { readBlkInFlight } from "./in-flight.ts";
import { blkBs } from "./root.ts";

const SITE_DRAIN = site("blk_drain");
const SITE_DRAIN_ALL = site("blk_drain_all");

const BLK: DrainOptions = { kind: Drain.blk, unlocked: false };

/** blk_drain (block-backend.c:1777): come back when no request of `blk` is in flight. `siteId` is the caller. Polls. */
export function* blkDrain(blk: BlockBackend, siteId: SiteId): Polls<void> {
  globalStateCode(SITE_DRAIN);
  assert(blk.inFlight >= 0, "an in-flight counter is not negative");
  const bs = blkBs(blk, SITE_DRAIN);
  const section = bs === null ? 0 : yield* beginAtNode(bs, siteId);
  // A request that fails with -ENOMEDIUM is not in flight at any node.
  const ctx = blkGetAioContext(blk);
  yield* aioWaitWhile(ctx, () => readBlkInFlight(blk, section) > 0, SITE_DRAIN);
  if (bs === null) return;
  yield* drainedEnd(bs, BLK, siteId);
  yield* bdrvUnref(bs);
}

function* beginAtNode(bs: BlockDriverState, siteId: SiteId): Polls<SectionId> {
  bdrvRef(bs);
  return yield* drainedBegin(bs, BLK, siteId);
}

/** blk_drain_all (block-backend.c:1797): come back when no request of any BlockBackend is in flight. Polls. */
export function* blkDrainAll(siteId: SiteId): Polls<void> {
  globalStateCode(SITE_DRAIN_ALL);
  assert(siteId > 0, "a drain is named by a site");
  yield* bdrvDrainAllBegin(siteId);
  for (const blk of blkAll()) {
    const ctx = blkGetAioContext(blk);
    yield* aioContextAcquire(ctx);
    yield* aioWaitWhile(ctx, () => readBlkInFlight(blk, 0) > 0, SITE_DRAIN_ALL);
    aioContextRelease(ctx);
  }
  yield* bdrvDrainAllEnd(siteId);
}
