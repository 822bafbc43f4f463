// Writing zeroes through an edge: as a write without a buffer. The driver does it if it can; else a buffer of zeroes is
// written. Blocks that the request covers in part are read, changed and written back.

import { ENOMEDIUM, ENOTSUP, EPERM } from "../base/index.ts";
import { bdrvHasReadonlyBitmaps } from "../bitmaps/flags.ts";
import { edgeHome } from "../graph/access.ts";
import {
  BDRV_REQ_MAY_UNMAP,
  BDRV_REQ_NO_FALLBACK,
  type BdrvChild,
  type BdrvTrackedRequest,
  type Qiov,
} from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, ioCode } from "../sched/index.ts";
import { bdrvCheckRequest } from "./check-request.ts";
import { bdrvDebugEvent } from "./debug-event.ts";
import { bdrvCoDoPwriteZeroes } from "./driver-write.ts";
import { guestZero, qiovAfter } from "./guest-copy.ts";
import { bdrvIsInserted, nodeBehind } from "./inserted.ts";
import { bdrvInitPadding } from "./padding.ts";
import { requestBegin, requestEnd } from "./request.ts";
import {
  bdrvMakeRequestSerialising,
  trackedRequestBegin,
  trackedRequestEnd,
} from "./tracked-request.ts";
import {
  bdrvAlignedPwritev,
  bdrvCoWriteReqFinish,
  bdrvCoWriteReqPrepare,
  bdrvPaddingRmwRead,
} from "./write.ts";

const SITE_ZEROES = site("bdrv_co_pwrite_zeroes");

/** bdrv_co_pwrite_zeroes (io.c:2308), for drivers: what their own node does not let through is not passed on. 0 or a negated errno. */
export function* bdrvCoPwriteZeroes(
  child: BdrvChild,
  offset: number,
  bytes: number,
  flags = 0,
): Co<number> {
  ioCode(edgeHome(child), SITE_ZEROES);
  const passed = child.rawBs?.unmap === true ? flags : flags & ~BDRV_REQ_MAY_UNMAP;
  return yield* bdrvCoPwritevZeroes(child, offset, bytes, passed);
}

/**
 * bdrv_co_pwritev_part (io.c:2212) with BDRV_REQ_ZERO_WRITE, for BlockBackends: 0 or a negated errno. As in QEMU 7.2, the outermost
 * node does not ask its option `discard` whether zeroes may free what they cover; nodes below do.
 */
export function* bdrvCoPwritevZeroes(
  child: BdrvChild,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  ioCode(edgeHome(child), SITE_ZEROES);
  const bs = nodeBehind(child, SITE_ZEROES);
  if (!bdrvIsInserted(bs)) return -ENOMEDIUM;
  // There is no buffer that would have to hold all of it.
  const checked = bdrvCheckRequest(offset, bytes, null);
  if (checked < 0) return checked;
  // What is read, changed and written back is no quicker than writing.
  const align = bs.requestAlignment;
  const isAligned = offset % align === 0 && bytes % align === 0;
  if ((flags & BDRV_REQ_NO_FALLBACK) !== 0 && !isAligned) return -ENOTSUP;
  if (bytes === 0) return 0;
  const outermost = requestBegin(bs, Request.write_zeroes, offset, bytes);
  const req = yield* trackedRequestBegin(bs, Request.write_zeroes, offset, bytes);
  const ret = yield* bdrvCoDoZeroPwritev(child, req, flags);
  yield* trackedRequestEnd(req);
  requestEnd(bs, Request.write_zeroes, ret, outermost);
  return ret;
}

/** bdrv_co_do_zero_pwritev (io.c:2148): the block at the start that is covered in part, the middle, the one at the end. */
function* bdrvCoDoZeroPwritev(
  child: BdrvChild,
  req: BdrvTrackedRequest,
  flags: number,
): Co<number> {
  const { bs, offset, bytes } = req;
  const align = bs.requestAlignment;
  const pad = bdrvInitPadding(bs, offset, bytes, true);
  if (pad === null) return yield* alignedZeroes(child, req, offset, bytes, flags);
  yield* bdrvMakeRequestSerialising(req, align);
  const read = yield* bdrvPaddingRmwRead(bs, req, pad);
  if (read < 0) return read;
  const { head, tail, start, length, headBlock, tailBlock } = pad;
  const writeBlocks = (at: number, count: number, from: Qiov): Co<number> =>
    bdrvAlignedPwritev(child, req, at, count, from, flags);
  if (pad.mergeReads) {
    guestZero(qiovAfter(headBlock, head), bytes);
    return yield* writeBlocks(start, length, headBlock);
  }
  const middle = head > 0 ? start + align : start;
  const middleEnd = tail > 0 ? start + length - align : start + length;
  if (head > 0) {
    guestZero(qiovAfter(headBlock, head), align - head);
    const ret = yield* writeBlocks(start, align, headBlock);
    if (ret < 0) return ret;
  }
  if (middle < middleEnd) {
    const ret = yield* alignedZeroes(child, req, middle, middleEnd - middle, flags);
    if (ret < 0) return ret;
  }
  if (tail === 0) return 0;
  guestZero(tailBlock, align - tail);
  return yield* writeBlocks(middleEnd, align, tailBlock);
}

/** bdrv_aligned_pwritev (io.c:2064) with BDRV_REQ_ZERO_WRITE. */
function* alignedZeroes(
  child: BdrvChild,
  req: BdrvTrackedRequest,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  const { bs } = req;
  if (bs.closed) return -ENOMEDIUM;
  if (bdrvHasReadonlyBitmaps(bs)) return -EPERM;
  let ret = yield* bdrvCoWriteReqPrepare(child, req, offset, bytes, flags);
  if (ret >= 0) {
    yield* bdrvDebugEvent(bs, "pwritev_zero");
    ret = yield* bdrvCoDoPwriteZeroes(bs, offset, bytes, flags);
  }
  yield* bdrvDebugEvent(bs, "pwritev_done");
  bdrvCoWriteReqFinish(bs, req, { offset, bytes }, ret);
  return Math.min(ret, 0);
}
