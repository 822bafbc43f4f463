// An overlay in memory: what was written to it lives in clusters; all else is read from its backing file, or is zero.
//
//   overlay    |  ....  | wwww | zzzz |  ....  |     . unallocated   w allocated   z all zero, without memory
//   backing    | bbbb   | bbbb | bbbb | bbbb     (may be shorter)
//   read       | bbbb   | wwww | 0000 | bbbb 00 |
//
// A write to a part of an unallocated cluster first copies the rest of the cluster from the backing file (copy on write).
// Allocating writes take turns (`allocation`): two that copied the same cluster at once would undo each other. Guest data is
// moved between buffers and never looked at. It stands in for qcow2 until that is there.

import { assert, ENOTSUP } from "../base/index.ts";
import { backingOf, edgeBs } from "../graph/access.ts";
import { BDRV_BLOCK_DATA, BDRV_BLOCK_ZERO, type BlockStatus } from "../graph/driver-results.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import {
  BDRV_CHILD_COW,
  type BlockDriver,
  type BlockDriverState,
  type CopyRange,
  type Qiov,
} from "../graph/state.ts";
import { bdrvCoCopyRangeFrom, bdrvCoCopyRangeTo } from "../io/copy-range.ts";
import { guestCopy, guestZero, qiovAfter, qiovOf } from "../io/guest-copy.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { site } from "../probe/index.ts";
import {
  type AioContext,
  type Co,
  CoMutex,
  type GuestBuffer,
  globalStateCode,
  hostAllocate,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
} from "../sched/index.ts";

const SITE_BACKING = site("overlay_co_preadv");
const SITE_COPY_FROM = site("overlay_co_copy_range_from");
const SITE_COPY_TO = site("overlay_co_copy_range_to");
const SITE_OVERLAY_OPEN = site("overlay_open");

/** A cluster: its memory, or known to be all zero. */
type Cluster = GuestBuffer | "zero";

class OverlayState {
  readonly clusterBytes: number;
  readonly clusters = new Map<number, Cluster>();
  readonly allocation = new CoMutex();
  length: number;
  /** Nothing of the backing file shows from here on: the overlay was once as short as this. */
  backingEnd: number;

  constructor(length: number, clusterBytes: number) {
    this.length = length;
    this.backingEnd = length;
    this.clusterBytes = clusterBytes;
  }
}

/** The part of a request that lies in one cluster. */
interface Piece {
  readonly cluster: number;
  /** Where in the cluster it starts. */
  readonly start: number;
  readonly bytes: number;
  /** Where in the request. */
  readonly at: number;
}

/** The driver of overlays; takes a backing file as its COW child. */
export const overlayDriver: BlockDriver = {
  formatName: "overlay",
  isFilter: false,
  supportsBacking: true,
  coPreadv: overlayCoPreadv,
  coPwritev: overlayCoPwritev,
  // Nothing gets smaller: it is there for who insists on compressing.
  coPwritevCompressed: overlayCoPwritev,
  coPwriteZeroes: (bs, offset, bytes) => overlayZero(bs, offset, bytes),
  coPdiscard: (bs, offset, bytes) => overlayZero(bs, offset, bytes),
  coCopyRangeFrom: overlayCoCopyRangeFrom,
  coCopyRangeTo: overlayCoCopyRangeTo,
  coTruncate: overlayCoTruncate,
  coBlockStatus: overlayCoBlockStatus,
  getlength: (bs) => stateOf(bs).length,
  getInfo: (bs) => ({ clusterBytes: stateOf(bs).clusterBytes, isDirty: false }),
  reopenPrepare: () => undefined,
  changeBackingFile: overlayChangeBackingFile,
};

/** How an overlay is opened. */
export interface OverlayOptions {
  readonly nodeName: string;
  readonly size: number;
  /** Its reference is taken over; without one, use bdrv_append later. */
  readonly backing?: BlockDriverState;
  /** Default 64 KiB, as in qcow2. */
  readonly clusterBytes?: number;
  readonly ctx?: AioContext;
}

/** An overlay with one reference, the caller's. Polls. */
export function* overlayOpen(options: OverlayOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OVERLAY_OPEN);
  const { nodeName, size, backing, clusterBytes = 65_536 } = options;
  assert(size >= 0, "a length is not negative");
  assert(clusterBytes > 0, "a cluster holds something");
  const children =
    backing === undefined ? [] : [{ name: "backing", role: BDRV_CHILD_COW, bs: backing }];
  return yield* bdrvOpenDriver(overlayDriver, nodeName, {
    opaque: new OverlayState(size, clusterBytes),
    children,
    ...(options.ctx === undefined ? {} : { ctx: options.ctx }),
  });
}

function* overlayCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  const state = stateOf(bs);
  for (const piece of piecesOf(state, offset, bytes)) {
    const into = qiovAfter(qiov, piece.at);
    const cluster = state.clusters.get(piece.cluster);
    if (cluster === "zero") guestZero(into, piece.bytes);
    else if (cluster !== undefined) guestCopy(into, qiovOf(cluster, piece.start), piece.bytes);
    else {
      const ret = yield* readBacking(bs, offset + piece.at, piece.bytes, into);
      if (ret < 0) return ret;
    }
  }
  return 0;
}

/** Memory has no place for the name of the backing file; the node itself keeps it. */
function* overlayChangeBackingFile(): Polls<number> {
  return 0;
}

/** What shows where nothing is allocated. */
function* readBacking(bs: BlockDriverState, offset: number, bytes: number, into: Qiov): Co<number> {
  const child = backingOf(bs, SITE_BACKING);
  const visible = child === null ? 0 : Math.max(0, stateOf(bs).backingEnd - offset);
  const fromBacking = Math.min(bytes, visible);
  if (child !== null && fromBacking > 0) {
    const ret = yield* bdrvCoPreadv(child, offset, fromBacking, into);
    if (ret < 0) return ret;
  }
  guestZero(qiovAfter(into, fromBacking), bytes - fromBacking);
  return 0;
}

function* overlayCoPwritev(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  const state = stateOf(bs);
  for (const piece of piecesOf(state, offset, bytes)) {
    const memory = yield* allocated(bs, piece);
    if (typeof memory === "number") return memory;
    guestCopy(qiovOf(memory, piece.start), qiovAfter(qiov, piece.at), piece.bytes);
  }
  state.length = Math.max(state.length, offset + bytes);
  return 0;
}

/** Whole clusters become zero without memory; parts of clusters are written. */
function* overlayZero(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  const state = stateOf(bs);
  for (const piece of piecesOf(state, offset, bytes)) {
    if (piece.bytes === state.clusterBytes) {
      yield* setZero(state, piece.cluster);
      continue;
    }
    const memory = yield* allocated(bs, piece);
    if (typeof memory === "number") return memory;
    guestZero(qiovOf(memory, piece.start), piece.bytes);
  }
  state.length = Math.max(state.length, offset + bytes);
  return 0;
}

/** As qcow2's: what is in memory is the target's to take, all else is below, or nothing. */
function* overlayCoCopyRangeFrom(bs: BlockDriverState, range: CopyRange): Co<number> {
  const state = stateOf(bs);
  for (const { cluster, bytes, at } of piecesOf(state, range.srcOffset, range.bytes)) {
    const srcOffset = range.srcOffset + at;
    const piece = { ...range, srcOffset, dstOffset: range.dstOffset + at, bytes };
    const known = state.clusters.get(cluster);
    const ret =
      known === undefined || known === "zero"
        ? yield* copyFromBelow(bs, piece, known === undefined)
        : yield* bdrvCoCopyRangeTo(piece);
    if (ret < 0) return ret;
  }
  return 0;
}

function* copyFromBelow(bs: BlockDriverState, range: CopyRange, isVisible: boolean): Co<number> {
  const child = isVisible ? backingOf(bs, SITE_COPY_FROM) : null;
  const visible = Math.max(0, stateOf(bs).backingEnd - range.srcOffset);
  const bytes = child === null ? 0 : Math.min(range.bytes, visible);
  if (bytes > 0) {
    const ret = yield* bdrvCoCopyRangeFrom({ ...range, src: child, bytes });
    if (ret < 0) return ret;
  }
  if (bytes === range.bytes) return 0;
  const rest = { ...range, dstOffset: range.dstOffset + bytes, bytes: range.bytes - bytes };
  return yield* bdrvCoCopyRangeFrom({ ...rest, src: null });
}

/** From the memory of another overlay, or of this one. */
function* overlayCoCopyRangeTo(bs: BlockDriverState, range: CopyRange): Co<number> {
  const { src, srcOffset, dstOffset, bytes } = range;
  const srcBs = src === null ? null : edgeBs(src, SITE_COPY_TO);
  if (srcBs === null || !(srcBs.opaque instanceof OverlayState)) return -ENOTSUP;
  const bounce = qiovOf(hostAllocate(bytes));
  const ret = yield* overlayCoPreadv(srcBs, srcOffset, bytes, bounce);
  return ret < 0 ? ret : yield* overlayCoPwritev(bs, dstOffset, bytes, bounce);
}

/** In its turn, or a write that is just copying this cluster would bring the old contents back. */
function* setZero(state: OverlayState, cluster: number): Co<void> {
  yield* qemuCoMutexLock(state.allocation);
  state.clusters.set(cluster, "zero");
  qemuCoMutexUnlock(state.allocation);
}

/** The memory of the piece's cluster, which has its contents but perhaps in the piece; or a negated errno. */
function* allocated(bs: BlockDriverState, piece: Piece): Co<GuestBuffer | number> {
  const state = stateOf(bs);
  const known = state.clusters.get(piece.cluster);
  if (known !== undefined && known !== "zero") return known;
  yield* qemuCoMutexLock(state.allocation);
  const result = yield* allocateLocked(bs, piece);
  qemuCoMutexUnlock(state.allocation);
  return result;
}

function* allocateLocked(bs: BlockDriverState, piece: Piece): Co<GuestBuffer | number> {
  const state = stateOf(bs);
  const known = state.clusters.get(piece.cluster);
  if (known !== undefined && known !== "zero") return known;
  const { clusterBytes } = state;
  const memory = hostAllocate(clusterBytes);
  if (known === "zero") {
    guestZero(qiovOf(memory), clusterBytes);
  } else if (piece.bytes < clusterBytes) {
    const ret = yield* copyAround(bs, piece, memory);
    if (ret < 0) return ret;
  }
  state.clusters.set(piece.cluster, memory);
  return memory;
}

/** Fill what lies before and behind the piece in its cluster. */
function* copyAround(bs: BlockDriverState, piece: Piece, memory: GuestBuffer): Co<number> {
  const { clusterBytes } = stateOf(bs);
  const base = piece.cluster * clusterBytes;
  const end = piece.start + piece.bytes;
  const before = yield* readBacking(bs, base, piece.start, qiovOf(memory));
  if (before < 0) return before;
  return yield* readBacking(bs, base + end, clusterBytes - end, qiovOf(memory, end));
}

/** Clusters of one kind, from `offset` on: with memory, zero, or left to the backing file. */
function* overlayCoBlockStatus(
  bs: BlockDriverState,
  _wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  const state = stateOf(bs);
  let ret = -1;
  let pnum = 0;
  for (const piece of piecesOf(state, offset, bytes)) {
    const next = statusOf(state, piece.cluster);
    if (ret >= 0 && next !== ret) break;
    ret = next;
    pnum += piece.bytes;
  }
  return { ret, pnum, map: 0, file: null };
}

function statusOf(state: OverlayState, index: number): number {
  const cluster = state.clusters.get(index);
  if (cluster === "zero") return BDRV_BLOCK_ZERO;
  if (cluster !== undefined) return BDRV_BLOCK_DATA;
  return index * state.clusterBytes >= state.backingEnd ? BDRV_BLOCK_ZERO : 0;
}

/** Shorter: what was behind the new end is gone. Longer: zeroes follow, whatever the backing file has there. */
function* overlayCoTruncate(bs: BlockDriverState, offset: number): Co<number> {
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.allocation);
  const last = Math.floor(offset / state.clusterBytes);
  for (const [index, cluster] of state.clusters) {
    if (index > last) state.clusters.delete(index);
    else if (index === last && cluster !== "zero") {
      const start = offset - index * state.clusterBytes;
      guestZero(qiovOf(cluster, start), state.clusterBytes - start);
    }
  }
  state.backingEnd = Math.min(state.backingEnd, state.length, offset);
  state.length = offset;
  qemuCoMutexUnlock(state.allocation);
  return 0;
}

/** A request cut at the borders of clusters. */
function* piecesOf(state: OverlayState, offset: number, bytes: number): Iterable<Piece> {
  const { clusterBytes } = state;
  for (let at = 0; at < bytes; ) {
    const cluster = Math.floor((offset + at) / clusterBytes);
    const start = offset + at - cluster * clusterBytes;
    const length = Math.min(bytes - at, clusterBytes - start);
    yield { cluster, start, bytes: length, at };
    at += length;
  }
}

function stateOf(bs: BlockDriverState): OverlayState {
  assert(bs.opaque instanceof OverlayState, "the node is an overlay");
  return bs.opaque;
}
