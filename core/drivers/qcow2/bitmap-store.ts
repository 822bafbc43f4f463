// Persistent bitmaps go back into the image when it is closed, handed over or made read-only; and new ones are checked for whether
// they could.
//
// The new bits and tables are written to clusters of their own, then a new directory names them, then the header that. Only then
// are the old ones free. So a cut leaves the old directory, which says that its bitmaps are in use, or the new one.

import { assert, EINVAL, must } from "../../base/index.ts";
import { bdrvDirtyBitmapGetPersistence, bdrvDirtyBitmapSetReadonly } from "../../bitmaps/flags.ts";
import { bdrvFindDirtyBitmap, bdrvReleaseDirtyBitmap, utf8Length } from "../../bitmaps/life.ts";
import type { BdrvDirtyBitmap } from "../../bitmaps/state.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  globalStateCode,
  ioCode,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  runInCoroutine,
} from "../../sched/index.ts";
import {
  bitmapError,
  directoryEntryBytes,
  nameDirectory,
  readDirectory,
  type StoredBitmap,
  writeDirectory,
} from "./bitmap-directory.ts";
import { freeBitmap, storeBits } from "./bitmap-table.ts";
import * as format from "./format.ts";
import { stateOf } from "./state.ts";

const SITE_STORE = site("qcow2_store_persistent_dirty_bitmaps");
const SITE_RO = site("qcow2_reopen_bitmaps_ro");
const SITE_REMOVE = site("qcow2_co_remove_persistent_dirty_bitmap");
const SITE_CAN_STORE = site("qcow2_co_can_store_new_dirty_bitmap");

/**
 * qcow2_store_persistent_dirty_bitmaps: write those of `bs` into the image, and with `release` let go of them. BlockError when one
 * cannot be stored; then the image has what it had, and says that it is out of date. Polls.
 */
export function* storePersistentDirtyBitmaps(bs: BlockDriverState, release: boolean): Polls<void> {
  globalStateCode(SITE_STORE);
  const persistent = bs.dirtyBitmaps.filter(
    (bitmap) => bdrvDirtyBitmapGetPersistence(bitmap) && !bitmap.inconsistent,
  );
  const changed = persistent.filter(({ readonly }) => !readonly);
  if (changed.length > 0) {
    assert(!bs.readOnly, "who may not write has read-only bitmaps");
    const store = (): Co<BlockError | null> => storeAll(bs, changed);
    const error = yield* runInCoroutine(bs.aioContext, store, SITE_STORE);
    if (error !== null) throw error;
  }
  if (release) for (const bitmap of persistent) bdrvReleaseDirtyBitmap(bitmap);
}

/** qcow2_reopen_bitmaps_ro: store them, and let nobody change them any more. BlockError. Polls. */
export function* reopenBitmapsRo(bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_RO);
  yield* storePersistentDirtyBitmaps(bs, false);
  for (const bitmap of bs.dirtyBitmaps)
    if (bdrvDirtyBitmapGetPersistence(bitmap)) bdrvDirtyBitmapSetReadonly(bitmap, true);
}

function* storeAll(
  bs: BlockDriverState,
  bitmaps: readonly BdrvDirtyBitmap[],
): Co<BlockError | null> {
  const { lock } = stateOf(bs);
  yield* qemuCoMutexLock(lock);
  const error = yield* storeLocked(bs, bitmaps);
  qemuCoMutexUnlock(lock);
  return error;
}

function* storeLocked(
  bs: BlockDriverState,
  bitmaps: readonly BdrvDirtyBitmap[],
): Co<BlockError | null> {
  const old = yield* readDirectory(bs);
  if (old instanceof BlockError) return old;
  const refused = bitmaps.map((bitmap) => refusalOf(bs, bitmap, old)).find((why) => why !== null);
  if (refused !== undefined) return refused;
  const written: StoredBitmap[] = [];
  for (const bitmap of bitmaps) {
    const stored = yield* storeOne(bs, bitmap);
    if (!(stored instanceof BlockError)) {
      written.push(stored);
      continue;
    }
    yield* freeAll(bs, written);
    return stored;
  }
  // Those that the image has keep their order.
  const kept = old.map((one) => written.find(({ name }) => name === one.name) ?? one);
  const added = written.filter(({ name }) => old.every((one) => one.name !== name));
  const directory = yield* writeDirectory(bs, [...kept, ...added]);
  if (typeof directory === "number") {
    yield* freeAll(bs, written);
    return bitmapError(directory, FAILED_UPDATE);
  }
  const ret = yield* nameDirectory(bs, directory);
  if (ret < 0) return bitmapError(ret, FAILED_UPDATE);
  yield* freeAll(
    bs,
    old.filter(({ name }) => written.some((one) => one.name === name)),
  );
  return null;
}

const FAILED_UPDATE = "Failed to update bitmap extension";

/** Nothing names these any more, or has yet. What cannot be counted down is leaked. */
function* freeAll(bs: BlockDriverState, list: readonly StoredBitmap[]): Co<void> {
  for (const one of list) if (!stateOf(bs).corrupt) yield* freeBitmap(bs, one);
}

function* storeOne(bs: BlockDriverState, bitmap: BdrvDirtyBitmap): Co<StoredBitmap | BlockError> {
  const name = must(bitmap.name, "what is persistent has a name");
  const place = yield* storeBits(bs, bitmap.bitmap);
  if (typeof place === "number")
    return bitmapError(place, `Failed to write bitmap '${name}' to file`);
  return {
    ...place,
    name,
    flags: bitmap.disabled ? 0 : format.BITMAP_FLAG_AUTO,
    granularityBits: Math.log2(bitmap.bitmap.granularity),
  };
}

/** Why a bitmap cannot be stored beside those that the image has; null when it can. */
function refusalOf(
  bs: BlockDriverState,
  { name, bitmap }: BdrvDirtyBitmap,
  old: readonly StoredBitmap[],
): BlockError | null {
  const problem = constraintProblem(bs, name ?? "", bitmap.granularity);
  if (problem !== null)
    return new BlockError(EINVAL, `Bitmap '${name}' doesn't satisfy the constraints: ${problem}`);
  const known = old.find((one) => one.name === name);
  if (known === undefined || (known.flags & format.BITMAP_FLAG_IN_USE) !== 0) return null;
  return new BlockError(EINVAL, `Bitmap '${name}' already exists in the image`);
}

/** check_constraints_on_bitmap: null when the image of `bs` can have it. */
function constraintProblem(bs: BlockDriverState, name: string, granularity: number): string | null {
  const { size, clusterBytes } = stateOf(bs);
  const bits = Math.log2(granularity);
  const [least, most] = [format.BITMAP_GRANULARITY_BITS_MIN, format.BITMAP_GRANULARITY_BITS_MAX];
  if (bits > most) return `Granularity exceeds maximum (${2 ** most} bytes)`;
  if (bits < least) return `Granularity is under minimum (${2 ** least} bytes)`;
  const bytes = Math.ceil(Math.ceil(size / granularity) / 8);
  if (bytes > format.BITMAP_BYTES_MAX || bytes > format.BITMAP_TABLE_ENTRIES_MAX * clusterBytes)
    return "Too much space will be occupied by the bitmap. Use larger granularity";
  if (utf8Length(name) > format.BITMAP_NAME_BYTES_MAX)
    return `Name length exceeds maximum (${format.BITMAP_NAME_BYTES_MAX} characters)`;
  return null;
}

/** qcow2_co_can_store_new_dirty_bitmap: BlockError when the image cannot have one more like that. */
export function canStoreNewDirtyBitmap(
  bs: BlockDriverState,
  name: string,
  granularity: number,
): void {
  globalStateCode(SITE_CAN_STORE);
  const { header } = stateOf(bs);
  if (bdrvFindDirtyBitmap(bs, name) !== null)
    throw new BlockError(EINVAL, `Bitmap already exists: ${name}`);
  const refuse = (why: string): never => {
    const what = `Can't make bitmap '${name}' persistent in '${bs.nodeName}'`;
    throw new BlockError(EINVAL, `${what}: ${why}`);
  };
  if (header.version < 3) refuse("Cannot store dirty bitmaps in qcow2 v2 files");
  const problem = constraintProblem(bs, name, granularity);
  if (problem !== null) refuse(problem);
  const names = bs.dirtyBitmaps
    .filter((bitmap) => bdrvDirtyBitmapGetPersistence(bitmap))
    .map((bitmap) => must(bitmap.name, "what is persistent has a name"));
  if (names.length >= format.BITMAPS_MAX)
    refuse("Maximum number of persistent bitmaps is already reached");
  const directory = [...names, name].reduce(
    (sum, one) => sum + directoryEntryBytes(utf8Length(one)),
    0,
  );
  if (directory > format.BITMAP_DIRECTORY_BYTES_MAX)
    refuse("Not enough space in the bitmap directory");
}

/** qcow2_co_remove_persistent_dirty_bitmap: null, or why it could not be removed. */
export function* removePersistentDirtyBitmap(
  bs: BlockDriverState,
  name: string,
): Co<BlockError | null> {
  ioCode(bs.aioContext, SITE_REMOVE);
  const { lock } = stateOf(bs);
  yield* qemuCoMutexLock(lock);
  const error = yield* removeLocked(bs, name);
  qemuCoMutexUnlock(lock);
  return error;
}

function* removeLocked(bs: BlockDriverState, name: string): Co<BlockError | null> {
  const list = yield* readDirectory(bs);
  if (list instanceof BlockError) return list;
  const removed = list.find((one) => one.name === name);
  if (removed === undefined) return null;
  const rest = list.filter((one) => one !== removed);
  const directory = yield* writeDirectory(bs, rest);
  const ret = typeof directory === "number" ? directory : yield* nameDirectory(bs, directory);
  if (ret < 0) return bitmapError(ret, FAILED_UPDATE);
  yield* freeAll(bs, [removed]);
  return null;
}
