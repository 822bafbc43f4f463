// A dirty bitmap of a node (C: BdrvDirtyBitmap): which chunks of it were written since a moment that the user chose.
//
// State only. The list `dirtyBitmaps` of a node and the fields here are changed in the main context, under the node's
// `dirtyBitmapMutex`; bits are set under it by every write, in whatever thread it runs. Code that only main runs looks without it.

import { assert } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { qemuMutexLock, qemuMutexUnlock } from "../sched/index.ts";
import type { HBitmap } from "./hbitmap.ts";

/** Bytes of a name at most (C: BDRV_BITMAP_MAX_NAME_SIZE). */
export const BDRV_BITMAP_MAX_NAME_SIZE = 1023;

/** What may be wrong with a bitmap that somebody wants to use (C: BDRV_BITMAP_*). */
export const BDRV_BITMAP_BUSY = 1;
export const BDRV_BITMAP_RO = 2;
export const BDRV_BITMAP_INCONSISTENT = 4;
export const BDRV_BITMAP_DEFAULT = BDRV_BITMAP_BUSY | BDRV_BITMAP_RO | BDRV_BITMAP_INCONSISTENT;
export const BDRV_BITMAP_ALLOW_RO = BDRV_BITMAP_BUSY | BDRV_BITMAP_INCONSISTENT;

/** C: BdrvDirtyBitmap. */
export class BdrvDirtyBitmap {
  readonly bs: BlockDriverState;
  /** Null for one that only a job knows. */
  name: string | null;
  bitmap: HBitmap;
  /** A job or an export uses it: users may not. */
  busy = false;
  /** Records in its stead while a job reads it; it is the next in the node's list. */
  successor: BdrvDirtyBitmap | null = null;
  /** Writes leave it alone. */
  disabled = false;
  activeIterators = 0;
  /** Nothing may change it, and so nothing may be written to the node: the image that has it is not writable. */
  readonly = false;
  /** It is stored in the image when that is closed. */
  persistent = false;
  /** What the image has of it cannot be trusted: it can be removed, and nothing else. */
  inconsistent = false;
  /** It is not stored, though persistent: it is being removed. */
  skipStore = false;

  constructor(bs: BlockDriverState, name: string | null, bitmap: HBitmap) {
    assert(name !== "", "a name is not empty");
    this.bs = bs;
    this.name = name;
    this.bitmap = bitmap;
  }
}

/** bdrv_dirty_bitmaps_lock, around `body`, which runs straight through. Common. */
export function withDirtyBitmapsLock<T>(bs: BlockDriverState, body: () => T): T {
  qemuMutexLock(bs.dirtyBitmapMutex);
  const value = body();
  qemuMutexUnlock(bs.dirtyBitmapMutex);
  return value;
}
