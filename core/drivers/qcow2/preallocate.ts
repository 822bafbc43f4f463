// Places for what a disk grows by, taken beforehand: in the tables alone, or with room on the disk.
//
//     metadata      clusters wherever there are free ones, named by the tables; the file is made long enough to hold them
//     falloc, full  clusters in a row at the end of the file, which takes room for them, or gets zeroes there
//
// Either way the tables name the clusters as data, but for images with subclusters: their clusters have a place, and none of
// their subclusters is allocated, so a backing file would show. A cluster that the old end is in the middle of stays where it is.
// In an external data file every cluster has its place already.
//
// Differs from QEMU: what a cluster held that was free before reads as zeroes.

import { assert, strerror } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { BDRV_REQ_MAY_UNMAP } from "../../graph/state.ts";
import type { Truncation } from "../../graph/truncation.ts";
import { guestZero, qiovOf } from "../../io/guest-copy.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { bdrvCoTruncate } from "../../io/truncate.ts";
import { bdrvCoPwriteZeroes } from "../../io/write-zeroes.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  hostAllocate,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
} from "../../sched/index.ts";
import { allocClustersBehind, freeClusters } from "./allocate.ts";
import { waitForAllocations } from "./dependencies.ts";
import { allSubclusters, type ClusterEntry, ensureTable, getEntry, setEntry } from "./l2.ts";
import { imageFile } from "./metadata-io.ts";
import { dataChild } from "./read.ts";
import { getRefcount } from "./refcount.ts";
import { stateOf } from "./state.ts";
import { finishAllocation, freeOld, writePlain } from "./write.ts";
import { planWrite, type WritePlan } from "./write-plan.ts";

const SITE_PREALLOCATE = site("preallocate_co");
const SITE_ROOM = site("qcow2_co_truncate/falloc");
const SITE_LAST = site("qcow2_get_last_cluster");

/** Guest range of new clusters, in bytes. */
interface Growth {
  readonly from: number;
  readonly to: number;
}

/** preallocate_co: the tables name clusters for all of `growth`. 0 or a negated errno, with the reason said to `how`. */
export function* preallocateMetadata(
  bs: BlockDriverState,
  growth: Growth,
  how: Truncation,
): Co<number> {
  ioCode(bs.aioContext, SITE_PREALLOCATE);
  assert(growth.from <= growth.to, "a disk grows");
  const reached = yield* placeAll(bs, growth);
  if (reached < 0) how.errorSetg(`Allocating clusters failed: ${strerror(-reached)}`);
  if (reached < 0) return reached;
  // Reads behind the end of the file would fail.
  const length = fileLength(bs);
  if (length < 0) how.errorSetg(`Could not get file size: ${strerror(-length)}`);
  if (length < 0 || reached <= length) return Math.min(length, 0);
  const prealloc = how.prealloc === "metadata" ? "off" : how.prealloc;
  return yield* bdrvCoTruncate(dataChild(bs), reached, { ...how, exact: false, prealloc });
}

/** Where the last of the clusters ends, or a negated errno. */
function* placeAll(bs: BlockDriverState, { from, to }: Growth): Co<number> {
  let ret = yield* preallocateHead(bs, { from, to });
  let reached = ret;
  for (let at = headEnd(bs, { from, to }); ret >= 0 && at < to; ) {
    const piece = yield* placePiece(bs, at, to);
    if (typeof piece === "number") ret = piece;
    else {
      reached = Math.max(reached, piece.host + piece.bytes);
      at += piece.bytes;
    }
  }
  return ret < 0 ? ret : reached;
}

/** Where the cluster ends that the old end is in the middle of. */
function headEnd(bs: BlockDriverState, { from, to }: Growth): number {
  const { clusterBytes } = stateOf(bs);
  return Math.min(to, Math.ceil(from / clusterBytes) * clusterBytes);
}

/**
 * What is new of the cluster that the old end is in the middle of: zeroes, in a place that is the image's own. Where that ends in the
 * file, if it is not there yet, or a negated errno.
 */
function* preallocateHead(bs: BlockDriverState, growth: Growth): Co<number> {
  const state = stateOf(bs);
  const end = headEnd(bs, growth);
  const bytes = end - growth.from;
  if (bytes === 0) return 0;
  yield* qemuCoMutexLock(state.lock);
  const entry = yield* getEntry(bs, Math.floor(growth.from / state.clusterBytes));
  qemuCoMutexUnlock(state.lock);
  if (typeof entry === "number") return entry;
  const isElsewhere = entry.compressed || (entry.host !== null && !entry.copied);
  if (state.subclusters > 1 && !isElsewhere) {
    const piece = yield* placePiece(bs, growth.from, end);
    return typeof piece === "number" ? piece : piece.host + piece.bytes;
  }
  const zeroes = qiovOf(hostAllocate(bytes));
  guestZero(zeroes, bytes);
  return yield* writePlain(bs, growth.from, bytes, zeroes);
}

/** Clusters for the first part of a range, in the tables when this is over. */
function* placePiece(bs: BlockDriverState, from: number, to: number): Co<WritePlan | number> {
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.lock);
  const plan = yield* planWrite(bs, from, to - from);
  qemuCoMutexUnlock(state.lock);
  if (typeof plan === "number" || plan.allocation === null) return plan;
  const { allocation } = plan;
  const zeroed = allocation.isNew
    ? yield* forgetContents(bs, allocation.host, allocation.old.length)
    : 0;
  const ret = yield* finishAllocation(bs, { ...allocation, isPrealloc: true }, zeroed);
  return ret < 0 ? ret : plan;
}

/** What clusters of the file held that were free. A raw data file is as the guest has left it. */
function* forgetContents(bs: BlockDriverState, host: number, clusters: number): Co<number> {
  const { header, clusterBytes } = stateOf(bs);
  if (header.dataFileRaw) return 0;
  const length = fileLength(bs);
  const bytes = Math.min(length, host + clusters * clusterBytes) - host;
  if (length < 0 || bytes <= 0) return Math.min(length, 0);
  return yield* bdrvCoPwriteZeroes(dataChild(bs), host, bytes, BDRV_REQ_MAY_UNMAP);
}

function fileLength(bs: BlockDriverState): number {
  return bdrvGetlength(nodeBehind(dataChild(bs), SITE_PREALLOCATE));
}

/**
 * The part of qcow2_co_truncate for `falloc` and `full` without a data file: clusters at the end of the file for all of `growth`; with
 * `isBacked`, they are to hide what is below. 0 or a negated errno, with the reason said to `how`.
 */
export function* preallocateRoom(
  bs: BlockDriverState,
  growth: Growth,
  how: Truncation,
  isBacked: boolean,
): Co<number> {
  ioCode(bs.aioContext, SITE_ROOM);
  assert(stateOf(bs).dataFile === null, "guest data is in the file of the image");
  const { clusterBytes } = stateOf(bs);
  const failed = (ret: number, what: string): number => {
    how.errorSetg(`${what}: ${strerror(-ret)}`);
    return ret;
  };
  const head = yield* preallocateHead(bs, growth);
  if (head < 0) return failed(head, "Failed to update L2 tables");
  const first = Math.ceil(growth.from / clusterBytes);
  const count = Math.ceil(growth.to / clusterBytes) - first;
  if (count <= 0) return 0;
  const host = yield* allocateAtEnd(bs, count);
  if (host < 0) return failed(host, "Failed to allocate data clusters");
  const ret = yield* takeRoom(bs, host, count, how);
  if (ret < 0) {
    yield* giveBack(bs, host, count);
    return ret;
  }
  const linked = yield* linkAll(bs, { first, count, host }, isBacked);
  return linked < 0 ? failed(linked, "Failed to update L2 tables") : 0;
}

/** Clusters behind all that are in use: where the first is, or a negated errno. */
function* allocateAtEnd(bs: BlockDriverState, count: number): Co<number> {
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.lock);
  const end = yield* endOfUse(bs, fileLength(bs));
  const first = end < 0 ? end : yield* allocClustersBehind(bs, end, count);
  qemuCoMutexUnlock(state.lock);
  return first < 0 ? first : first * state.clusterBytes;
}

/** The file gets as long as the clusters need it. */
function* takeRoom(bs: BlockDriverState, host: number, count: number, how: Truncation): Co<number> {
  const forgotten = yield* forgetContents(bs, host, count);
  const end = host + count * stateOf(bs).clusterBytes;
  if (forgotten < 0) how.errorSetg(`Failed to zero out the new area: ${strerror(-forgotten)}`);
  if (forgotten < 0 || end <= fileLength(bs)) return forgotten;
  return yield* bdrvCoTruncate(imageFile(bs), end, {
    ...how,
    exact: false,
    errorSetg: (message) => how.errorSetg(`Failed to resize underlying file: ${message}`),
  });
}

/** Guest clusters and where they go, in clusters and bytes. */
interface Placed {
  readonly first: number;
  readonly count: number;
  readonly host: number;
}

/** The tables name the new clusters. After an error those that they do not name are free again. */
function* linkAll(bs: BlockDriverState, placed: Placed, isBacked: boolean): Co<number> {
  const state = stateOf(bs);
  const { first, count, host } = placed;
  yield* qemuCoMutexLock(state.lock);
  let ret = 0;
  let index = 0;
  for (; index < count && ret >= 0; index++) {
    yield* waitForAllocations(bs, first + index, 1);
    ret = yield* linkOne(bs, placed, index, isBacked);
  }
  qemuCoMutexUnlock(state.lock);
  // Which of them the last one is cannot be said: it is leaked.
  if (ret < 0) yield* giveBack(bs, host + index * state.clusterBytes, count - index);
  return ret;
}

function* linkOne(
  bs: BlockDriverState,
  { first, host }: Placed,
  index: number,
  isBacked: boolean,
): Co<number> {
  const state = stateOf(bs);
  const old = yield* getEntry(bs, first + index);
  if (typeof old === "number") return old;
  const hasData = state.subclusters === 1 || isBacked;
  const entry: ClusterEntry = {
    compressed: false,
    copied: true,
    host: host + index * state.clusterBytes,
    compressedBytes: 0,
    allocated: hasData ? allSubclusters(state) : 0,
    zero: 0,
  };
  let ret = yield* ensureTable(bs, first + index);
  if (ret >= 0) ret = yield* setEntry(bs, first + index, entry);
  return ret < 0 ? ret : yield* freeOld(bs, old, "overwritten");
}

/** Counted, and named by nothing. If they cannot be counted down, they are leaked. */
function* giveBack(bs: BlockDriverState, host: number, count: number): Co<void> {
  const { lock, clusterBytes, corrupt } = stateOf(bs);
  if (count === 0 || corrupt) return;
  yield* qemuCoMutexLock(lock);
  yield* freeClusters(bs, host / clusterBytes, count, "other");
  qemuCoMutexUnlock(lock);
}

/** qcow2_get_last_cluster: behind the last cluster of a file of `length` bytes that is in use; or a negated errno. */
export function* endOfUse(bs: BlockDriverState, length: number): Co<number> {
  ioCode(bs.aioContext, SITE_LAST);
  if (length < 0) return length;
  const { clusterBytes } = stateOf(bs);
  let end = Math.ceil(length / clusterBytes);
  for (; end > 0; end--) {
    const count = yield* getRefcount(bs, end - 1);
    if (count < 0) return count;
    if (count > 0) break;
  }
  return end;
}
