// What changes the bits of dirty bitmaps: writes, users, merges, a node that gets longer or shorter; and reading them in order.

import { assert, EINVAL } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import { globalStateCode, ioCode, ioOrGsCode, machine, modelAssert } from "../sched/index.ts";
import { bdrvDirtyBitmapCheck } from "./flags.ts";
import { HBitmap } from "./hbitmap.ts";
import { noteBitmap } from "./life.ts";
import {
  BDRV_BITMAP_ALLOW_RO,
  BDRV_BITMAP_DEFAULT,
  type BdrvDirtyBitmap,
  withDirtyBitmapsLock,
} from "./state.ts";

const SITE_SET_DIRTY = site("bdrv_set_dirty");
const SITE_SET = site("bdrv_set_dirty_bitmap");
const SITE_RESET = site("bdrv_reset_dirty_bitmap");
const SITE_CLEAR = site("bdrv_clear_dirty_bitmap");
const SITE_RESTORE = site("bdrv_restore_dirty_bitmap");
const SITE_MERGE = site("bdrv_merge_dirty_bitmap");
const SITE_TRUNCATE = site("bdrv_dirty_bitmap_truncate");
const SITE_ITER = site("bdrv_dirty_iter_new");

/**
 * bdrv_set_dirty (dirty-bitmap.c:745): `bytes` at `offset` of `bs` were written, or may have been. Differs from QEMU: what a write that
 * failed asked for behind the end is left out, where QEMU would assert.
 */
export function bdrvSetDirty(bs: BlockDriverState, offset: number, bytes: number): void {
  ioCode(bs.aioContext, SITE_SET_DIRTY);
  assert(offset >= 0 && bytes >= 0, "a range lies inside a disk");
  if (bs.dirtyBitmaps.length === 0) return;
  machine.probe.emitWide(Ev.set_dirty, offset, bs.id, bytes);
  withDirtyBitmapsLock(bs, () => {
    for (const bitmap of bs.dirtyBitmaps) {
      if (bitmap.disabled) continue;
      modelAssert(!bitmap.readonly, "!bdrv_dirty_bitmap_readonly(bitmap)", SITE_SET_DIRTY);
      setInside(bitmap.bitmap, offset, bytes);
    }
  });
}

function setInside(bitmap: HBitmap, offset: number, bytes: number): void {
  const end = Math.min(offset + bytes, bitmap.size);
  if (offset < end) bitmap.set(offset, end - offset);
}

/** bdrv_set_dirty_bitmap (dirty-bitmap.c:638): whoever reads the bitmap knows of a range that is dirty. */
export function bdrvSetDirtyBitmap(bitmap: BdrvDirtyBitmap, offset: number, bytes: number): void {
  ioCode(bitmap.bs.aioContext, SITE_SET);
  modelAssert(!bitmap.readonly, "!bdrv_dirty_bitmap_readonly(bitmap)", SITE_SET);
  withDirtyBitmapsLock(bitmap.bs, () => bitmap.bitmap.set(offset, bytes));
}

/** bdrv_reset_dirty_bitmap (dirty-bitmap.c:654): a range of whole chunks is clean. */
export function bdrvResetDirtyBitmap(bitmap: BdrvDirtyBitmap, offset: number, bytes: number): void {
  ioCode(bitmap.bs.aioContext, SITE_RESET);
  modelAssert(!bitmap.readonly, "!bdrv_dirty_bitmap_readonly(bitmap)", SITE_RESET);
  withDirtyBitmapsLock(bitmap.bs, () => bitmap.bitmap.reset(offset, bytes));
}

/** bdrv_clear_dirty_bitmap (dirty-bitmap.c:662): all is clean; what it held, for bdrvRestoreDirtyBitmap. */
export function bdrvClearDirtyBitmap(bitmap: BdrvDirtyBitmap): HBitmap {
  ioOrGsCode(bitmap.bs.aioContext, SITE_CLEAR);
  modelAssert(!bitmap.readonly, "!bdrv_dirty_bitmap_readonly(bitmap)", SITE_CLEAR);
  const backup = bitmap.bitmap;
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.bitmap = new HBitmap(backup.size, backup.granularity);
  });
  noteBitmap(bitmap, SITE_CLEAR);
  return backup;
}

/** bdrv_restore_dirty_bitmap (dirty-bitmap.c:679): it holds what `backup` does. */
export function bdrvRestoreDirtyBitmap(bitmap: BdrvDirtyBitmap, backup: HBitmap): void {
  globalStateCode(SITE_RESTORE);
  modelAssert(!bitmap.readonly, "!bdrv_dirty_bitmap_readonly(bitmap)", SITE_RESTORE);
  assert(backup.size === bitmap.bitmap.size, "the node is as long as it was");
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.bitmap = backup;
  });
  noteBitmap(bitmap, SITE_RESTORE);
}

/**
 * bdrv_merge_dirty_bitmap (dirty-bitmap.c:894): what is dirty in `source` is dirty in `target`, too; what that held before.
 * BlockError when one of them may not be used so, or they are of disks of different lengths.
 */
export function bdrvMergeDirtyBitmap(target: BdrvDirtyBitmap, source: BdrvDirtyBitmap): HBitmap {
  globalStateCode(SITE_MERGE);
  bdrvDirtyBitmapCheck(target, BDRV_BITMAP_DEFAULT);
  bdrvDirtyBitmapCheck(source, BDRV_BITMAP_ALLOW_RO);
  const [wanted, given] = [target.bitmap.size, source.bitmap.size];
  if (wanted !== given)
    throw new BlockError(
      EINVAL,
      `Bitmaps are of different sizes (destination size is ${wanted}, source size is ${given}) and can't be merged`,
    );
  const merge = (): HBitmap => {
    const backup = target.bitmap;
    target.bitmap = backup.copy();
    target.bitmap.merge(source.bitmap);
    return backup;
  };
  const backup = withDirtyBitmapsLock(target.bs, () =>
    source.bs === target.bs ? merge() : withDirtyBitmapsLock(source.bs, merge),
  );
  noteBitmap(target, SITE_MERGE);
  return backup;
}

/** bdrv_dirty_bitmap_truncate (dirty-bitmap.c:364): `bs` is `bytes` bytes long now. */
export function bdrvDirtyBitmapTruncate(bs: BlockDriverState, bytes: number): void {
  ioCode(bs.aioContext, SITE_TRUNCATE);
  assert(bytes >= 0, "a length is not negative");
  if (bs.dirtyBitmaps.length === 0) return;
  withDirtyBitmapsLock(bs, () => {
    for (const bitmap of bs.dirtyBitmaps) {
      modelAssert(!bitmap.busy, "!bdrv_dirty_bitmap_busy(bitmap)", SITE_TRUNCATE);
      modelAssert(bitmap.activeIterators === 0, "!bitmap->active_iterators", SITE_TRUNCATE);
      bitmap.bitmap.truncate(bytes);
    }
  });
}

/** C: BdrvDirtyBitmapIter. The bitmap may change under way: what is set behind the iterator is not found, what is before it is. */
export class BdrvDirtyBitmapIter {
  readonly bitmap: BdrvDirtyBitmap;
  /** Where the search goes on. */
  offset = 0;
  isFree = false;

  constructor(bitmap: BdrvDirtyBitmap) {
    this.bitmap = bitmap;
  }
}

/** bdrv_dirty_iter_new (dirty-bitmap.c:615): from the start of the disk. Free it, or the bitmap stays in use. */
export function bdrvDirtyIterNew(bitmap: BdrvDirtyBitmap): BdrvDirtyBitmapIter {
  ioOrGsCode(bitmap.bs.aioContext, SITE_ITER);
  bitmap.activeIterators++;
  assert(bitmap.activeIterators > 0, "iterators are counted");
  return new BdrvDirtyBitmapIter(bitmap);
}

/** bdrv_dirty_iter_next (dirty-bitmap.c:633): the start of the next dirty chunk, or -1. */
export function bdrvDirtyIterNext(iter: BdrvDirtyBitmapIter): number {
  ioOrGsCode(iter.bitmap.bs.aioContext, SITE_ITER);
  assert(!iter.isFree, "an iterator is used before it is freed");
  const { bitmap } = iter.bitmap;
  const found = bitmap.nextDirty(iter.offset);
  if (found < 0) return -1;
  const start = found - (found % bitmap.granularity);
  iter.offset = start + bitmap.granularity;
  return start;
}

/** bdrv_set_dirty_iter (dirty-bitmap.c:768): go on at `offset`. */
export function bdrvSetDirtyIter(iter: BdrvDirtyBitmapIter, offset: number): void {
  ioOrGsCode(iter.bitmap.bs.aioContext, SITE_ITER);
  assert(!iter.isFree, "an iterator is used before it is freed");
  assert(offset >= 0, "an iterator stands inside the disk");
  iter.offset = offset;
}

/** bdrv_dirty_iter_free (dirty-bitmap.c:624). */
export function bdrvDirtyIterFree(iter: BdrvDirtyBitmapIter): void {
  ioOrGsCode(iter.bitmap.bs.aioContext, SITE_ITER);
  assert(!iter.isFree, "an iterator is freed once");
  assert(iter.bitmap.activeIterators > 0, "iterators are counted");
  iter.isFree = true;
  iter.bitmap.activeIterators--;
}
