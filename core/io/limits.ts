// Sizes and limits of requests (house rule 17), with the relations between them asserted when loaded.

import { assert } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";

/** Lengths are counted in sectors of this many bytes (C: BDRV_SECTOR_SIZE). */
export const BDRV_SECTOR_SIZE = 512;
/** Bytes of one request: the largest multiple of a sector in a C int (C: BDRV_REQUEST_MAX_BYTES). */
export const BDRV_REQUEST_MAX_BYTES = 2_147_483_136;
/** Bytes of an image: what a safe integer holds, in whole sectors (QEMU: 2^63, as much as an int64 holds). */
export const BDRV_LENGTH_MAX = 9_007_199_254_740_480;
/** Bytes of the buffer of zeroes, for drivers that cannot write zeroes by themselves (C: MAX_BOUNCE_BUFFER, 32768 sectors). */
export const BOUNCE_BUFFER_MAX_BYTES = 32_768 * BDRV_SECTOR_SIZE;

assert(BDRV_REQUEST_MAX_BYTES % BDRV_SECTOR_SIZE === 0, "requests are whole sectors at most");
assert(BDRV_REQUEST_MAX_BYTES < 0x7fff_ffff, "the size of a request fits an event's integer");
assert(BDRV_LENGTH_MAX <= Number.MAX_SAFE_INTEGER, "lengths are exact");
assert(BDRV_LENGTH_MAX % BDRV_SECTOR_SIZE === 0, "lengths are whole sectors");
assert(BOUNCE_BUFFER_MAX_BYTES < BDRV_REQUEST_MAX_BYTES, "a bounce buffer is a request at most");

/** `value` rounded down to a multiple of `align`. Common. */
export function alignDown(value: number, align: number): number {
  return value - (value % align);
}

/** `value` rounded up to a multiple of `align`. Common. */
export function alignUp(value: number, align: number): number {
  return alignDown(value + align - 1, align);
}

/** Bytes that the driver of `bs` is given to move at a time at most, in whole blocks. Common. */
export function maxTransferOf(bs: BlockDriverState): number {
  const { maxTransfer } = bs.limits;
  const most = maxTransfer === 0 ? BDRV_REQUEST_MAX_BYTES : maxTransfer;
  return alignDown(most, bs.requestAlignment);
}
