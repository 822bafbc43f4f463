// The directory of persistent bitmaps: its entries as bytes and as objects, reading it, and putting another one in its place.
//
//     header extension  ->  directory: | table, flags, granularity, name | ...     ->  table of a bitmap  ->  clusters of bits
//
// The autoclear bit of the header says that the directory is right. To change it in place the bit is cleared first and set again
// afterwards, so that a cut in between loses the bitmaps, and never leaves wrong ones. A new directory is written elsewhere, and
// the header names it when it is there.

import { assert, EINVAL, strerror } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { allocClusters, freeClusters } from "./allocate.ts";
import * as format from "./format.ts";
import { type BitmapsExtension, put64 } from "./header.ts";
import { updateHeader } from "./header-update.ts";
import { readMetadata } from "./metadata-io.ts";
import { writeChecked } from "./overlap.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import { writeCaches } from "./write-back.ts";

const SITE_LOAD = site("bitmap_list_load");
const SITE_IN_PLACE = site("update_ext_header_and_dir_in_place");
const SITE_STORE = site("bitmap_list_store");
const SITE_UPDATE = site("update_ext_header_and_dir");

/** A bitmap in the image (C: Qcow2Bitmap). */
export interface StoredBitmap {
  readonly name: string;
  readonly tableOffset: number;
  readonly tableEntries: number;
  /** BITMAP_FLAG_*. */
  readonly flags: number;
  readonly granularityBits: number;
}

/** Bytes of an entry before its name. */
const ENTRY_BYTES = 24;

/** calc_dir_entry_size: bytes of an entry with a name of `nameBytes` bytes. Common. */
export function directoryEntryBytes(nameBytes: number): number {
  assert(nameBytes > 0, "a bitmap has a name");
  return Math.ceil((ENTRY_BYTES + nameBytes) / 8) * 8;
}

/** bitmap_list_load: what the image has; or a BlockError. Under the lock. */
export function* readDirectory(bs: BlockDriverState): Co<StoredBitmap[] | BlockError> {
  ioCode(bs.aioContext, SITE_LOAD);
  const { bitmaps } = stateOf(bs).header;
  if (bitmaps === null) return [];
  const { directoryOffset: offset, directoryBytes: bytes } = bitmaps;
  const read = yield* readMetadata(bs, offset, bytes);
  if (typeof read === "number")
    return new BlockError(-read, `Failed to read bitmap directory: ${strerror(-read)}`);
  return parseDirectory(stateOf(bs), read, bitmaps.count);
}

function parseDirectory(
  state: Qcow2State,
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
): StoredBitmap[] | BlockError {
  const refuse = (why: string) => new BlockError(EINVAL, why);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const list: StoredBitmap[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + ENTRY_BYTES > bytes.length) return refuse("Broken bitmap directory");
    if (list.length === count)
      return refuse("More bitmaps found than specified in header extension");
    const nameBytes = view.getUint16(at + 18);
    const extraBytes = view.getUint32(at + 20);
    const next = at + Math.ceil((ENTRY_BYTES + extraBytes + nameBytes) / 8) * 8;
    if (next > bytes.length) return refuse("Broken bitmap directory");
    if (extraBytes !== 0) return refuse("Bitmap extra data is not supported");
    const nameAt = at + ENTRY_BYTES;
    const entry: StoredBitmap = {
      name: new TextDecoder().decode(bytes.subarray(nameAt, nameAt + nameBytes)),
      tableOffset: format.join64(view.getUint32(at), view.getUint32(at + 4)),
      tableEntries: view.getUint32(at + 8),
      flags: view.getUint32(at + 12),
      granularityBits: view.getUint8(at + 17),
    };
    const isKnown = view.getUint8(at + 16) === format.BITMAP_TYPE_DIRTY_TRACKING;
    if (!isKnown || nameBytes === 0 || !isPossible(state, entry, nameBytes))
      return refuse(`Bitmap '${entry.name}' doesn't satisfy the constraints`);
    list.push(entry);
    at = next;
  }
  if (list.length !== count) return refuse("Less bitmaps found than specified in header extension");
  return list;
}

/** check_dir_entry. */
function isPossible(state: Qcow2State, entry: StoredBitmap, nameBytes: number): boolean {
  const { tableOffset, tableEntries, flags, granularityBits } = entry;
  const { clusterBytes, size } = state;
  if (tableEntries === 0 || tableEntries > format.BITMAP_TABLE_ENTRIES_MAX) return false;
  if (tableOffset === 0 || tableOffset % clusterBytes !== 0) return false;
  if (tableOffset >= format.HOST_OFFSET_MAX) return false;
  if (granularityBits > format.BITMAP_GRANULARITY_BITS_MAX) return false;
  if (granularityBits < format.BITMAP_GRANULARITY_BITS_MIN) return false;
  if ((flags & ~(format.BITMAP_FLAG_IN_USE | format.BITMAP_FLAG_AUTO)) !== 0) return false;
  if (nameBytes > format.BITMAP_NAME_BYTES_MAX) return false;
  const storedBytes = tableEntries * clusterBytes;
  if (storedBytes > format.BITMAP_BYTES_MAX) return false;
  // One that was in use when the disk was resized may be of any length: it is not looked at.
  if ((flags & format.BITMAP_FLAG_IN_USE) !== 0) return true;
  return size <= storedBytes * 8 * 2 ** granularityBits;
}

function directoryOf(list: readonly StoredBitmap[]): Uint8Array<ArrayBuffer> {
  const names = list.map(({ name }) => new TextEncoder().encode(name));
  const total = names.reduce((sum, name) => sum + directoryEntryBytes(name.length), 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [index, { tableOffset, tableEntries, flags, granularityBits }] of list.entries()) {
    const name = names[index];
    assert(name !== undefined, "each bitmap has a name");
    put64(view, at, tableOffset);
    view.setUint32(at + 8, tableEntries);
    view.setUint32(at + 12, flags);
    view.setUint8(at + 16, format.BITMAP_TYPE_DIRTY_TRACKING);
    view.setUint8(at + 17, granularityBits);
    view.setUint16(at + 18, name.length);
    bytes.set(name, at + ENTRY_BYTES);
    at += directoryEntryBytes(name.length);
  }
  return bytes;
}

/** update_ext_header_and_dir_in_place: the directory has the same bitmaps with other flags. 0 or a negated errno. Under the lock. */
export function* updateDirectoryInPlace(
  bs: BlockDriverState,
  list: readonly StoredBitmap[],
): Co<number> {
  ioCode(bs.aioContext, SITE_IN_PLACE);
  const { header } = stateOf(bs);
  const bytes = directoryOf(list);
  assert(header.bitmaps !== null, "there is a directory");
  if (bytes.length !== header.bitmaps.directoryBytes) return -EINVAL;
  const autoclear = header.autoclear | format.AUTOCLEAR_BITMAPS;
  let ret = yield* updateHeader(bs, { autoclear: autoclear & ~format.AUTOCLEAR_BITMAPS });
  if (ret >= 0)
    ret = yield* writeChecked(bs, header.bitmaps.directoryOffset, bytes, "bitmap-directory");
  return ret < 0 ? ret : yield* updateHeader(bs, { autoclear });
}

/** Write a directory of `list`, whose tables are written, to clusters of its own; null for an empty one, or a negated errno. */
export function* writeDirectory(
  bs: BlockDriverState,
  list: readonly StoredBitmap[],
): Co<BitmapsExtension | null | number> {
  ioCode(bs.aioContext, SITE_STORE);
  const state = stateOf(bs);
  if (list.length > format.BITMAPS_MAX) return -EINVAL;
  const bytes = directoryOf(list);
  if (bytes.length > format.BITMAP_DIRECTORY_BYTES_MAX) return -EINVAL;
  if (list.length === 0) return null;
  const clusters = Math.ceil(bytes.length / state.clusterBytes);
  const first = yield* allocClusters(bs, clusters);
  if (first < 0) return first;
  const directoryOffset = first * state.clusterBytes;
  let ret = yield* writeChecked(bs, directoryOffset, bytes);
  // What the header leads to must be counted on the disk, too.
  if (ret >= 0) ret = yield* writeCaches(bs);
  if (ret >= 0) return { count: list.length, directoryOffset, directoryBytes: bytes.length };
  if (!state.corrupt) yield* freeClusters(bs, first, clusters, "other");
  return ret;
}

/**
 * update_ext_header_and_dir: the image has the bitmaps of `bitmaps` and no others. 0 or a negated errno: then nobody knows which of
 * the two directories the header names, and both must stay. Under the lock.
 */
export function* nameDirectory(bs: BlockDriverState, bitmaps: BitmapsExtension | null): Co<number> {
  ioCode(bs.aioContext, SITE_UPDATE);
  const { header, clusterBytes } = stateOf(bs);
  const { bitmaps: old, autoclear } = header;
  const bit = format.AUTOCLEAR_BITMAPS;
  const ret = yield* updateHeader(bs, {
    bitmaps,
    autoclear: bitmaps === null ? autoclear & ~bit : autoclear | bit,
  });
  if (ret < 0 || old === null) return ret;
  const oldClusters = Math.ceil(old.directoryBytes / clusterBytes);
  return yield* freeClusters(bs, old.directoryOffset / clusterBytes, oldClusters, "other");
}

/** What to say when `ret`, a negated errno, keeps a bitmap from being changed in the image. Common. */
export function bitmapError(ret: number, what: string): BlockError {
  assert(ret < 0, "an error has an errno");
  return new BlockError(-ret, `${what}: ${strerror(-ret)}`);
}
