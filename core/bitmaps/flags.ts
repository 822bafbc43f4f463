// What a dirty bitmap is: enabled, busy, read-only, persistent, inconsistent; and what users are told of that.

import { assert, EINVAL } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, ioCode, ioOrGsCode } from "../sched/index.ts";
import { noteBitmap } from "./life.ts";
import {
  BDRV_BITMAP_BUSY,
  BDRV_BITMAP_INCONSISTENT,
  BDRV_BITMAP_RO,
  type BdrvDirtyBitmap,
  withDirtyBitmapsLock,
} from "./state.ts";

const SITE_CHECK = site("bdrv_dirty_bitmap_check");
const SITE_ENABLE = site("bdrv_enable_dirty_bitmap");
const SITE_DISABLE = site("bdrv_disable_dirty_bitmap");
const SITE_BUSY = site("bdrv_dirty_bitmap_set_busy");
const SITE_READONLY = site("bdrv_dirty_bitmap_set_readonly");
const SITE_HAS_READONLY = site("bdrv_has_readonly_bitmaps");
const SITE_PERSISTENCE = site("bdrv_dirty_bitmap_set_persistence");
const SITE_GET_PERSISTENCE = site("bdrv_dirty_bitmap_get_persistence");
const SITE_INCONSISTENT = site("bdrv_dirty_bitmap_set_inconsistent");
const SITE_SKIP_STORE = site("bdrv_dirty_bitmap_skip_store");
const SITE_QUERY = site("bdrv_query_dirty_bitmaps");

/** bdrv_dirty_bitmap_check (dirty-bitmap.c:195): BlockError when the bitmap is something that `flags` (BDRV_BITMAP_*) names. */
export function bdrvDirtyBitmapCheck(bitmap: BdrvDirtyBitmap, flags: number): void {
  ioOrGsCode(bitmap.bs.aioContext, SITE_CHECK);
  assert(flags !== 0, "a check is for something");
  const { name } = bitmap;
  const is = (flag: number, value: boolean) => (flags & flag) !== 0 && value;
  const refuse = (why: string): never => {
    throw new BlockError(EINVAL, `Bitmap '${name}' is ${why}`);
  };
  if (is(BDRV_BITMAP_BUSY, bitmap.busy))
    refuse("currently in use by another operation and cannot be used");
  if (is(BDRV_BITMAP_RO, bitmap.readonly)) refuse("readonly and cannot be modified");
  if (is(BDRV_BITMAP_INCONSISTENT, bitmap.inconsistent)) refuse("inconsistent and cannot be used");
}

/** bdrv_enable_dirty_bitmap (dirty-bitmap.c:563): writes are recorded from now on. */
export function bdrvEnableDirtyBitmap(bitmap: BdrvDirtyBitmap): void {
  globalStateCode(SITE_ENABLE);
  assert(!bitmap.inconsistent, "what is enabled can be used");
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.disabled = false;
  });
  noteBitmap(bitmap, SITE_ENABLE);
}

/** bdrv_disable_dirty_bitmap (dirty-bitmap.c:556): writes are not recorded any more. */
export function bdrvDisableDirtyBitmap(bitmap: BdrvDirtyBitmap): void {
  globalStateCode(SITE_DISABLE);
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.disabled = true;
  });
  noteBitmap(bitmap, SITE_DISABLE);
}

/** bdrv_dirty_bitmap_set_busy (dirty-bitmap.c:163). */
export function bdrvDirtyBitmapSetBusy(bitmap: BdrvDirtyBitmap, busy: boolean): void {
  globalStateCode(SITE_BUSY);
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.busy = busy;
  });
}

/** bdrv_dirty_bitmap_set_readonly (dirty-bitmap.c:782). */
export function bdrvDirtyBitmapSetReadonly(bitmap: BdrvDirtyBitmap, readonly: boolean): void {
  globalStateCode(SITE_READONLY);
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.readonly = readonly;
  });
}

/** bdrv_has_readonly_bitmaps (dirty-bitmap.c:789): nothing may be written to `bs`, as a bitmap could not follow. */
export function bdrvHasReadonlyBitmaps(bs: BlockDriverState): boolean {
  ioCode(bs.aioContext, SITE_HAS_READONLY);
  return bs.dirtyBitmaps.length > 0 && bs.dirtyBitmaps.some(({ readonly }) => readonly);
}

/** bdrv_dirty_bitmap_set_persistence (dirty-bitmap.c:815). */
export function bdrvDirtyBitmapSetPersistence(bitmap: BdrvDirtyBitmap, persistent: boolean): void {
  globalStateCode(SITE_PERSISTENCE);
  assert(!persistent || bitmap.name !== null, "what is stored has a name");
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.persistent = persistent;
  });
}

/** bdrv_dirty_bitmap_get_persistence (dirty-bitmap.c:842): whether it would be stored if the image were closed now. */
export function bdrvDirtyBitmapGetPersistence(bitmap: BdrvDirtyBitmap): boolean {
  ioOrGsCode(bitmap.bs.aioContext, SITE_GET_PERSISTENCE);
  return bitmap.persistent && !bitmap.skipStore;
}

/** bdrv_dirty_bitmap_set_inconsistent (dirty-bitmap.c:823): it can be removed, and no more. */
export function bdrvDirtyBitmapSetInconsistent(bitmap: BdrvDirtyBitmap): void {
  globalStateCode(SITE_INCONSISTENT);
  assert(bitmap.persistent, "an inconsistent bitmap is one of an image");
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.inconsistent = true;
    bitmap.disabled = true;
  });
}

/** bdrv_dirty_bitmap_skip_store (dirty-bitmap.c:833). */
export function bdrvDirtyBitmapSkipStore(bitmap: BdrvDirtyBitmap, skip: boolean): void {
  globalStateCode(SITE_SKIP_STORE);
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.skipStore = skip;
  });
}

/** QAPI: BlockDirtyInfo. */
export interface BlockDirtyInfo {
  /** Bytes of dirty chunks. */
  readonly count: number;
  readonly granularity: number;
  readonly name: string | null;
  readonly recording: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  readonly inconsistent: boolean;
}

/** bdrv_query_dirty_bitmaps (dirty-bitmap.c:570): what is said of those of `bs`, the newest first. */
export function bdrvQueryDirtyBitmaps(bs: BlockDriverState): BlockDirtyInfo[] {
  globalStateCode(SITE_QUERY);
  return withDirtyBitmapsLock(bs, () =>
    bs.dirtyBitmaps.map((bitmap) => ({
      count: bitmap.bitmap.dirtyBytes,
      granularity: bitmap.bitmap.granularity,
      name: bitmap.name,
      recording: !bitmap.disabled || (bitmap.successor !== null && !bitmap.successor.disabled),
      busy: bitmap.busy,
      persistent: bitmap.persistent,
      inconsistent: bitmap.inconsistent,
    })),
  );
}
