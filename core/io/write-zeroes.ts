// Writing zeroes through an edge: as a write without a buffer. The driver does it if it can; else a buffer of zeroes is
// written. Blocks that the request covers in part are read, changed and written back.

import { assert, ENOMEDIUM, ENOTSUP, EPERM } from "../base/index.ts";
import { bdrvHasReadonlyBitmaps } from "../bitmaps/flags.ts";
import { edgeHome } from "../graph/access.ts";
import {
  BDRV_REQ_FUA,
  BDRV_REQ_MAY_UNMAP,
  BDRV_REQ_NO_FALLBACK,
  BDRV_REQ_NO_WAIT,
  BDRV_REQ_SERIALISING,
  type BdrvChild,
  type BdrvTrackedRequest,
  type BlockDriverState,
} from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, hostAllocate, ioCode } from "../sched/index.ts";
import { bdrvBscInvalidateRange } from "./block-status-cache.ts";
import { bdrvCheckRequest32 } from "./check-request.ts";
import { bdrvDebugEvent } from "./debug-event.ts";
import { bdrvCoFlush } from "./flush.ts";
import { guestZero, qiovOf } from "./guest-copy.ts";
import { bdrvIsInserted, nodeBehind } from "./inserted.ts";
import {
  alignDown,
  alignUp,
  BDRV_LENGTH_MAX,
  BOUNCE_BUFFER_MAX_BYTES,
  maxTransferOf,
} from "./limits.ts";
import { bdrvAlignedPreadv } from "./read.ts";
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
  bdrvDriverPwritev,
} from "./write.ts";

const SITE_ZEROES = site("bdrv_co_pwrite_zeroes");
const SITE_DO_ZEROES = site("bdrv_co_do_pwrite_zeroes");

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

/**
 * bdrv_co_do_pwrite_zeroes (io.c:1826): in pieces as the node's limits want them, each by the driver, else as a write of a
 * buffer of zeroes; FUA as one flush at the end. 0 or a negated errno.
 */
export function* bdrvCoDoPwriteZeroes(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_DO_ZEROES);
  assert(bytes >= 0, "byte counts are not negative");
  bdrvBscInvalidateRange(bs, offset, bytes);
  const most = maxPwriteZeroesOf(bs);
  const end = offset + bytes;
  const driverFlags = flags & ~(BDRV_REQ_FUA | BDRV_REQ_SERIALISING | BDRV_REQ_NO_WAIT);
  const { coPwriteZeroes } = bs.drv;
  for (let at = offset; at < end; ) {
    let piece = Math.min(zeroPiece(bs, at, end), most);
    let ret = -ENOTSUP;
    if (coPwriteZeroes !== undefined) ret = yield* coPwriteZeroes(bs, at, piece, driverFlags);
    if (ret === -ENOTSUP && (flags & BDRV_REQ_NO_FALLBACK) === 0) {
      piece = Math.min(piece, bounceBytesOf(bs));
      const zeroes = qiovOf(hostAllocate(piece));
      guestZero(zeroes, piece);
      ret = yield* bdrvDriverPwritev(bs, at, piece, zeroes, driverFlags);
    }
    if (ret < 0) return ret;
    at += piece;
  }
  return (flags & BDRV_REQ_FUA) === 0 ? 0 : yield* bdrvCoFlush(bs);
}

function zeroesAlignment(bs: BlockDriverState): number {
  return Math.max(bs.limits.pwriteZeroesAlignment, bs.requestAlignment);
}

function maxPwriteZeroesOf(bs: BlockDriverState): number {
  const { maxPwriteZeroes } = bs.limits;
  const most = maxPwriteZeroes === 0 ? BDRV_LENGTH_MAX : maxPwriteZeroes;
  return alignDown(most, zeroesAlignment(bs));
}

function bounceBytesOf(bs: BlockDriverState): number {
  return Math.min(maxTransferOf(bs), BOUNCE_BUFFER_MAX_BYTES);
}

/** Bytes of the next piece of a range: up to the first boundary, then whole multiples, then what is left behind the last. */
function zeroPiece(bs: BlockDriverState, at: number, end: number): number {
  const alignment = zeroesAlignment(bs);
  const head = at % alignment;
  if (head > 0) return Math.min(end - at, bounceBytesOf(bs), alignment - head);
  const tail = end % alignment;
  return tail > 0 && end - at > alignment ? end - at - tail : end - at;
}
