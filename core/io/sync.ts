// Requests for thread-level code (C: generated_co_wrapper): a coroutine in the node's context does the work, and the caller
// polls until it is done. Each of these is a hidden poll point.

import { assert } from "../base/index.ts";
import { edgeHome } from "../graph/access.ts";
import type { BdrvChild, BlockDriverState, Qiov } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import {
  type Co,
  type GuestBuffer,
  ioOrGsCode,
  type Polls,
  runInCoroutine,
} from "../sched/index.ts";
import { bdrvCoPdiscard } from "./discard.ts";
import { bdrvCoFlush } from "./flush.ts";
import { qiovOf } from "./guest-copy.ts";
import { nodeBehind } from "./inserted.ts";
import { bdrvCoPreadv } from "./read.ts";
import { bdrvCoTruncate } from "./truncate.ts";
import { bdrvCoPwritev } from "./write.ts";
import { bdrvCoPwriteZeroes } from "./write-zeroes.ts";

const SITE_FLUSH = site("bdrv_flush");
const SITE_PREAD = site("bdrv_pread");
const SITE_PREADV = site("bdrv_preadv");
const SITE_PWRITE = site("bdrv_pwrite");
const SITE_PWRITEV = site("bdrv_pwritev");
const SITE_DISCARD = site("bdrv_pdiscard");
const SITE_ZEROES = site("bdrv_pwrite_zeroes");
const SITE_TRUNCATE = site("bdrv_truncate");

/** bdrv_flush: as bdrvCoFlush. Polls. */
export function* bdrvFlush(bs: BlockDriverState): Polls<number> {
  ioOrGsCode(bs.aioContext, SITE_FLUSH);
  assert(bs.id > 0, "a node has a number");
  return yield* runInCoroutine(bs.aioContext, () => bdrvCoFlush(bs), SITE_FLUSH);
}

/** bdrv_pread: as bdrvCoPreadv, into the start of `buffer`. Polls. */
export function* bdrvPread(
  child: BdrvChild,
  offset: number,
  bytes: number,
  buffer: GuestBuffer,
  flags = 0,
): Polls<number> {
  ioOrGsCode(edgeHome(child), SITE_PREAD);
  const ctx = nodeBehind(child, SITE_PREAD).aioContext;
  const read = (): Co<number> => bdrvCoPreadv(child, offset, bytes, qiovOf(buffer), flags);
  return yield* runInCoroutine(ctx, read, SITE_PREAD);
}

/** bdrv_pwrite: as bdrvCoPwritev, of the start of `buffer`. Polls. */
export function* bdrvPwrite(
  child: BdrvChild,
  offset: number,
  bytes: number,
  buffer: GuestBuffer,
  flags = 0,
): Polls<number> {
  ioOrGsCode(edgeHome(child), SITE_PWRITE);
  const ctx = nodeBehind(child, SITE_PWRITE).aioContext;
  const write = (): Co<number> => bdrvCoPwritev(child, offset, bytes, qiovOf(buffer), flags);
  return yield* runInCoroutine(ctx, write, SITE_PWRITE);
}

/** bdrv_preadv: as bdrvCoPreadv. Polls. */
export function* bdrvPreadv(
  child: BdrvChild,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Polls<number> {
  ioOrGsCode(edgeHome(child), SITE_PREADV);
  const ctx = nodeBehind(child, SITE_PREADV).aioContext;
  return yield* runInCoroutine(ctx, () => bdrvCoPreadv(child, offset, bytes, qiov), SITE_PREADV);
}

/** bdrv_pwritev: as bdrvCoPwritev. Polls. */
export function* bdrvPwritev(
  child: BdrvChild,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags = 0,
): Polls<number> {
  ioOrGsCode(edgeHome(child), SITE_PWRITEV);
  const ctx = nodeBehind(child, SITE_PWRITEV).aioContext;
  const write = (): Co<number> => bdrvCoPwritev(child, offset, bytes, qiov, flags);
  return yield* runInCoroutine(ctx, write, SITE_PWRITEV);
}

/** bdrv_pwrite_zeroes: as bdrvCoPwriteZeroes. Polls. */
export function* bdrvPwriteZeroes(child: BdrvChild, offset: number, bytes: number): Polls<number> {
  ioOrGsCode(edgeHome(child), SITE_ZEROES);
  const ctx = nodeBehind(child, SITE_ZEROES).aioContext;
  return yield* runInCoroutine(ctx, () => bdrvCoPwriteZeroes(child, offset, bytes), SITE_ZEROES);
}

/** bdrv_pdiscard: as bdrvCoPdiscard. Polls. */
export function* bdrvPdiscard(child: BdrvChild, offset: number, bytes: number): Polls<number> {
  ioOrGsCode(edgeHome(child), SITE_DISCARD);
  const ctx = nodeBehind(child, SITE_DISCARD).aioContext;
  return yield* runInCoroutine(ctx, () => bdrvCoPdiscard(child, offset, bytes), SITE_DISCARD);
}

/** bdrv_truncate: as bdrvCoTruncate. Polls. */
export function* bdrvTruncate(child: BdrvChild, offset: number): Polls<number> {
  ioOrGsCode(edgeHome(child), SITE_TRUNCATE);
  const ctx = nodeBehind(child, SITE_TRUNCATE).aioContext;
  return yield* runInCoroutine(ctx, () => bdrvCoTruncate(child, offset), SITE_TRUNCATE);
}
