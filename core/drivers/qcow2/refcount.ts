// Reference counts of clusters: a table that names refcount blocks, and blocks with counts of 1 to 64 bits each.
//
// A block is made when a cluster of its range is counted for the first time; allocate.ts places it. Counts of clusters
// without a block are 0.

import { assert, EINVAL } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { Ev, site } from "../../probe/index.ts";
import { type Co, ioCode, machine } from "../../sched/index.ts";
import { signalCorruption } from "./corrupt.ts";
import { hex, join64 } from "./format.ts";
import type { Slice } from "./slice-cache.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import { tableGet } from "./table-io.ts";
import { cacheGet } from "./write-back.ts";

const SITE_GET = site("qcow2_get_refcount");
const SITE_UPDATE = site("update_refcount");
const SITE_DOWN = site("qcow2_count_down");
const SITE_SET = site("qcow2_set_refcount");
const SITE_BLOCK = site("qcow2_refcount_block");

/** The refcount block that counts `cluster`: its offset, 0 when there is none, or a negated errno. */
export function* refcountBlockOf(bs: BlockDriverState, cluster: number): Co<number> {
  ioCode(bs.aioContext, SITE_BLOCK);
  const state = stateOf(bs);
  const index = Math.floor(cluster / state.refcountBlockEntries);
  if (index >= state.refcountTable.entries) return 0;
  const entry = yield* tableGet(bs, state.refcountTable, index);
  if (typeof entry === "number") return entry;
  const offset = join64(entry.high, entry.low & ~511);
  if (offset % state.clusterBytes !== 0 || !Number.isSafeInteger(offset)) {
    const where = `Refblock offset ${hex(offset)} unaligned (reftable index: ${hex(index)})`;
    return yield* signalCorruption(bs, where);
  }
  return offset;
}

/** qcow2_get_refcount: how often `cluster` is used, or a negated errno. */
export function* getRefcount(bs: BlockDriverState, cluster: number): Co<number> {
  ioCode(bs.aioContext, SITE_GET);
  const state = stateOf(bs);
  assert(cluster >= 0, "clusters are numbered from 0");
  const block = yield* refcountBlockOf(bs, cluster);
  if (block <= 0) return block;
  const place = placeOf(state, cluster);
  const slice = yield* cacheGet(bs, state.refcountCache, block + place.slice);
  return typeof slice === "number" ? slice : readCount(state, slice, place.index);
}

/** update_refcount for one cluster, whose block is there: its count now, or a negated errno; -EINVAL when it has no such count. */
export function* updateRefcount(bs: BlockDriverState, cluster: number, addend: 1 | -1): Co<number> {
  ioCode(bs.aioContext, SITE_UPDATE);
  return yield* changeCount(bs, cluster, (count) => count + addend);
}

/**
 * update_refcount of qcow2_free_clusters: `cluster` is used once less: its count now, or a negated errno. One that is not counted at all
 * stays so, as in QEMU: its image is wrong, and nothing gets worse.
 */
export function* countDown(bs: BlockDriverState, cluster: number): Co<number> {
  ioCode(bs.aioContext, SITE_DOWN);
  const ret = yield* updateRefcount(bs, cluster, -1);
  if (ret !== -EINVAL) return ret;
  machine.probe.emit(Ev.note, machine.probe.intern("qcow2_free_clusters failed: Invalid argument"));
  return UNCOUNTED;
}

/** More than any count. */
const UNCOUNTED = Number.MAX_SAFE_INTEGER;

/** Count `cluster`, whose block is there, `count` times: its count now, or a negated errno. */
export function* setRefcount(bs: BlockDriverState, cluster: number, count: number): Co<number> {
  ioCode(bs.aioContext, SITE_SET);
  return yield* changeCount(bs, cluster, () => count);
}

function* changeCount(
  bs: BlockDriverState,
  cluster: number,
  change: (count: number) => number,
): Co<number> {
  const state = stateOf(bs);
  const block = yield* refcountBlockOf(bs, cluster);
  if (block <= 0) return block < 0 ? block : -EINVAL;
  yield* blkdbgFileEvent(bs, "refblock_load");
  const place = placeOf(state, cluster);
  const slice = yield* cacheGet(bs, state.refcountCache, block + place.slice);
  if (typeof slice === "number") return slice;
  const count = change(readCount(state, slice, place.index));
  if (count < 0 || count > state.refcountMax) return -EINVAL;
  writeCount(state, slice, place.index, count);
  state.refcountCache.markDirty(slice);
  if (count === 0) clusterIsFree(state, cluster);
  return count;
}

function clusterIsFree(state: Qcow2State, cluster: number): void {
  const offset = cluster * state.clusterBytes;
  state.freeCluster = Math.min(state.freeCluster, cluster);
  if (Math.floor(state.compressedEnd / state.clusterBytes) === cluster) state.compressedEnd = 0;
  state.l2Cache.forget(offset, state.clusterBytes);
  state.refcountCache.forget(offset, state.clusterBytes);
}

/** Where in its refcount block a cluster is counted: the slice, and the number in the slice. Common. */
export function placeOf(
  state: Qcow2State,
  cluster: number,
): { readonly slice: number; readonly index: number } {
  const perSlice = (state.refcountCache.sliceBytes * 8) / state.refcountBits;
  const inBlock = cluster % state.refcountBlockEntries;
  const index = inBlock % perSlice;
  return { slice: ((inBlock - index) / perSlice) * state.refcountCache.sliceBytes, index };
}

/** Count number `index` of a slice; what exceeds a safe integer is as good as the largest. Common. */
export function readCount(state: Qcow2State, { view }: Slice, index: number): number {
  switch (state.refcountBits) {
    case 64:
      return Math.min(
        join64(view.getUint32(index * 8), view.getUint32(index * 8 + 4)),
        Number.MAX_SAFE_INTEGER,
      );
    case 32:
      return view.getUint32(index * 4);
    case 16:
      return view.getUint16(index * 2);
    default: {
      const { byte, shift, mask } = bitsOf(state.refcountBits, index);
      return (view.getUint8(byte) >> shift) & mask;
    }
  }
}

/** Set count number `index` of a slice, or of a run of blocks. Common. */
export function writeCount(
  state: Qcow2State,
  { view }: Pick<Slice, "view">,
  index: number,
  count: number,
): void {
  switch (state.refcountBits) {
    case 64:
      view.setUint32(index * 8, Math.floor(count / 2 ** 32));
      view.setUint32(index * 8 + 4, count % 2 ** 32);
      break;
    case 32:
      view.setUint32(index * 4, count);
      break;
    case 16:
      view.setUint16(index * 2, count);
      break;
    default: {
      const { byte, shift, mask } = bitsOf(state.refcountBits, index);
      const others = view.getUint8(byte) & ~(mask << shift);
      view.setUint8(byte, others | (count << shift));
    }
  }
}

/** A count of at most eight bits; the first of a byte has its lowest bits. */
function bitsOf(bits: number, index: number): { byte: number; shift: number; mask: number } {
  assert(bits <= 8, "wider counts are whole bytes");
  const perByte = 8 / bits;
  return {
    byte: Math.floor(index / perByte),
    shift: (index % perByte) * bits,
    mask: 2 ** bits - 1,
  };
}
