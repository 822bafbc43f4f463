// Zeroes and discards: whole subclusters in the tables, parts of them as data.

import { assert, EIO, ENOTSUP } from "../../base/index.ts";
import { backingOf } from "../../graph/access.ts";
import {
  BDRV_REQ_MAY_UNMAP,
  BDRV_REQ_NO_FALLBACK,
  type BlockDriverState,
} from "../../graph/state.ts";
import { guestZero, qiovOf } from "../../io/guest-copy.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  hostAllocate,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
} from "../../sched/index.ts";
import { waitForAllocations } from "./dependencies.ts";
import { zeroDataFile } from "./discard.ts";
import {
  allSubclusters,
  type ClusterEntry,
  ensureTable,
  getEntry,
  setEntry,
  UNALLOCATED,
} from "./l2.ts";
import { mapRange } from "./mapping.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import { freeOld, writePlain } from "./write.ts";
import { bitsBetween } from "./write-plan.ts";

const SITE_ZEROES = site("qcow2_co_pwrite_zeroes");
const SITE_DISCARD = site("qcow2_co_pdiscard");
const SITE_DATA = site("qcow2_zero_data");
const SITE_BACKING = site("qcow2_zero_backing");
const SITE_FORGET = site("qcow2_forget");

/**
 * qcow2_co_pwrite_zeroes: 0 or a negated errno. Differs from QEMU, where the block layer cuts requests at subclusters: the parts at
 * both ends are written here, unless they read as zeroes anyway, or the caller wants nothing written (BDRV_REQ_NO_FALLBACK).
 */
export function* qcow2CoPwriteZeroes(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_ZEROES);
  const state = stateOf(bs);
  const { subclusterBytes } = state;
  const canMark = state.header.version >= 3 || backingOf(bs, SITE_BACKING) === null;
  if (!canMark) return -ENOTSUP;
  const end = offset + bytes;
  const first = Math.ceil(offset / subclusterBytes) * subclusterBytes;
  // Behind the end of the disk nothing shows, so its last subcluster is whole.
  const isEnd = end >= state.size;
  const last = (isEnd ? Math.ceil : Math.floor)(end / subclusterBytes) * subclusterBytes;
  const mayWrite = (flags & BDRV_REQ_NO_FALLBACK) === 0;
  if (first >= last) return yield* zeroPart(bs, offset, bytes, { mayWrite });
  let ret = yield* zeroPart(bs, offset, first - offset, { mayWrite });
  if (ret >= 0) ret = yield* zeroSubclusters(bs, first, last, flags);
  if (ret >= 0) ret = yield* zeroPart(bs, last, Math.max(0, end - last), { mayWrite });
  return ret;
}

/** What is data in a range reads as zeroes. 0 or a negated errno. */
export function qcow2ZeroData(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  ioCode(bs.aioContext, SITE_DATA);
  assert(bytes >= 0, "byte counts are not negative");
  return zeroPart(bs, offset, bytes, { hides: false });
}

/**
 * Zeroes in a part of a subcluster: data, unless it reads as zeroes already, and with `hides`, above what is below. -ENOTSUP where
 * data would have to be written and may not.
 */
function* zeroPart(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  { hides = true, mayWrite = true }: { readonly hides?: boolean; readonly mayWrite?: boolean },
): Co<number> {
  const state = stateOf(bs);
  let at = offset;
  while (at < offset + bytes) {
    if (state.corrupt) return -EIO;
    yield* qemuCoMutexLock(state.lock);
    yield* waitForAllocations(bs, Math.floor(at / state.clusterBytes), 1);
    const extent = yield* mapRange(bs, at, offset + bytes - at);
    const shows = hides && backingOf(bs, SITE_BACKING) !== null;
    qemuCoMutexUnlock(state.lock);
    if (typeof extent === "number") return extent;
    if (extent.kind !== "zero" && (extent.kind !== "unallocated" || shows)) {
      if (!mayWrite) return -ENOTSUP;
      const zeroes = qiovOf(hostAllocate(extent.bytes));
      guestZero(zeroes, extent.bytes);
      const ret = yield* writePlain(bs, at, extent.bytes, zeroes);
      if (ret < 0) return ret;
    }
    at += extent.bytes;
  }
  return 0;
}

/** qcow2_subcluster_zeroize: whole subclusters from `from` to `to`. */
function* zeroSubclusters(
  bs: BlockDriverState,
  from: number,
  to: number,
  flags: number,
): Co<number> {
  const state = stateOf(bs);
  const unmap = (flags & BDRV_REQ_MAY_UNMAP) !== 0;
  const ret = yield* zeroDataFile(bs, from, to - from, flags);
  if (ret < 0) return ret;
  const mayWrite = (flags & BDRV_REQ_NO_FALLBACK) === 0;
  const change = (entry: ClusterEntry, touched: number) => zeroed(state, entry, touched, unmap);
  return yield* eachCluster(bs, from, to, change, mayWrite);
}

/** What an entry becomes when the subclusters `touched` read as zeroes. */
function zeroed(
  state: Qcow2State,
  entry: ClusterEntry,
  touched: number,
  unmap: boolean,
): ClusterEntry | "write" {
  const all = allSubclusters(state);
  const isWhole = (all & ~touched) >>> 0 === 0;
  // Version 2 has no zero clusters: without a backing file one that is not allocated is as good.
  if (state.header.version < 3) return UNALLOCATED;
  if (isWhole && (unmap || entry.compressed)) return keepsFile(state, entry, all);
  if (entry.compressed) return "write";
  const zero = (entry.zero | touched) >>> 0;
  return { ...entry, zero, allocated: (entry.allocated & ~touched) >>> 0 };
}

/** An entry without a host cluster; a raw data file has its place for every cluster for ever. */
function keepsFile(state: Qcow2State, entry: ClusterEntry, zero: number): ClusterEntry {
  if (state.header.dataFileRaw && entry.host !== null) return { ...entry, zero, allocated: 0 };
  return { ...UNALLOCATED, zero };
}

/**
 * qcow2_co_pdiscard: 0 or a negated errno. Parts of clusters are left alone. What was discarded reads as zeroes, not as the backing
 * file: in version 2, which has no zero clusters, an image with a backing file discards nothing.
 */
export function* qcow2CoPdiscard(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  ioCode(bs.aioContext, SITE_DISCARD);
  const state = stateOf(bs);
  const { clusterBytes } = state;
  const hasBacking = backingOf(bs, SITE_BACKING) !== null;
  if (state.header.version < 3 && hasBacking) return -ENOTSUP;
  const end = offset + bytes;
  const first = Math.ceil(offset / clusterBytes) * clusterBytes;
  const isEnd = end >= state.size;
  const last = (isEnd ? Math.ceil : Math.floor)(end / clusterBytes) * clusterBytes;
  if (first >= last) return 0;
  const ret = yield* zeroDataFile(bs, first, last - first, BDRV_REQ_MAY_UNMAP);
  if (ret < 0) return ret;
  const all = allSubclusters(state);
  return yield* eachCluster(bs, first, last, (entry) => {
    const isNothing = entry.host === null && entry.allocated === 0;
    if (isNothing && (entry.zero === all || !hasBacking)) return entry;
    return state.header.version < 3 ? UNALLOCATED : keepsFile(state, entry, all);
  });
}

/** The clusters that begin in a range have nothing any more, not even zeroes: they are behind the end of a disk. */
export function* qcow2Forget(bs: BlockDriverState, from: number, to: number): Co<number> {
  ioCode(bs.aioContext, SITE_FORGET);
  const { clusterBytes } = stateOf(bs);
  const first = Math.ceil(from / clusterBytes) * clusterBytes;
  const last = Math.ceil(to / clusterBytes) * clusterBytes;
  return first >= last ? 0 : yield* eachCluster(bs, first, last, () => UNALLOCATED);
}

/**
 * What `change` makes of each cluster of a range, which is of whole subclusters; `touched` are those of them in the range. -ENOTSUP
 * where that is data, which may not be written.
 */
function* eachCluster(
  bs: BlockDriverState,
  from: number,
  to: number,
  change: (entry: ClusterEntry, touched: number) => ClusterEntry | "write",
  mayWrite = true,
): Co<number> {
  const state = stateOf(bs);
  const { clusterBytes, subclusterBytes } = state;
  assert(from % subclusterBytes === 0 && to % subclusterBytes === 0, "subclusters are whole");
  for (let at = from; at < to; ) {
    if (state.corrupt) return -EIO;
    const cluster = Math.floor(at / clusterBytes);
    const base = cluster * clusterBytes;
    const stop = Math.min(to, base + clusterBytes);
    const touched = bitsBetween((at - base) / subclusterBytes, (stop - base) / subclusterBytes - 1);
    yield* qemuCoMutexLock(state.lock);
    yield* waitForAllocations(bs, cluster, 1);
    const ret = yield* changeEntry(bs, cluster, (entry) => change(entry, touched >>> 0));
    qemuCoMutexUnlock(state.lock);
    if (ret < 0) return ret;
    if (ret === MUST_WRITE) {
      if (!mayWrite) return -ENOTSUP;
      const zeroes = qiovOf(hostAllocate(stop - at));
      guestZero(zeroes, stop - at);
      const written = yield* writePlain(bs, at, stop - at, zeroes);
      if (written < 0) return written;
    }
    at = stop;
  }
  return 0;
}

const MUST_WRITE = 1;

/** Under the lock: 0, MUST_WRITE when zeroes have to be written as data, or a negated errno. */
function* changeEntry(
  bs: BlockDriverState,
  cluster: number,
  change: (entry: ClusterEntry) => ClusterEntry | "write",
): Co<number> {
  const old = yield* getEntry(bs, cluster);
  if (typeof old === "number") return old;
  const entry = change(old);
  if (entry === "write") return MUST_WRITE;
  if (sameEntry(entry, old)) return 0;
  let ret = yield* ensureTable(bs, cluster);
  if (ret >= 0) ret = yield* setEntry(bs, cluster, entry);
  if (ret < 0 || entry.host === old.host) return ret;
  return yield* freeOld(bs, old, "request");
}

function sameEntry(a: ClusterEntry, b: ClusterEntry): boolean {
  if (a.host !== b.host || a.compressed !== b.compressed) return false;
  return a.zero === b.zero && a.allocated === b.allocated;
}
