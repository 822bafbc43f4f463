// The length of a node, and what it takes on the disk. Most nodes know theirs; those with `hasVariableLength` ask below each time.

import { assert, ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { childrenOf } from "../graph/access.ts";
import { bdrvPrimaryChild } from "../graph/chain.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_METADATA,
  type BlockDriverState,
} from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioCode } from "../sched/index.ts";
import { nodeBehind } from "./inserted.ts";
import { alignUp, BDRV_LENGTH_MAX, BDRV_SECTOR_SIZE } from "./limits.ts";

const SITE_LENGTH = site("refresh_total_sectors");
const SITE_GETLENGTH = site("bdrv_getlength");
const SITE_ALLOCATED = site("bdrv_sum_allocated_file_size");

/** bdrv_getlength (block.c:5792): bytes, in whole sectors, or a negated errno. */
export function bdrvGetlength(bs: BlockDriverState): number {
  ioCode(bs.aioContext, SITE_GETLENGTH);
  if (bs.closed || bs.ejected) return -ENOMEDIUM;
  assert(bs.totalBytes >= 0, "a length is not negative");
  if (bs.drv.hasVariableLength === true) return refreshTotalSectors(bs);
  return alignUp(bs.totalBytes, BDRV_SECTOR_SIZE);
}

/** refresh_total_sectors (block.c:1079): ask the driver, or the primary child, and remember. Bytes, or a negated errno. */
export function refreshTotalSectors(bs: BlockDriverState): number {
  ioCode(bs.aioContext, SITE_LENGTH);
  if (bs.closed || bs.ejected) return -ENOMEDIUM;
  const length = askLength(bs);
  if (length < 0) return length;
  assert(length <= BDRV_LENGTH_MAX, "a driver answers with a length that exists");
  bs.totalBytes = alignUp(length, BDRV_SECTOR_SIZE);
  return bs.totalBytes;
}

function askLength(bs: BlockDriverState): number {
  if (bs.drv.getlength !== undefined) return bs.drv.getlength(bs);
  const child = bdrvPrimaryChild(bs);
  return child === null ? bs.totalBytes : bdrvGetlength(nodeBehind(child, SITE_LENGTH));
}

/**
 * bdrv_get_allocated_file_size (block.c:5703): bytes that an image takes where it is, those of its children with data or metadata
 * together, or a negated errno; ENOTSUP of a protocol that does not say.
 */
export function bdrvGetAllocatedFileSize(bs: BlockDriverState): number {
  ioCode(bs.aioContext, SITE_ALLOCATED);
  if (bs.closed) return -ENOMEDIUM;
  if (bs.drv.getAllocatedFileSize !== undefined) return bs.drv.getAllocatedFileSize(bs);
  if (bs.drv.isProtocol === true) return -ENOTSUP;
  const role = BDRV_CHILD_DATA | BDRV_CHILD_METADATA | BDRV_CHILD_FILTERED;
  let sum = 0;
  const children = childrenOf(bs, SITE_ALLOCATED);
  for (let child = children.first; child !== null; child = children.next(child)) {
    if ((child.role & role) === 0) continue;
    const size = bdrvGetAllocatedFileSize(nodeBehind(child, SITE_ALLOCATED));
    if (size < 0) return size;
    sum += size;
  }
  assert(sum >= 0, "a size is not negative");
  return sum;
}
