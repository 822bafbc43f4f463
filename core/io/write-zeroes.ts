// Writing zeroes through an edge: as a write without a buffer. The driver does it if it can; else a buffer of zeroes is
// written. Blocks that the request covers in part are read, changed and written back.

import { assert, ENOMEDIUM, EPERM } from "../base/index.ts";
import { bdrvHasReadonlyBitmaps } from "../bitmaps/flags.ts";
import { edgeHome } from "../graph/access.ts";
import { BDRV_REQ_MAY_UNMAP, type BdrvChild, type BdrvTrackedRequest } from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, hostAllocate, ioCode } from "../sched/index.ts";
import { bdrvCheckRequest32 } from "./check-request.ts";
import { bdrvDebugEvent } from "./debug-event.ts";
import { bdrvCoDoPwriteZeroes } from "./driver-write.ts";
import { guestZero, qiovOf } from "./guest-copy.ts";
import { bdrvIsInserted, nodeBehind } from "./inserted.ts";
import { alignDown, alignUp } from "./limits.ts";
import { bdrvAlignedPreadv } from "./read.ts";
import { requestBegin, requestEnd } from "./request.ts";
import {
  bdrvMakeRequestSerialising,
  trackedRequestBegin,
  trackedRequestEnd,
} from "./tracked-request.ts";
import { bdrvAlignedPwritev, bdrvCoWriteReqFinish, bdrvCoWriteReqPrepare } from "./write.ts";

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
  const checked = bdrvCheckRequest32(offset, bytes, null);
  if (checked < 0) return checked;
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
  const { bs } = req;
  const align = bs.requestAlignment;
  const end = req.offset + req.bytes;
  const middle = alignUp(req.offset, align);
  const middleEnd = alignDown(end, align);
  if (req.offset % align !== 0 || end % align !== 0) yield* bdrvMakeRequestSerialising(req, align);
  if (middleEnd < middle) return yield* zeroPartOfBlock(child, req, req.offset, end, flags);
  if (req.offset < middle) {
    const ret = yield* zeroPartOfBlock(child, req, req.offset, middle, flags);
    if (ret < 0) return ret;
  }
  if (middle < middleEnd) {
    const ret = yield* alignedZeroes(child, req, middle, middleEnd - middle, flags);
    if (ret < 0) return ret;
  }
  return middleEnd < end ? yield* zeroPartOfBlock(child, req, middleEnd, end, flags) : 0;
}

/** Bytes `from` to `to` of one block: read it, change it, write it back. */
function* zeroPartOfBlock(
  child: BdrvChild,
  req: BdrvTrackedRequest,
  from: number,
  to: number,
  flags: number,
): Co<number> {
  const { bs } = req;
  const align = bs.requestAlignment;
  const start = alignDown(from, align);
  assert(to <= start + align, "a part of a block lies in one block");
  const block = qiovOf(hostAllocate(align));
  const read = yield* bdrvAlignedPreadv(bs, req, start, align, block, 0);
  if (read < 0) return read;
  guestZero(qiovOf(block.buffer, from - start), to - from);
  return yield* bdrvAlignedPwritev(child, req, start, align, block, flags);
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
