// Writing changed tables, in the order that keeps the image whole however it is cut off.
//
//     refcount blocks  ->  refcount table  ->  L2 tables and L1 table  ->  frees
//
// Each arrow is a barrier: what is on its left is on the disk before anything on its right is written. So nothing in a table
// ever names a cluster that is not counted, or a table that is not there (a new L2 table is zeroes, or a copy, when it is made, so
// that it may be named before its entries are written); and as clusters are only counted down when no
// table on the disk names them (`PendingFree`), a cut leaves clusters that are counted and not used: leaks, and no more.
// Guest data is before the L2 tables, too. With lazy refcounts the first arrows do not hold: the image is marked dirty
// instead, and whoever opens it counts anew.
//
// All of this runs under the image's lock.

import { assert, EIO } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { discardClusters, passesDiscard } from "./discard.ts";
import { PENDING_FREES_MAX } from "./format.ts";
import { barrier, readMetadata } from "./metadata-io.ts";
import { writeChecked } from "./overlap.ts";
import { countDown } from "./refcount.ts";
import type { Slice, SliceCache } from "./slice-cache.ts";
import { type FreeReason, stateOf } from "./state.ts";
import { PAGE_BYTES, type PagedTable, pageLength } from "./table.ts";

const SITE_GET = site("qcow2_cache_get");
const SITE_REFCOUNTS = site("qcow2_write_back_refcounts");
const SITE_MAPPINGS = site("qcow2_write_back_mappings");
const SITE_FREES = site("qcow2_apply_frees");
const SITE_PENDING = site("qcow2_free_pending");
const SITE_ALL = site("qcow2_write_caches");

/** qcow2_cache_get: the slice of `cache` at `offset`, or a negated errno. Under the lock; valid until the next yield. */
export function* cacheGet(
  bs: BlockDriverState,
  cache: SliceCache,
  offset: number,
): Co<Slice | number> {
  ioCode(bs.aioContext, SITE_GET);
  assert(offset % cache.sliceBytes === 0, "slices are aligned");
  const known = cache.get(offset);
  if (known !== undefined) return known;
  const ret = yield* makeRoom(bs, cache);
  if (ret < 0) return ret;
  if (cache === stateOf(bs).l2Cache) yield* blkdbgFileEvent(bs, "l2_load");
  const read = yield* readMetadata(bs, offset, cache.sliceBytes);
  if (typeof read === "number") return read;
  const view = new DataView(new ArrayBuffer(cache.sliceBytes));
  new Uint8Array(view.buffer).set(read);
  return cache.put(offset, view);
}

/** When all slices have changed, all are written at once: one pair of barriers for many of them. */
function* makeRoom(bs: BlockDriverState, cache: SliceCache): Co<number> {
  if (cache.slices.size < cache.capacity || cache.evictClean()) return 0;
  const { l2Cache } = stateOf(bs);
  const ret = cache === l2Cache ? yield* writeMappings(bs) : yield* writeSlices(bs, cache);
  if (ret < 0) return ret;
  const evicted = cache.evictClean();
  assert(evicted, "what was written is clean");
  return 0;
}

/** Write refcount blocks, then the refcount table. May be done at any time. 0 or a negated errno. */
export function* writeRefcounts(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_REFCOUNTS);
  const { refcountCache, refcountTable } = stateOf(bs);
  const ret = yield* writeSlices(bs, refcountCache);
  if (ret < 0 || refcountTable.dirty.size === 0) return ret;
  const first = yield* barrier(bs);
  return first < 0 ? first : yield* writePages(bs, refcountTable);
}

/** Write what the L2 and L1 tables name, then them. 0 or a negated errno. */
export function* writeMappings(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_MAPPINGS);
  const state = stateOf(bs);
  if (state.l2Cache.dirty === 0 && state.l1.dirty.size === 0) return 0;
  if (!state.lazyRefcounts) {
    const ret = yield* writeRefcounts(bs);
    if (ret < 0) return ret;
  }
  let ret = yield* barrier(bs);
  if (ret >= 0) ret = yield* writeSlices(bs, state.l2Cache);
  return ret < 0 ? ret : yield* writePages(bs, state.l1);
}

/** qcow2_write_caches: all that has changed, and the frees that were waiting for it. 0 or a negated errno. */
export function* writeCaches(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_ALL);
  if (stateOf(bs).corrupt) return -EIO;
  let ret = yield* writeMappings(bs);
  if (ret >= 0) ret = yield* applyFrees(bs);
  return ret < 0 ? ret : yield* writeRefcounts(bs);
}

/** `count` clusters from `cluster` on are named by no table any more: count them down when that is on the disk. */
export function* freePending(
  bs: BlockDriverState,
  cluster: number,
  count: number,
  reason: FreeReason,
): Co<number> {
  ioCode(bs.aioContext, SITE_PENDING);
  assert(count > 0, "clusters are freed");
  const { pendingFrees, dataRequestsBegun } = stateOf(bs);
  for (let i = 0; i < count; i++)
    pendingFrees.push({ cluster: cluster + i, before: dataRequestsBegun, reason });
  if (pendingFrees.length < PENDING_FREES_MAX) return 0;
  const ret = yield* writeMappings(bs);
  return ret < 0 ? ret : yield* applyFrees(bs);
}

/** Count down what was freed before the tables, as they are on the disk after a barrier, and before the oldest request. */
function* applyFrees(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_FREES);
  const { pendingFrees, dataRequests } = stateOf(bs);
  if (pendingFrees.length === 0) return 0;
  const ret = yield* barrier(bs);
  if (ret < 0) return ret;
  const oldest = dataRequests.values().next().value ?? Number.POSITIVE_INFINITY;
  const freed: number[] = [];
  let failed = 0;
  while (failed === 0 && pendingFrees[0] !== undefined && pendingFrees[0].before <= oldest) {
    const { cluster, reason } = pendingFrees[0];
    const left = yield* countDown(bs, cluster);
    if (left < 0) failed = left;
    else pendingFrees.shift();
    if (left === 0 && passesDiscard(bs, reason)) freed.push(cluster);
  }
  yield* discardClusters(bs, freed);
  return failed;
}

function* writeSlices(bs: BlockDriverState, cache: SliceCache): Co<number> {
  if (cache.dirty === 0) return 0;
  const dirty = [...cache.slices.values()].filter((slice) => slice.dirty);
  dirty.sort((a, b) => a.offset - b.offset);
  const isL2 = cache === stateOf(bs).l2Cache;
  const event = isL2 ? "l2_update" : "refblock_update_part";
  const own = isL2 ? "active-l2" : "refcount-block";
  for (const slice of dirty) {
    yield* blkdbgFileEvent(bs, event);
    const ret = yield* writeChecked(bs, slice.offset, new Uint8Array(slice.view.buffer), own);
    if (ret < 0) return ret;
    cache.markClean(slice);
  }
  return 0;
}

function* writePages(bs: BlockDriverState, table: PagedTable): Co<number> {
  for (const number of [...table.dirty].sort((a, b) => a - b)) {
    const page = table.pages.get(number);
    assert(page !== undefined, "a page that has changed is here");
    const data = new Uint8Array(page.buffer, 0, pageLength(table, number));
    const isL1 = table === stateOf(bs).l1;
    yield* blkdbgFileEvent(bs, isL1 ? "l1_update" : "refblock_alloc_hookup");
    const own = isL1 ? "active-l1" : "refcount-table";
    const ret = yield* writeChecked(bs, table.offset + number * PAGE_BYTES, data, own);
    if (ret < 0) return ret;
    table.dirty.delete(number);
  }
  return 0;
}
