// Persistent bitmaps come into memory when an image is opened, and become writable with it.
//
// While somebody may write to the image, its directory says of each bitmap that it is in use: what is stored is out of date then, and
// whoever finds one so when he opens the image knows that it was not stored in the end. Such a bitmap is inconsistent, and can only
// be removed. In an image that is read-only, bitmaps are as they are stored, and read-only, too.

import { assert, EINVAL, must } from "../../base/index.ts";
import { bdrvRestoreDirtyBitmap } from "../../bitmaps/dirty.ts";
import {
  bdrvDirtyBitmapSetInconsistent,
  bdrvDirtyBitmapSetPersistence,
  bdrvDirtyBitmapSetReadonly,
  bdrvDisableDirtyBitmap,
} from "../../bitmaps/flags.ts";
import type { HBitmap } from "../../bitmaps/hbitmap.ts";
import {
  bdrvCreateDirtyBitmap,
  bdrvFindDirtyBitmap,
  bdrvReleaseDirtyBitmap,
} from "../../bitmaps/life.ts";
import type { BdrvDirtyBitmap } from "../../bitmaps/state.ts";
import { BlockError, settle } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { bdrvDecInFlight, bdrvIncInFlight } from "../../io/in-flight.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  globalStateCode,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  runInCoroutine,
} from "../../sched/index.ts";
import {
  bitmapError,
  readDirectory,
  type StoredBitmap,
  updateDirectoryInPlace,
} from "./bitmap-directory.ts";
import { loadBits } from "./bitmap-table.ts";
import * as format from "./format.ts";
import { stateOf } from "./state.ts";

const SITE_LOAD = site("qcow2_load_dirty_bitmaps");
const SITE_REOPEN = site("qcow2_reopen_bitmaps_rw");
const SITE_INFO = site("qcow2_get_bitmap_info_list");

/** What users are told of a bitmap in an image (QAPI: Qcow2BitmapInfo). */
export interface Qcow2StoredBitmap {
  readonly name: string;
  /** Bytes that one bit stands for. */
  readonly granularity: number;
  readonly isInUse: boolean;
  readonly isAuto: boolean;
}

/** qcow2_load_dirty_bitmaps: BlockError when one cannot be loaded; then there is none. Polls. */
export function* loadDirtyBitmaps(bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_LOAD);
  if (stateOf(bs).header.bitmaps === null) return;
  const read = yield* runInCoroutine(bs.aioContext, () => underLock(bs, readAll), SITE_LOAD);
  if (read instanceof BlockError) throw read;
  const created: BdrvDirtyBitmap[] = [];
  const done = yield* settle(function* (): Polls<void> {
    for (const { stored, bits } of read) {
      const isInUse = (stored.flags & format.BITMAP_FLAG_IN_USE) !== 0;
      // One that is in memory already is the right one: the image was handed over and comes back.
      if (isInUse && bdrvFindDirtyBitmap(bs, stored.name) !== null) continue;
      created.push(createLoaded(bs, stored, bits));
    }
    const list = read.map(({ stored }) => stored);
    if (canWrite(bs)) yield* markInUse(bs, list, "Can't update bitmap directory");
  });
  if (done.ok) return;
  for (const bitmap of created) bdrvReleaseDirtyBitmap(bitmap);
  throw done.error;
}

/** C: can_write. */
function canWrite(bs: BlockDriverState): boolean {
  return !bs.readOnly && !bs.inactive;
}

/** A stored bitmap with its bits; null when they are not to be trusted. */
interface LoadedBitmap {
  readonly stored: StoredBitmap;
  readonly bits: HBitmap | null;
}

function* readAll(bs: BlockDriverState): Co<LoadedBitmap[] | BlockError> {
  const list = yield* readDirectory(bs);
  if (list instanceof BlockError) return list;
  const { clusterBytes } = stateOf(bs);
  let memory = 0;
  const loaded: LoadedBitmap[] = [];
  for (const stored of list) {
    if ((stored.flags & format.BITMAP_FLAG_IN_USE) !== 0) {
      loaded.push({ stored, bits: null });
      continue;
    }
    memory += stored.tableEntries * clusterBytes;
    if (memory > format.BITMAPS_MEMORY_MAX)
      return new BlockError(EINVAL, "The bitmaps of the image need too much memory");
    const bits = yield* loadBits(bs, stored);
    if (bits instanceof BlockError) return bits;
    loaded.push({ stored, bits });
  }
  return loaded;
}

function createLoaded(
  bs: BlockDriverState,
  { name, flags, granularityBits }: StoredBitmap,
  bits: HBitmap | null,
): BdrvDirtyBitmap {
  const bitmap = bdrvCreateDirtyBitmap(bs, 2 ** granularityBits, name);
  bdrvDirtyBitmapSetPersistence(bitmap, true);
  if (bits === null) bdrvDirtyBitmapSetInconsistent(bitmap);
  else bdrvRestoreDirtyBitmap(bitmap, bits);
  if ((flags & format.BITMAP_FLAG_AUTO) === 0) bdrvDisableDirtyBitmap(bitmap);
  if (!canWrite(bs)) bdrvDirtyBitmapSetReadonly(bitmap, true);
  return bitmap;
}

/** The image says that its bitmaps are in use; BlockError when it cannot be written. Polls. */
function* markInUse(
  bs: BlockDriverState,
  list: readonly StoredBitmap[],
  what: string,
): Polls<void> {
  if (list.every(({ flags }) => (flags & format.BITMAP_FLAG_IN_USE) !== 0)) return;
  const marked = list.map((one) => ({ ...one, flags: one.flags | format.BITMAP_FLAG_IN_USE }));
  const update = (): Co<number> => underLock(bs, () => updateDirectoryInPlace(bs, marked));
  const ret = yield* runInCoroutine(bs.aioContext, update, SITE_LOAD);
  if (ret < 0) throw bitmapError(ret, what);
}

function* underLock<T>(bs: BlockDriverState, body: (bs: BlockDriverState) => Co<T>): Co<T> {
  const { lock } = stateOf(bs);
  yield* qemuCoMutexLock(lock);
  const value = yield* body(bs);
  qemuCoMutexUnlock(lock);
  return value;
}

/**
 * qcow2_get_bitmap_info_list (block/qcow2-bitmap.c): the bitmaps that the image has, as they are stored; BlockError when its
 * directory cannot be read. Polls.
 */
export function* qcow2StoredBitmaps(bs: BlockDriverState): Polls<readonly Qcow2StoredBitmap[]> {
  globalStateCode(SITE_INFO);
  const { header } = stateOf(bs);
  if (header.version === 2 || header.bitmaps === null) return [];
  // In flight, unlike in QEMU: nobody may take the image's file away meanwhile.
  const read = function* (): Co<StoredBitmap[] | BlockError> {
    bdrvIncInFlight(bs);
    const stored = yield* underLock(bs, readDirectory);
    bdrvDecInFlight(bs);
    return stored;
  };
  const list = yield* runInCoroutine(bs.aioContext, read, SITE_INFO);
  if (list instanceof BlockError) throw list;
  assert(list.length > 0, "an image without bitmaps has no directory");
  return list.map(({ name, granularityBits, flags }) => ({
    name,
    granularity: 2 ** granularityBits,
    isInUse: (flags & format.BITMAP_FLAG_IN_USE) !== 0,
    isAuto: (flags & format.BITMAP_FLAG_AUTO) !== 0,
  }));
}

/**
 * qcow2_reopen_bitmaps_rw: the image is writable now, and so are its bitmaps. BlockError when they cannot be: they stay read-only, and
 * so nothing can be written to the node. Polls.
 */
export function* reopenBitmapsRw(bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_REOPEN);
  assert(canWrite(bs), "the image has become writable");
  if (stateOf(bs).header.bitmaps === null) return;
  const list = yield* runInCoroutine(
    bs.aioContext,
    () => underLock(bs, readDirectory),
    SITE_REOPEN,
  );
  if (list instanceof BlockError) throw list;
  for (const stored of list) checkAgainstMemory(bs, stored);
  yield* markInUse(bs, list, "Cannot update bitmap directory");
  for (const { name } of list) {
    const bitmap = must(bdrvFindDirtyBitmap(bs, name), "it was there before");
    if (bitmap.readonly) bdrvDirtyBitmapSetReadonly(bitmap, false);
  }
}

/** BlockError when the image and the bitmap in memory contradict each other: somebody else has written to the image. */
function checkAgainstMemory(bs: BlockDriverState, { name, flags }: StoredBitmap): void {
  const bitmap = bdrvFindDirtyBitmap(bs, name);
  if (bitmap === null)
    throw new BlockError(EINVAL, `Unexpected bitmap '${name}' in image '${bs.nodeName}'`);
  const refuse = (why: string): never => {
    throw new BlockError(EINVAL, why);
  };
  const isInUse = (flags & format.BITMAP_FLAG_IN_USE) !== 0;
  const where = `in the image '${bs.nodeName}'`;
  if (!isInUse && !bitmap.readonly)
    refuse(
      `Corruption: bitmap '${name}' is not marked IN_USE ${where} and not marked readonly in RAM`,
    );
  if (!isInUse && bitmap.inconsistent)
    refuse(`Corruption: bitmap '${name}' is inconsistent but is not marked IN_USE ${where}`);
  if (isInUse && bitmap.readonly && !bitmap.inconsistent)
    refuse(
      `Corruption: bitmap '${name}' is marked IN_USE ${where} but it is readonly and consistent in RAM`,
    );
}
