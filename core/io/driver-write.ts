// What a driver is asked for when data or zeroes are written: in pieces that it takes, and with what it cannot do made of what it
// can, i.e. zeroes of a buffer of zeroes, and BDRV_REQ_FUA of a flush.

import { assert, ENOMEDIUM, ENOTSUP, must } from "../base/index.ts";
import {
  BDRV_REQ_FUA,
  BDRV_REQ_NO_FALLBACK,
  BDRV_REQ_NO_WAIT,
  BDRV_REQ_SERIALISING,
  type BlockDriverState,
  type Qiov,
} from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { type Co, hostAllocate, hostDecide, ioCode, settled } from "../sched/index.ts";
import { bdrvBscInvalidateRange } from "./block-status-cache.ts";
import { bdrvCoFlush } from "./flush.ts";
import { guestZero, qiovAfter, qiovOf } from "./guest-copy.ts";
import { alignDown, BDRV_LENGTH_MAX, BOUNCE_BUFFER_MAX_BYTES, maxTransferOf } from "./limits.ts";

const SITE_DRIVER_PWRITEV = site("bdrv_driver_pwritev");
const SITE_DRIVER_COMPRESSED = site("bdrv_driver_pwritev_compressed");
const SITE_DO_ZEROES = site("bdrv_co_do_pwrite_zeroes");
const SITE_IS_ZERO = site("buffer_is_zero");

/** What the node itself does, and no driver has among its supported_write_flags. */
const OWN_FLAGS = BDRV_REQ_FUA | BDRV_REQ_SERIALISING | BDRV_REQ_NO_WAIT;

/** buffer_is_zero (util/bufferiszero.c:321): whether `bytes` of `qiov` are zeroes: the host looks, and the answer is recorded. Common. */
export function bufferIsZero(qiov: Qiov, bytes: number): boolean {
  const decided = hostDecide(SITE_IS_ZERO, () => {
    const data = must(qiov.buffer.data, "what is looked at has contents");
    return data.subarray(qiov.start, qiov.start + bytes).every((byte) => byte === 0) ? 1 : 0;
  });
  return decided === 1;
}

/**
 * The loop of bdrv_aligned_pwritev (io.c:2106): the write, in pieces that the driver takes; a flush for BDRV_REQ_FUA after the last
 * one is enough. Common.
 */
export function driverPwritevPieces(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  const most = maxTransferOf(bs);
  if (bytes <= most) return bdrvDriverPwritev(bs, offset, bytes, qiov, flags);
  return severalPieces(bs, most, { offset, bytes }, qiov, flags);
}

function* severalPieces(
  bs: BlockDriverState,
  most: number,
  { offset, bytes }: { readonly offset: number; readonly bytes: number },
  qiov: Qiov,
  flags: number,
): Co<number> {
  let done = 0;
  for (; bytes - done > most; done += most) {
    const piece = qiovAfter(qiov, done);
    const ret = yield* bdrvDriverPwritev(bs, offset + done, most, piece, flags & ~BDRV_REQ_FUA);
    if (ret < 0) return ret;
  }
  return yield* bdrvDriverPwritev(bs, offset + done, bytes - done, qiovAfter(qiov, done), flags);
}

/**
 * bdrv_driver_pwritev (io.c:1207). Differs from QEMU: BDRV_REQ_FUA is always emulated, by a flush. As in QEMU that flush goes to
 * the children only, when nothing else was written: this write moves the generation when it is over.
 */
export function bdrvDriverPwritev(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_DRIVER_PWRITEV);
  const { drv } = bs;
  if (drv.coPwritev === undefined) return settled(-ENOTSUP);
  if ((flags & BDRV_REQ_FUA) !== 0) return writeAndFlush(bs, offset, bytes, qiov, flags);
  return drv.coPwritev(bs, offset, bytes, qiov, flags & ~OWN_FLAGS);
}

function* writeAndFlush(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  const ret = yield* bdrvDriverPwritev(bs, offset, bytes, qiov, flags & ~BDRV_REQ_FUA);
  return ret < 0 ? ret : yield* bdrvCoFlush(bs);
}

/** bdrv_driver_pwritev_compressed (io.c:1275): -ENOTSUP by a driver that cannot compress. */
export function* bdrvDriverPwritevCompressed(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_DRIVER_COMPRESSED);
  assert(offset >= 0, "requests lie inside an image");
  if (bs.closed) return -ENOMEDIUM;
  if (bs.drv.coPwritevCompressed === undefined) return -ENOTSUP;
  return yield* bs.drv.coPwritevCompressed(bs, offset, bytes, qiov);
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
  const driverFlags = flags & ~OWN_FLAGS;
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
