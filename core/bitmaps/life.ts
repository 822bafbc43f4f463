// Dirty bitmaps come and go: found by name, created, released.

import { assert, EINVAL, type SiteId, strerror } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { bdrvGetInfo } from "../io/info.ts";
import { bdrvGetlength } from "../io/length.ts";
import { BDRV_SECTOR_SIZE } from "../io/limits.ts";
import { Ev, site } from "../probe/index.ts";
import { globalStateCode, ioOrGsCode, machine, modelAssert } from "../sched/index.ts";
import { HBITMAP_CHUNKS_MAX, HBitmap } from "./hbitmap.ts";
import { BDRV_BITMAP_MAX_NAME_SIZE, BdrvDirtyBitmap, withDirtyBitmapsLock } from "./state.ts";

const SITE_FIND = site("bdrv_find_dirty_bitmap");
const SITE_CREATE = site("bdrv_create_dirty_bitmap");
const SITE_RELEASE = site("bdrv_release_dirty_bitmap");
const SITE_RELEASE_NAMED = site("bdrv_release_named_dirty_bitmaps");
const SITE_GRANULARITY = site("bdrv_get_default_bitmap_granularity");

/** bdrv_find_dirty_bitmap (dirty-bitmap.c:83): the bitmap of `bs` with that name, or null. */
export function bdrvFindDirtyBitmap(bs: BlockDriverState, name: string): BdrvDirtyBitmap | null {
  ioOrGsCode(bs.aioContext, SITE_FIND);
  assert(name.length > 0, "a bitmap that can be found has a name");
  return bs.dirtyBitmaps.find((bitmap) => bitmap.name === name) ?? null;
}

/**
 * bdrv_create_dirty_bitmap (dirty-bitmap.c:97): a clean bitmap of `bs`, enabled; without a name for jobs. BlockError when the name
 * is taken or too long, or when the node is too long for chunks of `granularity` bytes. Differs from QEMU: the latter has a limit.
 */
export function bdrvCreateDirtyBitmap(
  bs: BlockDriverState,
  granularity: number,
  name: string | null,
): BdrvDirtyBitmap {
  globalStateCode(SITE_CREATE);
  assert(Number.isInteger(Math.log2(granularity)), "a granularity is a power of two");
  assert(granularity >= BDRV_SECTOR_SIZE, "a granularity is a sector at least");
  if (name !== null) {
    if (bdrvFindDirtyBitmap(bs, name) !== null)
      throw new BlockError(EINVAL, `Bitmap already exists: ${name}`);
    if (utf8Length(name) > BDRV_BITMAP_MAX_NAME_SIZE)
      throw new BlockError(EINVAL, `Bitmap name too long: ${name}`);
  }
  const size = bdrvGetlength(bs);
  if (size < 0) throw new BlockError(-size, `could not get length of device: ${strerror(-size)}`);
  if (size / granularity > HBITMAP_CHUNKS_MAX)
    throw new BlockError(
      EINVAL,
      `A granularity of ${granularity} bytes is too fine for a disk of ${size} bytes; use a larger granularity`,
    );
  const bitmap = new BdrvDirtyBitmap(bs, name, new HBitmap(size, granularity));
  withDirtyBitmapsLock(bs, () => bs.dirtyBitmaps.unshift(bitmap));
  noteBitmap(bitmap, SITE_CREATE);
  return bitmap;
}

/** bdrv_release_dirty_bitmap (dirty-bitmap.c:381): it is no more. Nobody uses it. */
export function bdrvReleaseDirtyBitmap(bitmap: BdrvDirtyBitmap): void {
  globalStateCode(SITE_RELEASE);
  withDirtyBitmapsLock(bitmap.bs, () => releaseLocked(bitmap));
}

/** bdrv_release_dirty_bitmap_locked: under the node's mutex. */
export function bdrvReleaseDirtyBitmapLocked(bitmap: BdrvDirtyBitmap): void {
  globalStateCode(SITE_RELEASE);
  releaseLocked(bitmap);
}

function releaseLocked(bitmap: BdrvDirtyBitmap): void {
  modelAssert(bitmap.activeIterators === 0, "!bitmap->active_iterators", SITE_RELEASE);
  modelAssert(!bitmap.busy, "!bdrv_dirty_bitmap_busy(bitmap)", SITE_RELEASE);
  modelAssert(bitmap.successor === null, "!bdrv_dirty_bitmap_has_successor(bitmap)", SITE_RELEASE);
  const { dirtyBitmaps } = bitmap.bs;
  const index = dirtyBitmaps.indexOf(bitmap);
  assert(index >= 0, "a bitmap that is released is one of its node");
  dirtyBitmaps.splice(index, 1);
  noteBitmap(bitmap, SITE_RELEASE);
}

/** bdrv_release_named_dirty_bitmaps (dirty-bitmap.c:397): those of users, when `bs` is closed. */
export function bdrvReleaseNamedDirtyBitmaps(bs: BlockDriverState): void {
  globalStateCode(SITE_RELEASE_NAMED);
  for (const bitmap of [...bs.dirtyBitmaps])
    if (bitmap.name !== null) bdrvReleaseDirtyBitmap(bitmap);
  assert(
    bs.dirtyBitmaps.every(({ name }) => name === null),
    "no bitmap with a name is left",
  );
}

/** bdrv_get_default_bitmap_granularity (dirty-bitmap.c:596): a cluster of the image, between 4 and 64 KiB. */
export function bdrvGetDefaultBitmapGranularity(bs: BlockDriverState): number {
  globalStateCode(SITE_GRANULARITY);
  assert(!bs.closed, "the node is open");
  const clusterBytes = bdrvGetInfo(bs)?.clusterBytes ?? 0;
  return clusterBytes > 0 ? Math.min(65_536, Math.max(4096, clusterBytes)) : 65_536;
}

/** For a recording: something was done to `bitmap`, by the function at `by`. Common. */
export function noteBitmap(bitmap: BdrvDirtyBitmap, by: SiteId): void {
  const { probe } = machine;
  const name = probe.intern(bitmap.name ?? "");
  probe.emit(Ev.dirty_bitmap, bitmap.bs.id, by, name);
}

/** Bytes of `text` in UTF-8. Common. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
