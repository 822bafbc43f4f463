// Requests of a BlockBackend for thread-level code (C: generated_co_wrapper). Each of these is a hidden poll point.

import { assert } from "../base/index.ts";
import type { Qiov } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioOrGsCode, type Polls, runInCoroutine } from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkGetAioContext } from "./context.ts";
import { blkCoFlush, blkCoPreadv, blkCoPwritev } from "./requests.ts";
import { blkCoTruncate } from "./unqueued.ts";

const SITE_PREADV = site("blk_preadv");
const SITE_PWRITEV = site("blk_pwritev");
const SITE_FLUSH = site("blk_flush");
const SITE_TRUNCATE = site("blk_truncate");

/** blk_preadv: as blkCoPreadv. Polls. */
export function* blkPreadv(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_PREADV);
  assert(bytes >= 0, "byte counts are not negative");
  const ctx = blkGetAioContext(blk);
  return yield* runInCoroutine(ctx, () => blkCoPreadv(blk, offset, bytes, qiov), SITE_PREADV);
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
  const ctx = blkGetAioContext(blk);
  return yield* runInCoroutine(ctx, () => blkCoPwritev(blk, offset, bytes, qiov), SITE_PWRITEV);
}

/** blk_flush: as blkCoFlush. Polls. */
export function* blkFlush(blk: BlockBackend): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_FLUSH);
  const ctx = blkGetAioContext(blk);
  return yield* runInCoroutine(ctx, () => blkCoFlush(blk), SITE_FLUSH);
}

/** blk_truncate: as blkCoTruncate. Polls. */
export function* blkTruncate(blk: BlockBackend, offset: number): Polls<number> {
  ioOrGsCode(blk.ctx, SITE_TRUNCATE);
  assert(Number.isSafeInteger(offset), "lengths are whole numbers");
  const ctx = blkGetAioContext(blk);
  return yield* runInCoroutine(ctx, () => blkCoTruncate(blk, offset), SITE_TRUNCATE);
}
