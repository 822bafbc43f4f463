// The range of data that a node's driver reported last, so that it need not be asked again (C: block_status_cache). Only nodes
// without children are asked here: formats know their status, protocols may have to ask others, who take their time.
//
// Writes of zeroes and discards forget a range that they overlap with; other writes leave data as data. What others do to
// the image behind the node's back can make the answer old, never harmful: zeroes that are called data are still right.

import { assert } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioCode } from "../sched/index.ts";

const SITE_IS_DATA = site("bdrv_bsc_is_data");
const SITE_INVALIDATE = site("bdrv_bsc_invalidate_range");
const SITE_FILL = site("bdrv_bsc_fill");

/** bdrv_bsc_is_data (block.c:8134): how many bytes from `offset` on are known to be data; 0 when that is not known. */
export function bdrvBscDataBytes(bs: BlockDriverState, offset: number): number {
  ioCode(bs.aioContext, SITE_IS_DATA);
  assert(offset >= 0, "offsets lie inside an image");
  const cache = bs.blockStatusCache;
  if (cache === null || offset < cache.dataStart || offset >= cache.dataEnd) return 0;
  return cache.dataEnd - offset;
}

/** bdrv_bsc_invalidate_range (block.c:8144): forget the range if it overlaps with this one. */
export function bdrvBscInvalidateRange(bs: BlockDriverState, offset: number, bytes: number): void {
  ioCode(bs.aioContext, SITE_INVALIDATE);
  assert(bytes >= 0, "byte counts are not negative");
  const cache = bs.blockStatusCache;
  if (cache === null || offset >= cache.dataEnd || offset + bytes <= cache.dataStart) return;
  bs.blockStatusCache = null;
}

/** bdrv_bsc_fill (block.c:8158): this range is data. */
export function bdrvBscFill(bs: BlockDriverState, offset: number, bytes: number): void {
  ioCode(bs.aioContext, SITE_FILL);
  assert(offset >= 0, "offsets lie inside an image");
  assert(bytes > 0, "a range of data holds something");
  bs.blockStatusCache = { dataStart: offset, dataEnd: offset + bytes };
}
