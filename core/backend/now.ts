// Requests of a BlockBackend that are done before anybody else can look: see core/io/now.ts.

import { assert } from "../base/index.ts";
import type { BlockDriverState, Qiov } from "../graph/state.ts";
import { bdrvIsInserted } from "../io/inserted.ts";
import { bdrvNowIsData, bdrvNowPreadv, bdrvNowPwritev } from "../io/now.ts";
import { site } from "../probe/index.ts";
import { hasWaiters, ioCode, machine } from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";

const SITE_READ = site("blk_now_preadv");
const SITE_WRITE = site("blk_now_pwritev");
const SITE_DATA = site("blk_now_is_data");

/** blk_co_preadv, now: 0 or a negated errno; null, and nothing has happened. */
export function blkNowPreadv(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
): number | null {
  ioCode(null, SITE_READ);
  assert(machine.isUnwatched, "who watches sees every step");
  if (!isInside(bytes, qiov)) return null;
  const bs = rootNow(blk, offset);
  return bs === null ? null : bdrvNowPreadv(bs, offset, bytes, qiov);
}

/** blk_co_pwritev, now: 0 or a negated errno; null, and nothing has happened. */
export function blkNowPwritev(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
): number | null {
  ioCode(null, SITE_WRITE);
  assert(machine.isUnwatched, "who watches sees every step");
  if (!blk.enableWriteCache || !isInside(bytes, qiov)) return null;
  if (blk.rawRoot === null || rootNow(blk, offset) === null) return null;
  return bdrvNowPwritev(blk.rawRoot, offset, bytes, qiov);
}

/** Whether all of a range is known to be data, now. The question is a request, as blk_co_block_status_above is, when it is answered. */
export function blkNowIsData(blk: BlockBackend, offset: number, bytes: number): boolean {
  ioCode(null, SITE_DATA);
  assert(bytes > 0, "a range has bytes");
  if (!machine.isUnwatched) return false;
  const bs = rootNow(blk, offset);
  if (bs === null || !bdrvNowIsData(bs, offset, bytes)) return false;
  machine.last.task++;
  return true;
}

/**
 * The root, if nothing holds up a request there: no drain, no limits, and nobody who waits for its end. Whether its range lies in the node is
 * what the node looks at.
 */
function rootNow(blk: BlockBackend, offset: number): BlockDriverState | null {
  const co = machine.currentCoroutine;
  // One that is a part of another request is no task of its own.
  if (co === null || co.task !== 0 || blk.ctx !== machine.currentContext) return null;
  if (blk.quiescedFor.length > 0 || blk.throttleGroupMember.group !== null) return null;
  if (hasWaiters() || offset < 0 || blk.rawRoot === null) return null;
  const bs = blk.rawRoot.rawBs;
  return bs !== null && bdrvIsInserted(bs) ? bs : null;
}

function isInside(bytes: number, { buffer, start }: Qiov): boolean {
  return bytes > 0 && start >= 0 && start + bytes <= buffer.length;
}
