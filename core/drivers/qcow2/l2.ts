// Entries of L2 tables: what they say of a guest cluster, and getting and setting them through the cache.
//
// An image with subclusters has 128 bits for a cluster: the entry, then which of its 32 subclusters are allocated and which
// read as zeroes. Without them a cluster is its only subcluster, and these two are worked out from the entry; so the rest of
// the driver knows subclusters only.

import { assert, EFBIG } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { qiovOf } from "../../io/guest-copy.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { site } from "../../probe/index.ts";
import { type Co, hostAllocate, ioCode, settled } from "../../sched/index.ts";
import { allocClusters, freeClusters } from "./allocate.ts";
import { signalCorruption } from "./corrupt.ts";
import {
  HOST_OFFSET_MAX,
  hex,
  high32,
  join64,
  OFFSET_HIGH_MASK,
  OFFSET_LOW_MASK,
  OFLAG_COMPRESSED,
  OFLAG_COPIED,
  OFLAG_ZERO,
} from "./format.ts";
import { imageFile, zeroMetadata } from "./metadata-io.ts";
import { preWriteOverlapCheck } from "./overlap.ts";
import type { Slice } from "./slice-cache.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import type { Entry64 } from "./table.ts";
import { knownTableEntry, tableGet, tableSet } from "./table-io.ts";
import { cacheGet, freePending } from "./write-back.ts";

const SITE_GET = site("get_cluster_table");
const SITE_SET = site("qcow2_set_l2_entry");
const SITE_TABLE = site("l2_allocate");

/** What the tables say of one guest cluster. */
export interface ClusterEntry {
  readonly compressed: boolean;
  /** The host cluster is used here only, and may be written to. */
  readonly copied: boolean;
  /** Offset of the host cluster, or of compressed data; null when there is none. */
  readonly host: number | null;
  /** Of compressed data: the bytes in the file that may hold it. */
  readonly compressedBytes: number;
  /** A bit for each subcluster: it has data in the host cluster; it reads as zeroes. */
  readonly allocated: number;
  readonly zero: number;
}

/** A cluster without anything. */
export const UNALLOCATED: ClusterEntry = {
  compressed: false,
  copied: false,
  host: null,
  compressedBytes: 0,
  allocated: 0,
  zero: 0,
};

/** All subclusters, as bits. Common. */
export function allSubclusters(state: Qcow2State): number {
  return state.subclusters === 1 ? 1 : 0xffff_ffff;
}

/** The entry of guest cluster `cluster`, or a negated errno. `writeAt` is where in the guest's disk someone is about to write. */
export function getEntry(
  bs: BlockDriverState,
  cluster: number,
  writeAt: number | null = null,
): Co<ClusterEntry | number> {
  ioCode(bs.aioContext, SITE_GET);
  const known = knownEntry(stateOf(bs), cluster);
  return known === null ? lookUp(bs, cluster, writeAt) : settled(known);
}

/** The same, where the tables that it is in are in memory, and right; else null. Common. */
export function knownEntry(state: Qcow2State, cluster: number): ClusterEntry | null {
  const table = knownTable(state, cluster);
  if (table === null) return null;
  if (table.offset === 0) return UNALLOCATED;
  const place = placeOf(state, cluster);
  const slice = state.l2Cache.get(table.offset + place.slice);
  if (slice === undefined) return null;
  const entry = decodeEntry(state, slice, place.at);
  return isSound(state, cluster, entry) ? entry : null;
}

function* lookUp(
  bs: BlockDriverState,
  cluster: number,
  writeAt: number | null,
): Co<ClusterEntry | number> {
  const state = stateOf(bs);
  const table = yield* l2TableOf(bs, cluster);
  if (typeof table === "number") return table;
  if (table.offset === 0) return UNALLOCATED;
  const place = placeOf(state, cluster);
  const slice = yield* cacheGet(bs, state.l2Cache, table.offset + place.slice);
  if (typeof slice === "number") return slice;
  const entry = decodeEntry(state, slice, place.at);
  if (isSound(state, cluster, entry)) return entry;
  const wrong = misplacedInPlace(state, entry, writeAt);
  return yield* signalCorruption(bs, wrong ?? problemOf(state, cluster, entry, table.offset));
}

/** Change the entry of guest cluster `cluster`, whose table is there (`ensureTable`) and unshared. 0 or a negated errno. */
export function* setEntry(bs: BlockDriverState, cluster: number, entry: ClusterEntry): Co<number> {
  ioCode(bs.aioContext, SITE_SET);
  const state = stateOf(bs);
  const table = yield* l2TableOf(bs, cluster);
  if (typeof table === "number") return table;
  assert(table.offset !== 0 && table.copied, "the table may be changed");
  const place = placeOf(state, cluster);
  const slice = yield* cacheGet(bs, state.l2Cache, table.offset + place.slice);
  if (typeof slice === "number") return slice;
  encodeEntry(state, slice, place.at, entry);
  state.l2Cache.markDirty(slice);
  return 0;
}

/**
 * l2_allocate: the L2 table of `cluster` is there and nothing else uses it: 0 or a negated errno. A table that is shared with a
 * snapshot is copied, unseen: as long as both name it, the clusters that it names are shared, and it says so.
 */
export function ensureTable(bs: BlockDriverState, cluster: number): Co<number> {
  ioCode(bs.aioContext, SITE_TABLE);
  const state = stateOf(bs);
  const known = knownTable(state, cluster);
  return known?.copied === true ? settled(0) : makeTable(bs, cluster);
}

function* makeTable(bs: BlockDriverState, cluster: number): Co<number> {
  const state = stateOf(bs);
  const old = yield* l2TableOf(bs, cluster);
  if (typeof old === "number") return old;
  if (old.copied) return 0;
  const fresh = yield* allocClusters(bs, 1);
  if (fresh < 0) return fresh;
  const offset = fresh * state.clusterBytes;
  if (offset === 0)
    return yield* signalCorruption(bs, "Preventing invalid allocation of L2 table at offset 0");
  const checked = yield* preWriteOverlapCheck(bs, offset, state.clusterBytes);
  if (checked < 0) return checked;
  state.l2Cache.forget(offset, state.clusterBytes);
  if (old.offset === 0) yield* blkdbgFileEvent(bs, "l2_alloc_write");
  let ret =
    old.offset === 0
      ? yield* zeroMetadata(bs, offset, state.clusterBytes)
      : yield* copyTable(bs, old.offset, offset);
  if (ret < 0) {
    yield* freeClusters(bs, fresh, 1, "other");
    return ret;
  }
  const index = Math.floor(cluster / state.l2Entries);
  ret = yield* tableSet(bs, state.l1, index, {
    high: high32(offset) + OFLAG_COPIED,
    low: offset % 2 ** 32,
  });
  if (ret < 0 || old.offset === 0) return ret;
  return yield* freePending(bs, old.offset / state.clusterBytes, 1, "other");
}

function* copyTable(bs: BlockDriverState, from: number, to: number): Co<number> {
  const { clusterBytes } = stateOf(bs);
  const buffer = qiovOf(hostAllocate(clusterBytes));
  yield* blkdbgFileEvent(bs, "l2_alloc_cow_read");
  const ret = yield* bdrvCoPreadv(imageFile(bs), from, clusterBytes, buffer);
  if (ret < 0) return ret;
  yield* blkdbgFileEvent(bs, "l2_alloc_write");
  return yield* bdrvCoPwritev(imageFile(bs), to, clusterBytes, buffer);
}

/** Where an L2 table is. */
interface L2Table {
  /** 0 for none. */
  readonly offset: number;
  /** It is used here only. */
  readonly copied: boolean;
}

/** The L2 table of a guest cluster, if what says so is in memory, and right; else null. Common. */
export function knownTable(state: Qcow2State, cluster: number): L2Table | null {
  const index = Math.floor(cluster / state.l2Entries);
  const entry = index < state.l1.entries ? knownTableEntry(state.l1, index) : null;
  return entry === null ? null : tableIn(state, entry);
}

/** The L2 table of a guest cluster, or a negated errno. */
function* l2TableOf(bs: BlockDriverState, cluster: number): Co<L2Table | number> {
  const state = stateOf(bs);
  const index = Math.floor(cluster / state.l2Entries);
  if (index >= state.l1.entries) return -EFBIG;
  const entry = yield* tableGet(bs, state.l1, index);
  if (typeof entry === "number") return entry;
  const table = tableIn(state, entry);
  if (table !== null) return table;
  const offset = hex(l2Offset(entry));
  const where = `L2 table offset ${offset} unaligned (L1 index: ${hex(index)})`;
  return yield* signalCorruption(bs, where);
}

function l2Offset({ high, low }: Entry64): number {
  return join64(high & OFFSET_HIGH_MASK, low & OFFSET_LOW_MASK);
}

/** What an entry of the L1 table names; null when that can be no table. */
function tableIn({ clusterBytes }: Qcow2State, entry: Entry64): L2Table | null {
  const offset = l2Offset(entry);
  if (offset % clusterBytes !== 0 || offset >= HOST_OFFSET_MAX) return null;
  return { offset, copied: offset !== 0 && (entry.high & OFLAG_COPIED) !== 0 };
}

/** Where in its L2 table a cluster's entry is. */
function placeOf(state: Qcow2State, cluster: number): { slice: number; at: number } {
  const { sliceBytes } = state.l2Cache;
  const offset = (cluster % state.l2Entries) * state.l2EntryBytes;
  const at = offset % sliceBytes;
  return { slice: offset - at, at };
}

/** The entry at byte `at` of a slice. Common. */
export function decodeEntry(
  state: Qcow2State,
  { view }: Pick<Slice, "view">,
  at: number,
): ClusterEntry {
  const high = view.getUint32(at);
  const low = view.getUint32(at + 4);
  if ((high & OFLAG_COMPRESSED) !== 0) return decodeCompressed(state, high, low);
  const copied = (high & OFLAG_COPIED) !== 0;
  const offset = join64(high & OFFSET_HIGH_MASK, low & OFFSET_LOW_MASK);
  // Offset 0 is a cluster only in an external data file, and not one of zeroes.
  const isZero = state.subclusters === 1 && (low & OFLAG_ZERO) !== 0;
  const isThere = offset !== 0 || (copied && !isZero && state.header.hasDataFile);
  const host = isThere ? offset : null;
  let zero = low & OFLAG_ZERO;
  let allocated = isThere && zero === 0 ? 1 : 0;
  if (state.subclusters > 1) {
    zero = view.getUint32(at + 8);
    allocated = view.getUint32(at + 12);
  }
  // One literal, so that all entries have one shape.
  return { compressed: false, copied, host, compressedBytes: 0, allocated, zero };
}

/** The descriptor has x = 62 - (cluster_bits - 8) bits of offset, then the number of further sectors. */
function decodeCompressed(state: Qcow2State, high: number, low: number): ClusterEntry {
  const highBits = 62 - (state.clusterBits - 8) - 32;
  const descriptor = high & 0x3fff_ffff;
  const offset = join64(descriptor & (2 ** highBits - 1), low);
  const sectors = (descriptor >>> highBits) + 1;
  const compressedBytes = sectors * 512 - (offset % 512);
  return {
    compressed: true,
    copied: false,
    host: offset,
    compressedBytes,
    allocated: 0,
    zero: 0,
  };
}

function encodeEntry(state: Qcow2State, { view }: Slice, at: number, entry: ClusterEntry): void {
  const { host, copied, compressed } = entry;
  let high = host === null ? 0 : high32(host);
  let low = host === null ? 0 : host % 2 ** 32;
  if (compressed) {
    const highBits = 62 - (state.clusterBits - 8) - 32;
    const sectors = (entry.compressedBytes + ((host ?? 0) % 512)) / 512 - 1;
    high += OFLAG_COMPRESSED + sectors * 2 ** highBits;
  } else {
    if (copied) high += OFLAG_COPIED;
    if (state.subclusters === 1 && entry.zero !== 0) low += OFLAG_ZERO;
  }
  view.setUint32(at, high);
  view.setUint32(at + 4, low);
  if (state.subclusters === 1) return;
  view.setUint32(at + 8, compressed ? 0 : entry.zero);
  view.setUint32(at + 12, compressed ? 0 : entry.allocated);
}

/** Whether the entry of guest cluster `cluster` can be true. */
function isSound(state: Qcow2State, cluster: number, entry: ClusterEntry): boolean {
  const { host, compressed, allocated, zero } = entry;
  if (state.header.version < 3 && zero !== 0) return false;
  if (compressed) return !state.header.hasDataFile && (host ?? 0) < HOST_OFFSET_MAX;
  if ((allocated & zero) !== 0 || (host === null && allocated !== 0)) return false;
  if (host === null) return true;
  if (host % state.clusterBytes !== 0 || host >= HOST_OFFSET_MAX) return false;
  return !state.header.hasDataFile || host === cluster * state.clusterBytes;
}

/** What a writer says of a cluster that it would write in place, if that is not where a cluster can be; else null. */
function misplacedInPlace(
  { clusterBytes }: Qcow2State,
  { host, copied, zero }: ClusterEntry,
  writeAt: number | null,
): string | null {
  if (writeAt === null || !copied || host === null || host % clusterBytes === 0) return null;
  const what = zero === 0 ? "Data" : "Preallocated zero";
  return `${what} cluster offset ${hex(host)} unaligned (guest offset: ${hex(writeAt)})`;
}

/** What is wrong with an entry that is not sound, in QEMU's words. */
function problemOf(
  state: Qcow2State,
  cluster: number,
  { host, compressed, allocated, zero }: ClusterEntry,
  table: number,
): string {
  const at = `L2 index: ${hex(cluster % state.l2Entries)})`;
  const where = `(L2 offset: ${hex(table)}, ${at}`;
  if (state.header.version < 3 && zero !== 0)
    return `Zero cluster entry found in pre-v3 image ${where}`;
  if (compressed && state.header.hasDataFile)
    return `Compressed cluster entry found in image with external data file ${where}`;
  const offset = hex(host ?? 0);
  const isInvalid = (allocated & zero) !== 0 || (host === null && allocated !== 0);
  if (isInvalid) return `Invalid cluster entry found  ${where}`;
  if (compressed || (host ?? 0) % state.clusterBytes !== 0 || (host ?? 0) >= HOST_OFFSET_MAX)
    return `Cluster allocation offset ${offset} unaligned ${where}`;
  const guest = hex(cluster * state.clusterBytes);
  return `External data file host cluster offset ${offset} does not match guest cluster offset: ${guest}, ${at}`;
}
