// Iterating over the nodes at the top of the graph: roots of BlockBackends first, then those that the monitor holds.
//
// The body of such a loop may poll, and anything may go meanwhile: the iterator holds a reference to the node that it is at, and
// to the BlockBackend that led there. Who leaves a loop early gives them back with bdrvNextCleanup.

import { assert } from "../base/index.ts";
import { parentsOf } from "../graph/access.ts";
import { nextMonitorOwned } from "../graph/all-states.ts";
import { bdrvRef, bdrvUnref } from "../graph/node-life.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, type Polls } from "../sched/index.ts";
import { BlockBackend, blkAll } from "./block-backend.ts";
import { blkRef, blkUnref } from "./life.ts";
import { blkBs } from "./root.ts";
import { childRoot } from "./root-edge.ts";

const SITE_FIRST_BLK = site("bdrv_first_blk");
const SITE_HAS_BLK = site("bdrv_has_blk");
const SITE_FIRST = site("bdrv_first");
const SITE_NEXT = site("bdrv_next");
const SITE_CLEANUP = site("bdrv_next_cleanup");

/** C: BdrvNextIterator. */
export class BdrvNextIterator {
  phase: "backend roots" | "monitor owned" = "backend roots";
  blk: BlockBackend | null = null;
  bs: BlockDriverState | null = null;
}

/** bdrv_first_blk (block-backend.c:763): the BlockBackend of the newest root edge above `bs`, or null. */
export function bdrvFirstBlk(bs: BlockDriverState): BlockBackend | null {
  globalStateCode(SITE_FIRST_BLK);
  const parents = parentsOf(bs, SITE_FIRST_BLK);
  for (let edge = parents.first; edge !== null; edge = parents.next(edge)) {
    const { klass, opaque } = edge;
    if (klass !== childRoot) continue;
    assert(opaque instanceof BlockBackend, "the parent of a root edge is a BlockBackend");
    return opaque;
  }
  return null;
}

/** bdrv_has_blk (block-backend.c:781). */
export function bdrvHasBlk(bs: BlockDriverState): boolean {
  globalStateCode(SITE_HAS_BLK);
  return bdrvFirstBlk(bs) !== null;
}

/** bdrv_first (block-backend.c:646): the first node; null when there is none. Polls. */
export function* bdrvFirst(it: BdrvNextIterator): Polls<BlockDriverState | null> {
  globalStateCode(SITE_FIRST);
  reset(it);
  return yield* bdrvNext(it);
}

/** bdrv_next (block-backend.c:589): the next node; null behind the last. One below several BlockBackends comes once. Polls. */
export function* bdrvNext(it: BdrvNextIterator): Polls<BlockDriverState | null> {
  globalStateCode(SITE_NEXT);
  const { bs: oldBs, blk: oldBlk } = it;
  if (it.phase === "backend roots") {
    it.blk = nextRoot(oldBlk);
    it.bs = it.blk === null ? null : blkBs(it.blk, SITE_NEXT);
    if (it.blk === null) it.phase = "monitor owned";
    else blkRef(it.blk);
  }
  if (it.phase === "monitor owned") {
    const at = oldBlk === null ? oldBs : null;
    it.bs = nextMonitorOwned(at);
    while (it.bs !== null && bdrvHasBlk(it.bs)) it.bs = nextMonitorOwned(it.bs);
  }
  if (it.bs !== null) bdrvRef(it.bs);
  if (oldBlk !== null) yield* blkUnref(oldBlk);
  if (oldBs !== null) yield* bdrvUnref(oldBs);
  return it.bs;
}

/** bdrv_next_cleanup (block-backend.c:654): leave the loop before its end. Polls. */
export function* bdrvNextCleanup(it: BdrvNextIterator): Polls<void> {
  globalStateCode(SITE_CLEANUP);
  const { bs, blk } = it;
  reset(it);
  if (bs !== null) yield* bdrvUnref(bs);
  if (blk !== null) yield* blkUnref(blk);
  assert(it.blk === null, "nothing is held any more");
}

function reset(it: BdrvNextIterator): void {
  it.phase = "backend roots";
  it.blk = null;
  it.bs = null;
}

/** The BlockBackend behind `blk` that is the first one above its node. */
function nextRoot(blk: BlockBackend | null): BlockBackend | null {
  const all = blkAll();
  for (let at = blk === null ? 0 : all.indexOf(blk) + 1; at < all.length; at++) {
    const next = all[at] ?? null;
    const bs = next === null ? null : blkBs(next, SITE_NEXT);
    if (bs !== null && bdrvFirstBlk(bs) === next) return next;
  }
  return null;
}
