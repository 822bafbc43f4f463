// Requests of a BlockBackend for thread-level code (C: generated_co_wrapper). Each of these is a hidden poll point.

import { assert, ENOMEDIUM, type SiteId } from "../base/index.ts";
import type { Qiov } from "../graph/state.ts";
import { PLAIN_TRUNCATION, type Truncation } from "../graph/truncation.ts";
import { bdrvFlush, bdrvLoadVmstate, bdrvSaveVmstate, qiovOf } from "../io/index.ts";
import { site } from "../probe/index.ts";
import {
  type Co,
  type GuestBuffer,
  globalStateCode,
  ioOrGsCode,
  modelAssert,
  type Polls,
  runInCoroutine,
} from "../sched/index.ts";
import { blkIsAvailable } from "./available.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkGetAioContext } from "./context.ts";
import {
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPreadvPart,
  blkCoPwriteCompressed,
  blkCoPwritev,
  blkCoPwritevPart,
  blkCoPwriteZeroes,
  type QiovPart,
} from "./requests.ts";
import { blkBs } from "./root.ts";
import { blkCoTruncate } from "./unqueued.ts";

const SITE_PREAD = site("blk_pread");
const SITE_PREADV = site("blk_preadv");
const SITE_PREADV_PART = site("blk_preadv_part");
const SITE_PWRITE = site("blk_pwrite");
const SITE_PWRITEV = site("blk_pwritev");
const SITE_PWRITEV_PART = site("blk_pwritev_part");
const SITE_PWRITE_COMPRESSED = site("blk_pwrite_compressed");
const SITE_PWRITE_ZEROES = site("blk_pwrite_zeroes");
const SITE_PDISCARD = site("blk_pdiscard");
const SITE_FLUSH = site("blk_flush");
const SITE_TRUNCATE = site("blk_truncate");
const SITE_SAVE_VMSTATE = site("blk_save_vmstate");
const SITE_LOAD_VMSTATE = site("blk_load_vmstate");

/** blk_pread: as blkCoPreadv, into the start of `buffer`. Polls. */
export function* blkPread(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  buffer: GuestBuffer,
  flags = 0,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PREAD);
  assert(bytes <= buffer.length, "the buffer holds what is read");
  const read = (): Co<number> => blkCoPreadv(blk, offset, bytes, qiovOf(buffer), flags);
  return yield* inContextOf(blk, read, SITE_PREAD);
}

/** blk_preadv: as blkCoPreadv. Polls. */
export function* blkPreadv(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PREADV);
  assert(bytes >= 0, "byte counts are not negative");
  return yield* inContextOf(blk, () => blkCoPreadv(blk, offset, bytes, qiov), SITE_PREADV);
}

/** blk_preadv_part: as blkCoPreadvPart. Polls. */
export function* blkPreadvPart(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  part: QiovPart,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PREADV_PART);
  assert(bytes >= 0, "byte counts are not negative");
  return yield* inContextOf(blk, () => blkCoPreadvPart(blk, offset, bytes, part), SITE_PREADV_PART);
}

/** blk_pwrite: as blkCoPwritev, of the start of `buffer`. Polls. */
export function* blkPwrite(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  buffer: GuestBuffer,
  flags = 0,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PWRITE);
  assert(bytes <= buffer.length, "the buffer holds what is written");
  const write = (): Co<number> => blkCoPwritev(blk, offset, bytes, qiovOf(buffer), flags);
  return yield* inContextOf(blk, write, SITE_PWRITE);
}

/** blk_pwritev: as blkCoPwritev. Polls. */
export function* blkPwritev(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PWRITEV);
  assert(bytes >= 0, "byte counts are not negative");
  return yield* inContextOf(blk, () => blkCoPwritev(blk, offset, bytes, qiov), SITE_PWRITEV);
}

/** blk_pwritev_part: as blkCoPwritevPart. Polls. */
export function* blkPwritevPart(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  part: QiovPart,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PWRITEV_PART);
  assert(bytes >= 0, "byte counts are not negative");
  const write = (): Co<number> => blkCoPwritevPart(blk, offset, bytes, part);
  return yield* inContextOf(blk, write, SITE_PWRITEV_PART);
}

/** blk_pwrite_compressed: as blkCoPwriteCompressed. Polls. */
export function* blkPwriteCompressed(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  buffer: GuestBuffer,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PWRITE_COMPRESSED);
  assert(bytes >= 0, "byte counts are not negative");
  const write = (): Co<number> => blkCoPwriteCompressed(blk, offset, bytes, buffer);
  return yield* inContextOf(blk, write, SITE_PWRITE_COMPRESSED);
}

/** blk_pwrite_zeroes: as blkCoPwriteZeroes. Polls. */
export function* blkPwriteZeroes(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  flags = 0,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PWRITE_ZEROES);
  assert(bytes >= 0, "byte counts are not negative");
  const write = (): Co<number> => blkCoPwriteZeroes(blk, offset, bytes, flags);
  return yield* inContextOf(blk, write, SITE_PWRITE_ZEROES);
}

/** blk_pdiscard: as blkCoPdiscard. Polls. */
export function* blkPdiscard(blk: BlockBackend, offset: number, bytes: number): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PDISCARD);
  assert(bytes >= 0, "byte counts are not negative");
  return yield* inContextOf(blk, () => blkCoPdiscard(blk, offset, bytes), SITE_PDISCARD);
}

/** blk_flush: as blkCoFlush. Polls. */
export function* blkFlush(blk: BlockBackend): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_FLUSH);
  assert(blk.refcnt > 0, "a BlockBackend with owners is alive");
  return yield* inContextOf(blk, () => blkCoFlush(blk), SITE_FLUSH);
}

/** blk_truncate: as blkCoTruncate. Polls. */
export function* blkTruncate(
  blk: BlockBackend,
  offset: number,
  how: Truncation = PLAIN_TRUNCATION,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_TRUNCATE);
  assert(Number.isSafeInteger(offset), "lengths are whole numbers");
  return yield* inContextOf(blk, () => blkCoTruncate(blk, offset, how), SITE_TRUNCATE);
}

/**
 * blk_save_vmstate (block-backend.c:2360): `bytes` of `buffer` to `position` of the state of a machine, flushed when there is
 * no write cache. As many bytes, or a negated errno. Holds no counter of the BlockBackend and does not queue. Polls.
 */
export function* blkSaveVmstate(
  blk: BlockBackend,
  buffer: GuestBuffer,
  position: number,
  bytes: number,
): Polls<number> {
  globalStateCode(SITE_SAVE_VMSTATE);
  assert(bytes <= buffer.length, "the buffer holds what is written");
  if (!blkIsAvailable(blk)) return -ENOMEDIUM;
  const bs = blkBs(blk, SITE_SAVE_VMSTATE);
  modelAssert(bs !== null, "blk_bs(blk)", SITE_SAVE_VMSTATE);
  const ret = yield* bdrvSaveVmstate(bs, buffer, position, bytes);
  if (ret < 0 || blk.enableWriteCache) return ret;
  const flushed = yield* bdrvFlush(bs);
  return flushed < 0 ? flushed : ret;
}

/** blk_load_vmstate (block-backend.c:2382): the way back. Polls. */
export function* blkLoadVmstate(
  blk: BlockBackend,
  buffer: GuestBuffer,
  position: number,
  bytes: number,
): Polls<number> {
  globalStateCode(SITE_LOAD_VMSTATE);
  assert(bytes <= buffer.length, "the buffer holds what is read");
  if (!blkIsAvailable(blk)) return -ENOMEDIUM;
  const bs = blkBs(blk, SITE_LOAD_VMSTATE);
  modelAssert(bs !== null, "blk_bs(blk)", SITE_LOAD_VMSTATE);
  return yield* bdrvLoadVmstate(bs, buffer, position, bytes);
}

function* inContextOf(blk: BlockBackend, body: () => Co<number>, siteId: SiteId): Polls<number> {
  return yield* runInCoroutine(blkGetAioContext(blk), body, siteId);
}
