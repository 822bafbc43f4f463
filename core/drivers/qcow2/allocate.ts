// Finding free clusters, and counting them as used.
//
// A refcount block that is missing is placed at a free cluster and counts itself if it can: it is zeroed, counted, and only
// then named by the table. When the table is too short, a larger one is laid out behind everything that is counted:
//
//     | clusters that the old table can count | new blocks, which count this area | new table | free ...

import { assert, EFBIG, EINVAL } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { signalCorruption } from "./corrupt.ts";
import { discardClusters, passesDiscard } from "./discard.ts";
import { HOST_OFFSET_MAX, high32, INCOMPAT_DIRTY, REFCOUNT_TABLE_BYTES_MAX } from "./format.ts";
import { put64 } from "./header.ts";
import { setIncompatible, updateHeader } from "./header-update.ts";
import { barrier, zeroMetadata } from "./metadata-io.ts";
import { preWriteOverlapCheck, writeChecked } from "./overlap.ts";
import {
  countDown,
  getRefcount,
  placeOf,
  readCount,
  refcountBlockOf,
  updateRefcount,
  writeCount,
} from "./refcount.ts";
import type { Slice } from "./slice-cache.ts";
import { type FreeReason, type Qcow2State, stateOf } from "./state.ts";
import { ENTRY_BYTES, PagedTable } from "./table.ts";
import { tableGet, tableSet } from "./table-io.ts";
import { cacheGet, writeRefcounts } from "./write-back.ts";

const SITE_ALLOC = site("qcow2_alloc_clusters");
const SITE_FREE = site("qcow2_free_clusters");
const SITE_BLOCKS = site("alloc_refcount_block");
const SITE_BEHIND = site("qcow2_alloc_clusters_at");
const SITE_CLAIM = site("qcow2_claim_clusters");

/**
 * qcow2_alloc_clusters: count `count` free clusters in a row as used; the first one's number, or a negated errno. Under the
 * lock.
 */
export function* allocClusters(bs: BlockDriverState, count: number): Co<number> {
  ioCode(bs.aioContext, SITE_ALLOC);
  assert(count > 0, "something is allocated");
  yield* blkdbgFileEvent(bs, "cluster_alloc");
  const marked = yield* markDirty(bs);
  if (marked < 0) return marked;
  for (;;) {
    const first = yield* findFree(bs, count);
    if (first < 0) return first;
    const blocks = yield* ensureBlocks(bs, first, count);
    if (blocks < 0) return blocks;
    // A new block may have taken one of them.
    if (blocks > 0) continue;
    const ret = yield* claim(bs, first, count);
    return ret < 0 ? ret : first;
  }
}

/** Count `count` clusters from `first` on, if all of them are free: `count`, 0 when one is not, or a negated errno. */
export function* claimClusters(bs: BlockDriverState, first: number, count: number): Co<number> {
  ioCode(bs.aioContext, SITE_CLAIM);
  for (let i = 0; i < count; i++) {
    const used = yield* getRefcount(bs, first + i);
    if (used !== 0) return Math.min(used, 0);
  }
  const blocks = yield* ensureBlocks(bs, first, count);
  if (blocks !== 0) return Math.min(blocks, 0);
  const ret = yield* claim(bs, first, count);
  return ret < 0 ? ret : count;
}

/**
 * qcow2_alloc_clusters_at: count `count` clusters in a row as used, the first that are free from `from` on; the first one's number, or
 * a negated errno. Under the lock.
 */
export function* allocClustersBehind(
  bs: BlockDriverState,
  from: number,
  count: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_BEHIND);
  assert(count > 0, "something is allocated");
  const marked = yield* markDirty(bs);
  if (marked < 0) return marked;
  for (let first = from, free = 0; ; ) {
    if ((first + count) * stateOf(bs).clusterBytes > HOST_OFFSET_MAX) return -EFBIG;
    const used = free === count ? 0 : yield* getRefcount(bs, first + free);
    if (used < 0) return used;
    if (used > 0) {
      first += free + 1;
      free = 0;
    } else if (free < count) {
      free++;
    } else {
      const claimed = yield* claimClusters(bs, first, count);
      if (claimed !== 0) return claimed < 0 ? claimed : first;
      // A block that counts them has taken one of them.
      free = 0;
    }
  }
}

/** Count clusters down that no table has named yet, or none on the disk names any more. 0 or a negated errno. */
export function* freeClusters(
  bs: BlockDriverState,
  first: number,
  count: number,
  reason: FreeReason,
): Co<number> {
  ioCode(bs.aioContext, SITE_FREE);
  assert(count > 0, "something is freed");
  yield* blkdbgFileEvent(bs, "cluster_free");
  const freed: number[] = [];
  let left = 0;
  for (let i = 0; i < count && left >= 0; i++) {
    left = yield* countDown(bs, first + i);
    if (left === 0 && passesDiscard(bs, reason)) freed.push(first + i);
  }
  yield* discardClusters(bs, freed);
  return Math.min(left, 0);
}

/** With lazy refcounts the image is marked before its counts get out of date. */
function* markDirty(bs: BlockDriverState): Co<number> {
  const { header, lazyRefcounts } = stateOf(bs);
  if (!lazyRefcounts || (header.incompatible & INCOMPAT_DIRTY) !== 0) return 0;
  return yield* setIncompatible(bs, INCOMPAT_DIRTY, true);
}

function* claim(bs: BlockDriverState, first: number, count: number): Co<number> {
  for (let i = 0; i < count; i++) {
    const ret = yield* updateRefcount(bs, first + i, 1);
    if (ret < 0) return ret;
  }
  const state = stateOf(bs);
  if (state.freeCluster === first) state.freeCluster = first + count;
  return 0;
}

/** alloc_clusters_noref: the first of `count` free clusters in a row, or a negated errno. */
function* findFree(bs: BlockDriverState, count: number): Co<number> {
  const state = stateOf(bs);
  const search: Search = { first: state.freeCluster, run: 0 };
  while (search.run < count) {
    const at = search.first + search.run;
    if (at * state.clusterBytes >= HOST_OFFSET_MAX) return -EFBIG;
    const block = yield* refcountBlockOf(bs, at);
    if (block < 0) return block;
    if (block === 0) {
      // All that this block would count is free.
      search.run += state.refcountBlockEntries - (at % state.refcountBlockEntries);
      continue;
    }
    const place = placeOf(state, at);
    const slice = yield* cacheGet(bs, state.refcountCache, block + place.slice);
    if (typeof slice === "number") return slice;
    searchSlice(state, slice, place.index, count, search);
  }
  return search.first;
}

/** Free clusters in a row that were found so far. */
interface Search {
  first: number;
  run: number;
}

/** Go on with `search` in the counts of one slice, from number `index` on. */
function searchSlice(
  state: Qcow2State,
  slice: Slice,
  index: number,
  count: number,
  search: Search,
): void {
  const counts = (state.refcountCache.sliceBytes * 8) / state.refcountBits;
  for (let i = index; i < counts && search.run < count; i++) {
    if (readCount(state, slice, i) === 0) {
      search.run++;
      continue;
    }
    // Nothing before it is free, so the next search need not look there.
    if (search.first === state.freeCluster && search.run === 0) state.freeCluster++;
    search.first += search.run + 1;
    search.run = 0;
  }
}

/** Every cluster of the range gets a block that counts it; how many blocks were made, or a negated errno. */
export function* ensureBlocks(bs: BlockDriverState, first: number, count: number): Co<number> {
  ioCode(bs.aioContext, SITE_BLOCKS);
  const { refcountBlockEntries: entries } = stateOf(bs);
  let made = 0;
  const last = Math.floor((first + count - 1) / entries);
  for (let index = Math.floor(first / entries); index <= last; ) {
    const block = yield* refcountBlockOf(bs, index * entries);
    if (block < 0) return block;
    if (block > 0) {
      index++;
      continue;
    }
    const ret =
      index < stateOf(bs).refcountTable.entries
        ? yield* makeBlock(bs, index)
        : yield* growRefcountTable(bs, index);
    if (ret < 0) return ret;
    made++;
  }
  return made;
}

/**
 * alloc_refcount_block: place a block at the next free cluster. It becomes the block that counts this cluster if that one is
 * missing, else the one numbered `wanted`.
 */
function* makeBlock(bs: BlockDriverState, wanted: number): Co<number> {
  const state = stateOf(bs);
  yield* blkdbgFileEvent(bs, "refblock_alloc");
  const cluster = yield* findFree(bs, 1);
  if (cluster < 0) return cluster;
  const own = Math.floor(cluster / state.refcountBlockEntries);
  if (own >= state.refcountTable.entries) return yield* growRefcountTable(bs, own);
  const counting = yield* refcountBlockOf(bs, cluster);
  if (counting < 0) return counting;
  const offset = cluster * state.clusterBytes;
  yield* blkdbgFileEvent(bs, "refblock_alloc_write");
  if (cluster === 0)
    return yield* signalCorruption(
      bs,
      "Preventing invalid allocation of refcount block at offset 0",
    );
  let ret = yield* preWriteOverlapCheck(bs, offset, state.clusterBytes);
  if (ret >= 0) ret = yield* zeroMetadata(bs, offset, state.clusterBytes);
  if (ret < 0) return ret;
  state.refcountCache.forget(offset, state.clusterBytes);
  state.l2Cache.forget(offset, state.clusterBytes);
  if (counting > 0) {
    ret = yield* updateRefcount(bs, cluster, 1);
  } else {
    const place = placeOf(state, cluster);
    const slice = yield* cacheGet(bs, state.refcountCache, offset + place.slice);
    if (typeof slice === "number") return slice;
    writeCount(state, slice, place.index, 1);
    state.refcountCache.markDirty(slice);
  }
  if (ret < 0) return ret;
  const index = counting > 0 ? wanted : own;
  return yield* tableSet(bs, state.refcountTable, index, {
    high: high32(offset),
    low: offset % 2 ** 32,
  });
}

/** qcow2_refcount_area: a longer refcount table, which has room for the block numbered `index`. 0 or a negated errno. */
function* growRefcountTable(bs: BlockDriverState, index: number): Co<number> {
  const state = stateOf(bs);
  const { clusterBytes, refcountBlockEntries } = state;
  yield* blkdbgFileEvent(bs, "reftable_grow");
  const old = state.refcountTable;
  const start = old.entries * refcountBlockEntries;
  const wanted = Math.ceil(Math.max(index + 2, old.entries * 1.5) + 1);
  const tableClusters = Math.ceil((wanted * ENTRY_BYTES) / clusterBytes);
  let blocks = 1;
  while (blocks * refcountBlockEntries < blocks + tableClusters) blocks++;
  if (tableClusters * clusterBytes > REFCOUNT_TABLE_BYTES_MAX) return -EFBIG;
  const table = new PagedTable((start + blocks) * clusterBytes, (tableClusters * clusterBytes) / 8);
  if (old.entries + blocks > table.entries) return -EINVAL;
  let ret = yield* writeRefcounts(bs);
  if (ret >= 0) ret = yield* writeNewBlocks(bs, start, blocks, blocks + tableClusters);
  if (ret >= 0) ret = yield* writeNewTable(bs, table, start, blocks);
  if (ret >= 0) ret = yield* barrier(bs);
  yield* blkdbgFileEvent(bs, "refblock_alloc_switch_table");
  const place = { refcountTableOffset: table.offset, refcountTableClusters: tableClusters };
  if (ret >= 0) ret = yield* updateHeader(bs, place);
  if (ret < 0) return ret;
  state.refcountTable = table;
  state.refcountBlocksKnown = false;
  const oldClusters = (old.entries * ENTRY_BYTES) / clusterBytes;
  return yield* freeClusters(bs, old.offset / clusterBytes, oldClusters, "other");
}

/** The blocks at the beginning of the new area, which count its `used` clusters once each. */
function* writeNewBlocks(
  bs: BlockDriverState,
  start: number,
  blocks: number,
  used: number,
): Co<number> {
  const state = stateOf(bs);
  state.refcountCache.forget(start * state.clusterBytes, blocks * state.clusterBytes);
  const bytes = new DataView(new ArrayBuffer(blocks * state.clusterBytes));
  for (let i = 0; i < used; i++) writeCount(state, { view: bytes }, i, 1);
  yield* blkdbgFileEvent(bs, "refblock_alloc_write_blocks");
  return yield* writeChecked(bs, start * state.clusterBytes, new Uint8Array(bytes.buffer));
}

function* writeNewTable(
  bs: BlockDriverState,
  table: PagedTable,
  start: number,
  blocks: number,
): Co<number> {
  const { refcountTable: old, clusterBytes } = stateOf(bs);
  const bytes = new DataView(new ArrayBuffer(table.entries * ENTRY_BYTES));
  for (let i = 0; i < old.entries; i++) {
    const entry = yield* tableGet(bs, old, i);
    if (typeof entry === "number") return entry;
    bytes.setUint32(i * ENTRY_BYTES, entry.high);
    bytes.setUint32(i * ENTRY_BYTES + 4, entry.low);
  }
  for (let i = 0; i < blocks; i++)
    put64(bytes, (old.entries + i) * ENTRY_BYTES, (start + i) * clusterBytes);
  yield* blkdbgFileEvent(bs, "refblock_alloc_write_table");
  return yield* writeChecked(bs, table.offset, new Uint8Array(bytes.buffer));
}
