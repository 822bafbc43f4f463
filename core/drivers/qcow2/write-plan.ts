// Where a write goes: in place, or to clusters that are allocated for it.
//
//     guest clusters  |  in place ...  |  kept  |  new ...        |     one piece of a request is of one of the three
//
//   in place   the host cluster is used here only, and each subcluster that the write touches has its data there
//   kept       the host cluster is used here only, but a subcluster is not allocated, or reads as zeroes
//   new        there is no host cluster, or others use it, too (a snapshot), or it is compressed
//
// For the latter two, what the write leaves of the first and of the last subcluster that it touches is copied with it, unless the
// data is there already, where others may be writing in place (C: calculate_l2_meta); of a cluster that others use, all the rest.

import { assert } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { type Co, coChain, ioCode, settled } from "../../sched/index.ts";
import { allocClusters } from "./allocate.ts";
import { allocationBegin, waitForAllocations } from "./dependencies.ts";
import { ALLOCATION_BYTES_MAX } from "./format.ts";
import { allSubclusters, type ClusterEntry, ensureTable, getEntry } from "./l2.ts";
import { type InFlightAllocation, type Qcow2State, stateOf } from "./state.ts";

const SITE_PLAN = site("qcow2_alloc_host_offset");

/** Where one piece of a write goes. */
export interface WritePlan {
  /** Where its first byte goes, and how many bytes go there in a row. */
  readonly host: number;
  readonly bytes: number;
  /** What must happen besides; null in place. */
  readonly allocation: Allocation | null;
}

/** Clusters that the tables are to name when the data is there. */
export interface Allocation {
  readonly inFlight: InFlightAllocation;
  /** What the tables say now, a cluster each. */
  readonly old: readonly ClusterEntry[];
  /** Host offset of the first cluster. */
  readonly host: number;
  /** The host clusters are new, and counted. */
  readonly isNew: boolean;
  /** Guest range that is copied and written; the subclusters that it touches have their data then. */
  readonly start: number;
  readonly end: number;
  /** Nothing is written: the clusters get a place, and their subclusters stay what they are (C: QCowL2Meta.prealloc). */
  readonly isPrealloc?: boolean;
}

/** qcow2_alloc_host_offset: plan the piece of the write that begins at `offset`; or a negated errno. Under the lock. */
export function planWrite(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): Co<WritePlan | number> {
  ioCode(bs.aioContext, SITE_PLAN);
  assert(bytes > 0, "a write has bytes");
  const { clusterBytes } = stateOf(bs);
  const first = Math.floor(offset / clusterBytes);
  const wanted = clustersAtOnce(stateOf(bs), offset, bytes);
  return coChain(waitForAllocations(bs, first, wanted), (free) => {
    const end = Math.min(offset + bytes, (first + free) * clusterBytes);
    return coChain(ensureTable(bs, first), (ret) =>
      ret < 0
        ? settled<WritePlan | number>(ret)
        : coChain(getEntry(bs, first, offset), (entry) => planFor(bs, entry, offset, end)),
    );
  });
}

/** How many of the clusters that a write touches may be in its first piece: those in one table, and no more than are allocated at once. Common. */
export function clustersAtOnce(state: Qcow2State, offset: number, bytes: number): number {
  const { clusterBytes, l2Entries } = state;
  const first = Math.floor(offset / clusterBytes);
  const inTable = l2Entries - (first % l2Entries);
  const touched = Math.ceil((offset + bytes) / clusterBytes) - first;
  const limit = Math.max(1, Math.floor(ALLOCATION_BYTES_MAX / clusterBytes));
  return Math.min(touched, inTable, limit);
}

/** The plan for what begins in the cluster of `entry`, or the errno that it is. */
function planFor(
  bs: BlockDriverState,
  entry: ClusterEntry | number,
  offset: number,
  end: number,
): Co<WritePlan | number> {
  if (typeof entry === "number") return settled(entry);
  const state = stateOf(bs);
  const first = Math.floor(offset / state.clusterBytes);
  if (isInPlace(state, entry, first, offset, end)) return planInPlace(bs, entry, offset, end);
  if (isKept(entry)) return settled(planKept(state, entry, first, offset, end));
  return planNew(bs, entry, first, offset, end);
}

function isKept({ copied, host, compressed }: ClusterEntry): boolean {
  return copied && host !== null && !compressed;
}

/** The subclusters of guest cluster `cluster` that a range touches, as bits. */
function touchedBits(state: Qcow2State, cluster: number, from: number, to: number): number {
  const { clusterBytes, subclusterBytes } = state;
  const base = cluster * clusterBytes;
  const first = Math.floor(Math.max(0, from - base) / subclusterBytes);
  const last = Math.ceil(Math.min(clusterBytes, to - base) / subclusterBytes) - 1;
  return bitsBetween(first, last);
}

/** Bits `first` to `last`, both included. Common. */
export function bitsBetween(first: number, last: number): number {
  assert(first >= 0 && first <= last && last < 32, "bits of a word");
  return (0xffff_ffff >>> (31 - (last - first))) << first;
}

function isInPlace(
  state: Qcow2State,
  entry: ClusterEntry,
  cluster: number,
  from: number,
  to: number,
): boolean {
  const touched = touchedBits(state, cluster, from, to);
  return isKept(entry) && (touched & ~entry.allocated) === 0;
}

/** As many clusters as follow one another in the file, too. */
function planInPlace(
  bs: BlockDriverState,
  entry: ClusterEntry,
  offset: number,
  end: number,
): Co<WritePlan | number> {
  const state = stateOf(bs);
  const { clusterBytes } = state;
  const first = Math.floor(offset / clusterBytes);
  const host = (entry.host ?? 0) + (offset - first * clusterBytes);
  if (end > (first + 1) * clusterBytes) return planInClusters(bs, host, offset, end);
  return settled({ host, bytes: end - offset, allocation: null });
}

function* planInClusters(
  bs: BlockDriverState,
  host: number,
  offset: number,
  end: number,
): Co<WritePlan | number> {
  const state = stateOf(bs);
  const { clusterBytes } = state;
  const first = Math.floor(offset / clusterBytes);
  let reached = (first + 1) * clusterBytes;
  for (let cluster = first + 1; reached < end; cluster++) {
    const next = yield* getEntry(bs, cluster);
    if (typeof next === "number") return next;
    if (next.host !== host + (reached - offset)) break;
    if (!isInPlace(state, next, cluster, reached, end)) break;
    reached = Math.min(end, (cluster + 1) * clusterBytes);
  }
  return { host, bytes: reached - offset, allocation: null };
}

function planKept(
  state: Qcow2State,
  entry: ClusterEntry,
  cluster: number,
  offset: number,
  end: number,
): WritePlan {
  const { clusterBytes, subclusterBytes } = state;
  const host = entry.host ?? 0;
  const stop = Math.min(end, (cluster + 1) * clusterBytes);
  const hasData = (at: number): boolean =>
    (entry.allocated & touchedBits(state, cluster, at, at + 1)) !== 0;
  return {
    host: host + (offset - cluster * clusterBytes),
    bytes: stop - offset,
    allocation: {
      inFlight: allocationBegin(state, cluster, 1),
      old: [entry],
      host,
      isNew: false,
      start: hasData(offset) ? offset : Math.floor(offset / subclusterBytes) * subclusterBytes,
      end: hasData(stop - 1) ? stop : Math.ceil(stop / subclusterBytes) * subclusterBytes,
    },
  };
}

/** As many clusters in a row as need a new place. */
function* planNew(
  bs: BlockDriverState,
  entry: ClusterEntry,
  first: number,
  offset: number,
  end: number,
): Co<WritePlan | number> {
  const state = stateOf(bs);
  const { clusterBytes } = state;
  const old = [entry];
  const last = Math.ceil(end / clusterBytes) - 1;
  while (first + old.length <= last) {
    const next = yield* getEntry(bs, first + old.length);
    if (typeof next === "number") return next;
    if (isKept(next)) break;
    old.push(next);
  }
  const host = yield* placeFor(bs, first, old.length);
  if (host < 0) return host;
  const stop = Math.min(end, (first + old.length) * clusterBytes);
  return {
    host: host + (offset - first * clusterBytes),
    bytes: stop - offset,
    allocation: {
      inFlight: allocationBegin(state, first, old.length),
      old,
      host,
      isNew: true,
      start: copyStart(state, entry, first, offset),
      end: copyEnd(state, old.at(-1) ?? entry, first + old.length - 1, stop),
    },
  };
}

/** In an external data file, guest data is where the guest has it. */
function* placeFor(bs: BlockDriverState, first: number, count: number): Co<number> {
  const state = stateOf(bs);
  if (state.dataFile !== null) return first * state.clusterBytes;
  const cluster = yield* allocClusters(bs, count);
  return cluster < 0 ? cluster : cluster * state.clusterBytes;
}

/** Whether nothing of a cluster may be left where it is. */
function movesAll(entry: ClusterEntry): boolean {
  return entry.compressed || entry.allocated !== 0;
}

function copyStart(
  { clusterBytes, subclusterBytes }: Qcow2State,
  entry: ClusterEntry,
  cluster: number,
  offset: number,
): number {
  if (movesAll(entry)) return cluster * clusterBytes;
  return Math.floor(offset / subclusterBytes) * subclusterBytes;
}

function copyEnd(
  { clusterBytes, subclusterBytes }: Qcow2State,
  entry: ClusterEntry,
  cluster: number,
  stop: number,
): number {
  if (movesAll(entry)) return (cluster + 1) * clusterBytes;
  return Math.ceil(stop / subclusterBytes) * subclusterBytes;
}

/** The entry that cluster `index` of an allocation gets when its data is there. Common. */
export function entryAfter(state: Qcow2State, allocation: Allocation, index: number): ClusterEntry {
  const old = allocation.old[index];
  assert(old !== undefined, "an allocation knows its clusters");
  const cluster = allocation.inFlight.firstCluster + index;
  const isPlace = allocation.isPrealloc === true && state.subclusters > 1;
  const written = isPlace ? 0 : touchedBits(state, cluster, allocation.start, allocation.end);
  const all = allSubclusters(state);
  const before = old.compressed ? 0 : old.allocated;
  return {
    compressed: false,
    copied: true,
    host: allocation.host + index * state.clusterBytes,
    compressedBytes: 0,
    allocated: ((before | written) & all) >>> 0,
    zero: old.compressed ? 0 : (old.zero & ~written & all) >>> 0,
  };
}
