// Making the guest's disk longer or shorter.

import { assert, EFBIG, EINVAL, EIO, ENOTSUP, strerror } from "../../base/index.ts";
import { bdrvDirtyBitmapCheck } from "../../bitmaps/flags.ts";
import { BDRV_BITMAP_DEFAULT } from "../../bitmaps/state.ts";
import { backingOf } from "../../graph/access.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import type { Truncation } from "../../graph/truncation.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { guestZero, qiovOf } from "../../io/guest-copy.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { alignUp, BDRV_SECTOR_SIZE } from "../../io/limits.ts";
import { bdrvCoTruncate } from "../../io/truncate.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  hostAllocate,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
} from "../../sched/index.ts";
import { allocClusters, freeClusters } from "./allocate.ts";
import { L1_BYTES_MAX } from "./format.ts";
import { updateHeader } from "./header-update.ts";
import { barrier, imageFile } from "./metadata-io.ts";
import { writeChecked } from "./overlap.ts";
import { endOfUse, preallocateMetadata, preallocateRoom } from "./preallocate.ts";
import { stateOf } from "./state.ts";
import { ENTRY_BYTES, PagedTable } from "./table.ts";
import { tableGet } from "./table-io.ts";
import { writePlain } from "./write.ts";
import { writeCaches } from "./write-back.ts";
import { qcow2CoPwriteZeroes, qcow2Forget, qcow2ZeroData } from "./zero.ts";

/** Bytes of a write of zeroes. */
const ZEROES_BYTES = 1 << 20;

const SITE_TRUNCATE = site("qcow2_co_truncate");

/**
 * qcow2_co_truncate: let the disk be `offset` bytes long. 0 or a negated errno, with the reason said to `how`. Where it grows it reads as
 * zeroes, also above a backing file that is longer, which version 2 can only within a cluster or with room taken: else ENOTSUP, as in
 * QEMU. What is cut off is discarded.
 */
export function* qcow2CoTruncate(
  bs: BlockDriverState,
  offset: number,
  how: Truncation,
): Co<number> {
  ioCode(bs.aioContext, SITE_TRUNCATE);
  assert(offset >= 0, "a disk has no negative length");
  const state = stateOf(bs);
  const refused = state.corrupt
    ? new BlockError(EIO, "Image is corrupt")
    : (resizeRefusal(bs, offset) ?? preallocRefusal(state.size, offset, how));
  if (refused !== null) {
    how.errorSetg(refused.message);
    return -refused.errno;
  }
  let said = false;
  const errorSetg = (message: string): void => {
    said = true;
    how.errorSetg(message);
  };
  const isShorter = offset < state.size;
  const ret = isShorter
    ? yield* shrink(bs, offset, { ...how, errorSetg })
    : yield* grow(bs, offset, { ...how, errorSetg });
  if (ret < 0 && !said)
    how.errorSetg(`Failed to ${isShorter ? "shrink" : "grow"} the image: ${strerror(-ret)}`);
  return ret;
}

function preallocRefusal(
  size: number,
  offset: number,
  { prealloc }: Truncation,
): BlockError | null {
  if (prealloc === "off" || offset >= size) return null;
  return new BlockError(EINVAL, "Preallocation can't be used for shrinking an image");
}

/** Why qcow2_co_truncate would not let the disk be `offset` bytes long, before it does anything; null when it may. */
function resizeRefusal(bs: BlockDriverState, offset: number): BlockError | null {
  const { header, snapshots, clusterBytes, l2Entries } = stateOf(bs);
  if (offset % 512 !== 0) return new BlockError(EINVAL, "The new size must be a multiple of 512");
  if (header.version < 3 && snapshots.length > 0)
    return new BlockError(ENOTSUP, "Can't resize a v2 image which has snapshots");
  const entries = Math.ceil(offset / (clusterBytes * l2Entries));
  if (entries * ENTRY_BYTES > L1_BYTES_MAX)
    return new BlockError(EFBIG, "Failed to grow the L1 table: File too large");
  return bitmapRefusal(bs);
}

/** qcow2_truncate_bitmaps_check: of a stored bitmap that cannot follow the disk. */
function bitmapRefusal(bs: BlockDriverState): BlockError | null {
  for (const bitmap of bs.dirtyBitmaps) {
    if (!bitmap.persistent) continue;
    try {
      bdrvDirtyBitmapCheck(bitmap, BDRV_BITMAP_DEFAULT);
    } catch (error) {
      if (error instanceof BlockError) return new BlockError(ENOTSUP, error.message);
      throw error;
    }
  }
  return null;
}

/** The clusters behind the new end are free again. What is left in the last one goes when the disk grows. */
function* shrink(bs: BlockDriverState, offset: number, how: Truncation): Co<number> {
  const { size } = stateOf(bs);
  let ret = yield* qcow2Forget(bs, offset, size);
  if (ret >= 0) ret = yield* resizeDataFile(bs, offset, how);
  if (ret >= 0) ret = yield* setSize(bs, offset);
  if (ret >= 0) yield* cutFile(bs);
  return ret;
}

/** An external data file is as long as the disk. */
function* resizeDataFile(bs: BlockDriverState, offset: number, how: Truncation): Co<number> {
  const { dataFile } = stateOf(bs);
  return dataFile === null ? 0 : yield* bdrvCoTruncate(dataFile, offset, how);
}

/** The file ends with the last cluster that is in use. That it cannot be cut is no error. */
function* cutFile(bs: BlockDriverState): Co<void> {
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.lock);
  const length = bdrvGetlength(nodeBehind(imageFile(bs), SITE_TRUNCATE));
  const end = (yield* endOfUse(bs, length)) * state.clusterBytes;
  if (end > 0 && end < length) yield* bdrvCoTruncate(imageFile(bs), end);
  qemuCoMutexUnlock(state.lock);
}

function* grow(bs: BlockDriverState, offset: number, how: Truncation): Co<number> {
  const state = stateOf(bs);
  const { clusterBytes, size: old, header } = state;
  const backing = backingOf(bs, SITE_TRUNCATE);
  const backed = backing === null ? 0 : bdrvGetlength(nodeBehind(backing, SITE_TRUNCATE));
  if (backed < 0) return backed;
  const clusterEnd = Math.min(offset, Math.ceil(old / clusterBytes) * clusterBytes);
  const isBacked = backed > old;
  const isRoom = state.dataFile === null && (how.prealloc === "falloc" || how.prealloc === "full");
  if (isBacked && !isRoom && offset > clusterEnd && header.version < 3) {
    how.errorSetg(`Failed to zero out new clusters: ${strerror(ENOTSUP)}`);
    return -ENOTSUP;
  }
  const entries = Math.ceil(offset / (clusterBytes * state.l2Entries));
  yield* qemuCoMutexLock(state.lock);
  let ret = entries > state.l1.entries ? yield* growL1(bs, entries) : 0;
  qemuCoMutexUnlock(state.lock);
  if (ret < 0) return ret;
  if (clusterEnd > old && !isBacked) ret = yield* qcow2ZeroData(bs, old, clusterEnd - old);
  if (ret >= 0) {
    ret = isRoom
      ? yield* preallocateRoom(bs, { from: old, to: offset }, how, isBacked)
      : yield* preallocateTables(bs, { from: old, to: offset }, how);
  }
  // New clusters with room hide what is below, but for the one that was there.
  const hidden = isRoom ? clusterEnd : offset;
  if (ret >= 0 && isBacked && hidden > old) ret = yield* zeroOut(bs, old, hidden - old);
  return ret < 0 ? ret : yield* setSize(bs, offset);
}

/** A raw data file is all of the disk, so the tables have a place for all of it, whether it was asked for or not. */
function* preallocateTables(
  bs: BlockDriverState,
  growth: { readonly from: number; readonly to: number },
  how: Truncation,
): Co<number> {
  const prealloc =
    how.prealloc === "off" && stateOf(bs).header.dataFileRaw ? "metadata" : how.prealloc;
  if (prealloc === "off") return yield* resizeDataFile(bs, growth.to, how);
  return yield* preallocateMetadata(bs, growth, { ...how, prealloc });
}

/** Zeroes, as data where the version knows no others. */
function* zeroOut(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  const ret = yield* qcow2CoPwriteZeroes(bs, offset, bytes, 0);
  if (ret !== -ENOTSUP) return ret;
  const zeroes = qiovOf(hostAllocate(Math.min(bytes, ZEROES_BYTES)));
  guestZero(zeroes, zeroes.buffer.length);
  for (let done = 0; done < bytes; done += zeroes.buffer.length) {
    const part = Math.min(bytes - done, zeroes.buffer.length);
    const written = yield* writePlain(bs, offset + done, part, zeroes);
    if (written < 0) return written;
  }
  return 0;
}

function* setSize(bs: BlockDriverState, size: number): Co<number> {
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.lock);
  // The tables first: what is cut off must be gone from them before the header says so.
  let ret = yield* writeCaches(bs);
  if (ret >= 0) ret = yield* updateHeader(bs, { size });
  qemuCoMutexUnlock(state.lock);
  if (ret >= 0) state.size = size;
  return ret;
}

/** qcow2_grow_l1_table: a longer one elsewhere, which the header names when it is there. */
function* growL1(bs: BlockDriverState, entries: number): Co<number> {
  const state = stateOf(bs);
  const { clusterBytes, l1: old } = state;
  const clusters = Math.ceil((entries * ENTRY_BYTES) / clusterBytes);
  // What a cluster has behind the table is nobody's.
  const bytes = new DataView(new ArrayBuffer(alignUp(entries * ENTRY_BYTES, BDRV_SECTOR_SIZE)));
  for (let i = 0; i < old.entries; i++) {
    const entry = yield* tableGet(bs, old, i);
    if (typeof entry === "number") return entry;
    bytes.setUint32(i * ENTRY_BYTES, entry.high);
    bytes.setUint32(i * ENTRY_BYTES + 4, entry.low);
  }
  yield* blkdbgFileEvent(bs, "l1_grow_alloc_table");
  const first = yield* allocClusters(bs, clusters);
  if (first < 0) return first;
  let ret = yield* writeCaches(bs);
  if (ret >= 0) ret = yield* barrier(bs);
  const l1Offset = first * clusterBytes;
  yield* blkdbgFileEvent(bs, "l1_grow_write_table");
  if (ret >= 0) ret = yield* writeChecked(bs, l1Offset, new Uint8Array(bytes.buffer));
  yield* blkdbgFileEvent(bs, "l1_grow_activate_table");
  if (ret >= 0) ret = yield* updateHeader(bs, { l1Offset, l1Size: entries });
  // After a failure the header may name either: then the new clusters are leaked.
  if (ret < 0) return ret;
  state.l1 = new PagedTable(l1Offset, entries);
  const oldClusters = Math.ceil((old.entries * ENTRY_BYTES) / clusterBytes);
  if (oldClusters === 0) return 0;
  return yield* freeClusters(bs, old.offset / clusterBytes, oldClusters, "other");
}
