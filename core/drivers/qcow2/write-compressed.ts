// Writing compressed clusters: each is compressed by the host, and placed behind the last one, byte by byte, so that several share
// a host cluster, which is counted once for each.
//
//     | compressed | compressed | comp:ressed   |  free          a cluster that does not fit goes on in the next one, if that
//     |        host cluster          : host cluster              is the one that was allocated; else it begins there

import { assert, EINVAL, EIO, ENOSPC, ENOTSUP } from "../../base/index.ts";
import type { BlockDriverState, Qiov } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { guestCopy, guestZero, qiovAfter, qiovOf } from "../../io/guest-copy.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  type GuestBuffer,
  hostAllocate,
  hostTransform,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
} from "../../sched/index.ts";
import {
  AioTaskPool,
  aioTaskPoolStartTask,
  aioTaskPoolWaitAll,
  aioTaskPoolWaitSlot,
} from "../aio-task.ts";
import { allocClusters, freeClusters } from "./allocate.ts";
import { codecOf } from "./compressed.ts";
import { signalCorruption } from "./corrupt.ts";
import { dataRequestBegin, dataRequestEnd } from "./data-request.ts";
import { allocationBegin, allocationEnd, waitForAllocations } from "./dependencies.ts";
import { ensureTable, getEntry, setEntry, UNALLOCATED } from "./l2.ts";
import { imageFile } from "./metadata-io.ts";
import { preWriteOverlapCheck } from "./overlap.ts";
import { updateRefcount } from "./refcount.ts";
import { type InFlightAllocation, stateOf } from "./state.ts";
import { writePlain } from "./write.ts";

const SITE_WRITE = site("qcow2_co_pwritev_compressed");

/** Clusters of one request that are compressed and written at once. */
const QCOW2_MAX_WORKERS = 8;

/**
 * qcow2_co_pwritev_compressed_part (block/qcow2.c:4646): whole clusters, but for the end of the disk; several of them at once. 0 or a
 * negated errno, after which no further cluster begins. A cluster that does not get smaller is written as it is.
 */
export function* qcow2CoPwritevCompressed(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_WRITE);
  const state = stateOf(bs);
  const { clusterBytes } = state;
  if (state.dataFile !== null) return -ENOTSUP;
  const end = offset + bytes;
  if (offset % clusterBytes !== 0 || (end % clusterBytes !== 0 && end !== state.size))
    return -EINVAL;
  if (bytes <= clusterBytes) return bytes === 0 ? 0 : yield* writeOne(bs, offset, bytes, qiov);
  const pool = new AioTaskPool(QCOW2_MAX_WORKERS);
  for (let done = 0; done < bytes && pool.status === 0; done += clusterBytes) {
    const length = Math.min(clusterBytes, bytes - done);
    const [at, from] = [offset + done, qiovAfter(qiov, done)];
    aioTaskPoolStartTask(pool, () => writeOne(bs, at, length, from));
    yield* aioTaskPoolWaitSlot(pool);
  }
  yield* aioTaskPoolWaitAll(pool);
  return pool.status;
}

/** Compress one cluster, whose data may end with the disk. */
function* writeOne(bs: BlockDriverState, offset: number, bytes: number, qiov: Qiov): Co<number> {
  const state = stateOf(bs);
  const { clusterBytes } = state;
  const cluster = hostAllocate(clusterBytes);
  guestZero(qiovOf(cluster), clusterBytes);
  guestCopy(qiovOf(cluster), qiov, bytes);
  const packed = hostAllocate(clusterBytes - 1);
  const length = yield* hostTransform({
    codec: codecOf(state),
    direction: "compress",
    from: cluster,
    fromStart: 0,
    fromBytes: clusterBytes,
    to: packed,
    toStart: 0,
    toBytes: packed.length,
  });
  if (length === -ENOSPC || length === -ENOTSUP) return yield* writePlain(bs, offset, bytes, qiov);
  if (length < 0) return length;
  assert(length > 0, "compressed data is not nothing");
  return yield* writePacked(bs, offset / clusterBytes, packed, length);
}

/**
 * Write the compressed data of guest cluster `cluster`, and let the tables name it. As in QEMU, EIO where it has a place already, be it
 * of zeroes or shared with a snapshot.
 */
function* writePacked(
  bs: BlockDriverState,
  cluster: number,
  packed: GuestBuffer,
  length: number,
): Co<number> {
  const state = stateOf(bs);
  if (state.corrupt) return -EIO;
  yield* qemuCoMutexLock(state.lock);
  yield* waitForAllocations(bs, cluster, 1);
  let ret = yield* ensureTable(bs, cluster);
  if (ret >= 0) ret = yield* checkPlaceless(bs, cluster);
  const host = ret < 0 ? ret : yield* allocBytes(bs, length);
  if (host >= 0) ret = yield* preWriteOverlapCheck(bs, host, length);
  if (host < 0 || ret < 0) {
    qemuCoMutexUnlock(state.lock);
    return Math.min(host, ret);
  }
  const inFlight = allocationBegin(state, cluster, 1);
  const request = dataRequestBegin(state);
  qemuCoMutexUnlock(state.lock);
  yield* blkdbgFileEvent(bs, "write_compressed");
  ret = yield* bdrvCoPwritev(imageFile(bs), host, length, qiovOf(packed));
  dataRequestEnd(state, request);
  yield* qemuCoMutexLock(state.lock);
  ret = ret < 0 ? yield* giveBack(bs, host, length, ret) : yield* link(bs, inFlight, host, length);
  allocationEnd(state, inFlight);
  qemuCoMutexUnlock(state.lock);
  return ret;
}

/** Part of qcow2_alloc_compressed_cluster_offset: 0 for a cluster that has no place, EIO for another, or an errno; negated. */
function* checkPlaceless(bs: BlockDriverState, cluster: number): Co<number> {
  const entry = yield* getEntry(bs, cluster);
  if (typeof entry === "number") return entry;
  return entry.host === null ? 0 : -EIO;
}

function* link(
  bs: BlockDriverState,
  { firstCluster: cluster }: InFlightAllocation,
  host: number,
  length: number,
): Co<number> {
  const sectors = Math.floor((host + length - 1) / 512) - Math.floor(host / 512) + 1;
  const compressedBytes = sectors * 512 - (host % 512);
  const entry = { ...UNALLOCATED, compressed: true, host, compressedBytes };
  yield* blkdbgFileEvent(bs, "l2_update_compressed");
  return yield* setEntry(bs, cluster, entry);
}

/** Count down what `allocBytes` counted; returns `ret`. */
function* giveBack(bs: BlockDriverState, host: number, length: number, ret: number): Co<number> {
  const { clusterBytes } = stateOf(bs);
  const first = Math.floor(host / clusterBytes);
  const last = Math.floor((host + length - 1) / clusterBytes);
  yield* freeClusters(bs, first, last - first + 1, "overwritten");
  return ret;
}

/** qcow2_alloc_bytes: a place for `length` bytes, and its clusters counted once more: its offset, or a negated errno. */
function* allocBytes(bs: BlockDriverState, length: number): Co<number> {
  const state = stateOf(bs);
  const { clusterBytes } = state;
  yield* blkdbgFileEvent(bs, "cluster_alloc_bytes");
  const at = state.compressedEnd;
  const current = Math.floor(at / clusterBytes);
  const room = at === 0 ? 0 : (current + 1) * clusterBytes - at;
  if (length <= room) {
    const ret = yield* updateRefcount(bs, current, 1);
    // A count that is full already is no failure: then there is a new cluster.
    if (ret >= 0) return place(bs, at, length);
    if (ret !== -EINVAL) return ret;
  }
  const fresh = yield* allocClusters(bs, 1);
  if (fresh < 0) return fresh;
  if (fresh === 0)
    return yield* signalCorruption(
      bs,
      "Preventing invalid allocation of compressed cluster at offset 0",
    );
  if (room > 0 && length > room && fresh === current + 1) {
    const ret = yield* updateRefcount(bs, current, 1);
    if (ret >= 0) return place(bs, at, length);
    if (ret !== -EINVAL) return ret;
  }
  return place(bs, fresh * clusterBytes, length);
}

function place(bs: BlockDriverState, at: number, length: number): number {
  const state = stateOf(bs);
  const end = at + length;
  state.compressedEnd = end % state.clusterBytes === 0 ? 0 : end;
  return at;
}
