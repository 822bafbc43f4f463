// Older contents of a node: a driver below keeps them, and whoever wants them asks for them and not for what is there now.

import { assert, ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { edgeHome } from "../graph/access.ts";
import type { BlockStatus } from "../graph/driver-results.ts";
import type { BdrvChild, BlockDriverState, Qiov } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { type Co, ioCode } from "../sched/index.ts";
import { bdrvDecInFlight, bdrvIncInFlight } from "./in-flight.ts";
import { nodeBehind } from "./inserted.ts";

const SITE_READ = site("bdrv_co_preadv_snapshot");
const SITE_STATUS = site("bdrv_co_snapshot_block_status");
const SITE_DISCARD = site("bdrv_co_pdiscard_snapshot");

/** bdrv_co_preadv_snapshot (io.c:3615): read what the node behind `child` once held. 0 or a negated errno. */
export function* bdrvCoPreadvSnapshot(
  child: BdrvChild,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(edgeHome(child), SITE_READ);
  assert(bytes >= 0, "byte counts are not negative");
  const bs = nodeBehind(child, SITE_READ);
  if (bs.closed) return -ENOMEDIUM;
  const { coPreadvSnapshot } = bs.drv;
  if (coPreadvSnapshot === undefined) return -ENOTSUP;
  bdrvIncInFlight(bs);
  const ret = yield* coPreadvSnapshot(bs, offset, bytes, qiov);
  bdrvDecInFlight(bs);
  return ret;
}

/** bdrv_co_snapshot_block_status (io.c:3639): where the start of a range of it is. */
export function* bdrvCoSnapshotBlockStatus(
  bs: BlockDriverState,
  wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  ioCode(bs.aioContext, SITE_STATUS);
  assert(bytes > 0, "a question is about a range");
  const { coSnapshotBlockStatus } = bs.drv;
  if (bs.closed || coSnapshotBlockStatus === undefined) {
    const ret = bs.closed ? -ENOMEDIUM : -ENOTSUP;
    return { ret, pnum: 0, map: 0, file: null };
  }
  bdrvIncInFlight(bs);
  const status = yield* coSnapshotBlockStatus(bs, wantZero, offset, bytes);
  bdrvDecInFlight(bs);
  return status;
}

/** bdrv_co_pdiscard_snapshot (io.c:3665): a range of it is not needed any more. 0 or a negated errno. */
export function* bdrvCoPdiscardSnapshot(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_DISCARD);
  assert(bytes >= 0, "byte counts are not negative");
  if (bs.closed) return -ENOMEDIUM;
  const { coPdiscardSnapshot } = bs.drv;
  if (coPdiscardSnapshot === undefined) return -ENOTSUP;
  bdrvIncInFlight(bs);
  const ret = yield* coPdiscardSnapshot(bs, offset, bytes);
  bdrvDecInFlight(bs);
  return ret;
}
