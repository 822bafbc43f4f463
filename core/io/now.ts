// Requests that are done before anybody else can look.
//
//     blkCoPreadv ── done now? ── yes ──> 0                            one operation of the host, as in the long way
//                        │ no
//                        └──> gate, counters, tracked requests, locks   which wait, and tell who watches
//
// A request that no lock, drain or other request holds up, and that the page cache answers, runs from its start to its end in one go.
// Nobody can meet its counters, its place among the tracked requests or its locks, which are as they were when it ends; only events
// tell of them. So in a run that nobody watches (`machine.isUnwatched`: nothing is recorded, or inputs alone) it leaves them out, and is
// the operation of the host that it comes down to. Each layer looks at what could hold the request up there, and hands it on;
// whoever is in doubt answers null, and the request goes the long way, as if nothing had been.
//
// Invariant: the long way has the same inputs, the same number of tasks and operations, and leaves the same state. A replay goes it,
// and compares: daemon/host/now.test.ts.

import { assert } from "../base/index.ts";
import { edgeHome } from "../graph/access.ts";
import { BLK_PERM_WRITE } from "../graph/permission-bits.ts";
import type { BdrvChild, BlockDriverState, Qiov } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioCode, machine } from "../sched/index.ts";
import { bdrvGetlength } from "./length.ts";
import { maxTransferOf } from "./limits.ts";

const SITE_READ = site("bdrv_now_preadv");
const SITE_WRITE = site("bdrv_now_pwritev");
const SITE_DATA = site("bdrv_now_is_data");

/** bdrv_co_preadv, now: 0 or a negated errno; null, and nothing has happened. */
export function bdrvNowPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): number | null {
  ioCode(bs.aioContext, SITE_READ);
  assert(bytes > 0, "a request moves something");
  assert(qiov.start + bytes <= qiov.buffer.length, "what is read has room");
  const { nowPreadv } = bs.drv;
  if (nowPreadv === undefined || bs.copyOnRead > 0 || !isClear(bs, offset, bytes)) return null;
  return nowPreadv(bs, offset, bytes, qiov);
}

/** bdrv_co_pwritev, now, within the node as it is: 0 or a negated errno; null, and nothing has happened. */
export function bdrvNowPwritev(
  child: BdrvChild,
  offset: number,
  bytes: number,
  qiov: Qiov,
): number | null {
  ioCode(edgeHome(child), SITE_WRITE);
  assert(bytes > 0, "a request moves something");
  assert(qiov.start + bytes <= qiov.buffer.length, "what is written is there");
  const bs = child.rawBs;
  if (bs === null) return null;
  const { nowPwritev } = bs.drv;
  if (nowPwritev === undefined || (child.perm & BLK_PERM_WRITE) === 0) return null;
  if (!takesWrites(bs) || !isClear(bs, offset, bytes)) return null;
  const ret = nowPwritev(bs, offset, bytes, qiov);
  if (ret !== null) bs.writeGen++;
  return ret;
}

/** Whether all of a range is known to be data, now: then its status need not be asked for. */
export function bdrvNowIsData(bs: BlockDriverState, offset: number, bytes: number): boolean {
  ioCode(bs.aioContext, SITE_DATA);
  assert(bytes > 0, "a range has bytes");
  const { nowIsData } = bs.drv;
  return nowIsData !== undefined && isClear(bs, offset, bytes) && nowIsData(bs, offset, bytes);
}

/**
 * Nobody holds a request for the range up, and the driver takes it as it is. Who has the lock of the requests gives it back before others
 * run; and a driver that listens to debug events, as one that is closed, takes nothing now.
 */
function isClear(bs: BlockDriverState, offset: number, bytes: number): boolean {
  assert(offset >= 0, "a range lies in the node");
  assert(bs.reqsLock.holder === null, "nobody keeps the lock of the requests while others run");
  if (bs.aioContext !== machine.currentContext || bs.serialisingInFlight > 0) return false;
  const align = bs.requestAlignment;
  if (offset % align !== 0 || bytes % align !== 0 || bytes > maxTransferOf(bs)) return false;
  return offset + bytes <= bdrvGetlength(bs);
}

/** A write is neither refused nor looked at, and nobody notes it. */
function takesWrites(bs: BlockDriverState): boolean {
  if (bs.readOnly || bs.inactive) return false;
  return bs.detectZeroes === "off" && bs.dirtyBitmaps.length === 0 && bs.writeThresholdOffset === 0;
}
