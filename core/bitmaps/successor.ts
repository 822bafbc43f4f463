// A job that reads a bitmap freezes it: an anonymous successor records what is written meanwhile. In the end the successor either
// takes its place (the job did what the bitmap was for), or is merged back into it (it did not).

import { assert, EINVAL } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, modelAssert } from "../sched/index.ts";
import { bdrvDirtyBitmapCheck } from "./flags.ts";
import {
  bdrvCreateDirtyBitmap,
  bdrvReleaseDirtyBitmap,
  bdrvReleaseDirtyBitmapLocked,
  noteBitmap,
} from "./life.ts";
import { BDRV_BITMAP_BUSY, type BdrvDirtyBitmap, withDirtyBitmapsLock } from "./state.ts";

const SITE_CREATE = site("bdrv_dirty_bitmap_create_successor");
const SITE_ENABLE = site("bdrv_dirty_bitmap_enable_successor");
const SITE_ABDICATE = site("bdrv_dirty_bitmap_abdicate");
const SITE_RECLAIM = site("bdrv_reclaim_dirty_bitmap");

/** bdrv_dirty_bitmap_create_successor (dirty-bitmap.c:226): freeze it, and record elsewhere. BlockError when it is in use. */
export function bdrvDirtyBitmapCreateSuccessor(bitmap: BdrvDirtyBitmap): BdrvDirtyBitmap {
  globalStateCode(SITE_CREATE);
  bdrvDirtyBitmapCheck(bitmap, BDRV_BITMAP_BUSY);
  if (bitmap.successor !== null)
    throw new BlockError(EINVAL, "Cannot create a successor for a bitmap that already has one");
  const successor = bdrvCreateDirtyBitmap(bitmap.bs, bitmap.bitmap.granularity, null);
  withDirtyBitmapsLock(bitmap.bs, () => {
    successor.disabled = bitmap.disabled;
    bitmap.disabled = true;
    bitmap.successor = successor;
    bitmap.busy = true;
  });
  noteBitmap(bitmap, SITE_CREATE);
  return successor;
}

/** bdrv_dirty_bitmap_enable_successor (dirty-bitmap.c:263). */
export function bdrvDirtyBitmapEnableSuccessor(bitmap: BdrvDirtyBitmap): void {
  globalStateCode(SITE_ENABLE);
  const { successor } = bitmap;
  modelAssert(successor?.bs === bitmap.bs, "bitmap->bs == bitmap->successor->bs", SITE_ENABLE);
  withDirtyBitmapsLock(bitmap.bs, () => {
    successor.disabled = false;
  });
}

/** bdrv_dirty_bitmap_abdicate (dirty-bitmap.c:288): the successor gets its name, and it goes. */
export function bdrvDirtyBitmapAbdicate(bitmap: BdrvDirtyBitmap): BdrvDirtyBitmap {
  globalStateCode(SITE_ABDICATE);
  const { successor, name } = bitmap;
  if (successor === null)
    throw new BlockError(EINVAL, "Cannot relinquish control if there's no successor present");
  withDirtyBitmapsLock(bitmap.bs, () => {
    successor.name = name;
    successor.persistent = bitmap.persistent;
    bitmap.name = null;
    bitmap.successor = null;
    bitmap.persistent = false;
    bitmap.busy = false;
  });
  noteBitmap(successor, SITE_ABDICATE);
  bdrvReleaseDirtyBitmap(bitmap);
  assert(successor.name === name, "the name has passed on");
  return successor;
}

/** bdrv_reclaim_dirty_bitmap (dirty-bitmap.c:349): what the successor has recorded is its own now, and it records again. */
export function bdrvReclaimDirtyBitmap(bitmap: BdrvDirtyBitmap): BdrvDirtyBitmap {
  globalStateCode(SITE_RECLAIM);
  const { successor } = bitmap;
  if (successor === null)
    throw new BlockError(EINVAL, "Cannot reclaim a successor when none is present");
  withDirtyBitmapsLock(bitmap.bs, () => {
    bitmap.bitmap.merge(successor.bitmap);
    bitmap.disabled = successor.disabled;
    bitmap.busy = false;
    bitmap.successor = null;
    bdrvReleaseDirtyBitmapLocked(successor);
  });
  noteBitmap(bitmap, SITE_RECLAIM);
  assert(!bitmap.busy, "a bitmap that was reclaimed is free");
  return bitmap;
}
