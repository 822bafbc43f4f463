// The bits of a persistent bitmap: a table with an entry for each cluster of bits, which says where they are, or that they are all
// zeroes or all ones.

import { assert, EINVAL } from "../../base/index.ts";
import { HBitmap } from "../../bitmaps/hbitmap.ts";
import type { BlockError } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { allocClusters, freeClusters } from "./allocate.ts";
import { bitmapError, type StoredBitmap } from "./bitmap-directory.ts";
import { BITMAP_BYTES_MAX, join64, OFFSET_HIGH_MASK, OFFSET_LOW_MASK } from "./format.ts";
import { put64 } from "./header.ts";
import { readMetadata } from "./metadata-io.ts";
import { writeChecked } from "./overlap.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import { ENTRY_BYTES } from "./table.ts";

const SITE_TABLE = site("bitmap_table_load");
const SITE_DATA = site("load_bitmap_data");
const SITE_STORE = site("store_bitmap");
const SITE_FREE = site("free_bitmap_clusters");

/** Where a cluster of bits is: its offset, or what all of it is. */
export type BitmapPart = number | "zeroes" | "ones";

/** Bits of the high and of the low word of an entry that mean nothing. */
const RESERVED_HIGH = 0xff00_0000;
const RESERVED_LOW = 0x1fe;

/** bitmap_table_load: all parts of a bitmap, or a negated errno. */
export function* readBitmapTable(
  bs: BlockDriverState,
  { tableOffset, tableEntries }: StoredBitmap,
): Co<BitmapPart[] | number> {
  ioCode(bs.aioContext, SITE_TABLE);
  const read = yield* readMetadata(bs, tableOffset, tableEntries * ENTRY_BYTES);
  if (typeof read === "number") return read;
  const view = new DataView(read.buffer, read.byteOffset, read.byteLength);
  const parts: BitmapPart[] = [];
  for (let at = 0; at < view.byteLength; at += ENTRY_BYTES) {
    const part = partOf(stateOf(bs), view.getUint32(at), view.getUint32(at + 4));
    if (part === null) return -EINVAL;
    parts.push(part);
  }
  return parts;
}

/** check_table_entry; null for an entry that cannot be. */
function partOf(state: Qcow2State, high: number, low: number): BitmapPart | null {
  if ((high & RESERVED_HIGH) !== 0 || (low & RESERVED_LOW) !== 0) return null;
  const offset = join64(high & OFFSET_HIGH_MASK, low & OFFSET_LOW_MASK);
  const isOnes = (low & 1) !== 0;
  if (offset === 0) return isOnes ? "ones" : "zeroes";
  return isOnes || offset % state.clusterBytes !== 0 ? null : offset;
}

/** load_bitmap_data: the bits, or why they cannot be had. */
export function* loadBits(bs: BlockDriverState, stored: StoredBitmap): Co<HBitmap | BlockError> {
  ioCode(bs.aioContext, SITE_DATA);
  const { clusterBytes } = stateOf(bs);
  const parts = yield* readBitmapTable(bs, stored);
  if (typeof parts === "number")
    return bitmapError(
      parts,
      `Could not read bitmap_table table from image for bitmap '${stored.name}'`,
    );
  const unreadable = (ret: number): BlockError =>
    bitmapError(ret, `Could not read bitmap '${stored.name}' from image`);
  const bits = new HBitmap(bdrvGetlength(bs), 2 ** stored.granularityBits);
  if (parts.length !== Math.ceil(bits.serializedBytes / clusterBytes)) return unreadable(-EINVAL);
  for (const [index, part] of parts.entries()) {
    if (part === "zeroes") continue;
    const read =
      part === "ones"
        ? new Uint8Array(clusterBytes).fill(255)
        : yield* readMetadata(bs, part, clusterBytes);
    if (typeof read === "number") return unreadable(read);
    bits.deserialize(index * clusterBytes, read);
  }
  return bits;
}

/** Where a bitmap was stored. */
export type StoredPlace = Pick<StoredBitmap, "tableOffset" | "tableEntries">;

/** store_bitmap: write the bits to clusters of their own, and a table of those; or a negated errno. Under the lock. */
export function* storeBits(bs: BlockDriverState, bits: HBitmap): Co<StoredPlace | number> {
  ioCode(bs.aioContext, SITE_STORE);
  const state = stateOf(bs);
  const { clusterBytes } = state;
  const tableEntries = Math.ceil(bits.serializedBytes / clusterBytes);
  if (tableEntries * clusterBytes > BITMAP_BYTES_MAX) return -EINVAL;
  const parts = yield* storeParts(bs, bits, tableEntries);
  if (typeof parts === "number") return parts;
  const tableClusters = Math.ceil((tableEntries * ENTRY_BYTES) / clusterBytes);
  const first = yield* allocClusters(bs, tableClusters);
  let ret = Math.min(first, 0);
  const tableOffset = first * clusterBytes;
  if (ret >= 0) {
    const table = new DataView(new ArrayBuffer(tableEntries * ENTRY_BYTES));
    for (const [index, part] of parts) put64(table, index * ENTRY_BYTES, part);
    ret = yield* writeChecked(bs, tableOffset, new Uint8Array(table.buffer));
  }
  if (ret >= 0) return { tableOffset, tableEntries };
  if (first > 0 && !state.corrupt) yield* freeClusters(bs, first, tableClusters, "other");
  yield* freeParts(bs, parts);
  return ret;
}

/** The clusters of bits that are not all zeroes, by their number in the table; or a negated errno, and none is left. */
function* storeParts(
  bs: BlockDriverState,
  bits: HBitmap,
  tableEntries: number,
): Co<Map<number, number> | number> {
  const { clusterBytes } = stateOf(bs);
  const parts = new Map<number, number>();
  const coverage = clusterBytes * 8 * bits.granularity;
  for (let at = bits.nextDirty(0); at >= 0; ) {
    const index = Math.floor(at / coverage);
    assert(index < tableEntries, "the table has an entry for each part");
    const cluster = yield* allocClusters(bs, 1);
    let ret = Math.min(cluster, 0);
    if (ret >= 0) {
      parts.set(index, cluster * clusterBytes);
      const part = new Uint8Array(clusterBytes);
      const left = Math.min(clusterBytes, bits.serializedBytes - index * clusterBytes);
      part.set(bits.serialize(index * clusterBytes, left));
      ret = yield* writeChecked(bs, cluster * clusterBytes, part);
    }
    if (ret < 0) {
      yield* freeParts(bs, parts);
      return ret;
    }
    at = bits.nextDirty((index + 1) * coverage);
  }
  return parts;
}

function* freeParts(bs: BlockDriverState, parts: ReadonlyMap<number, number>): Co<void> {
  const { clusterBytes, corrupt } = stateOf(bs);
  // What cannot be counted down is leaked.
  if (corrupt) return;
  for (const part of parts.values()) yield* freeClusters(bs, part / clusterBytes, 1, "other");
}

/** free_bitmap_clusters: no directory names this bitmap any more. 0 or a negated errno. Under the lock. */
export function* freeBitmap(bs: BlockDriverState, stored: StoredBitmap): Co<number> {
  ioCode(bs.aioContext, SITE_FREE);
  const { clusterBytes } = stateOf(bs);
  const parts = yield* readBitmapTable(bs, stored);
  if (typeof parts === "number") return parts;
  for (const part of parts) {
    if (typeof part !== "number") continue;
    const ret = yield* freeClusters(bs, part / clusterBytes, 1, "other");
    if (ret < 0) return ret;
  }
  const tableClusters = Math.ceil((stored.tableEntries * ENTRY_BYTES) / clusterBytes);
  return yield* freeClusters(bs, stored.tableOffset / clusterBytes, tableClusters, "other");
}
