// Writing: piece by piece, each planned under the lock, written without it, and put into the tables under it again.

import { assert, EIO } from "../../base/index.ts";
import type { BlockDriverState, Qiov } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { guestCopy, qiovAfter, qiovOf } from "../../io/guest-copy.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  hostAllocate,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
} from "../../sched/index.ts";
import { freeClusters } from "./allocate.ts";
import { dataRequestBegin, dataRequestEnd } from "./data-request.ts";
import { allocationEnd } from "./dependencies.ts";
import { type ClusterEntry, setEntry } from "./l2.ts";
import { preWriteOverlapCheck } from "./overlap.ts";
import { dataChild, qcow2CoPreadv } from "./read.ts";
import { type FreeReason, stateOf } from "./state.ts";
import { freePending } from "./write-back.ts";
import { type Allocation, entryAfter, planWrite, type WritePlan } from "./write-plan.ts";

const SITE_PWRITEV = site("qcow2_co_pwritev_part");
const SITE_FINISH = site("qcow2_handle_l2meta");
const SITE_FREE_OLD = site("qcow2_free_any_cluster");

/** qcow2_co_pwritev_part: 0 or a negated errno. */
export function* writePlain(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_PWRITEV);
  assert(bytes >= 0, "byte counts are not negative");
  const state = stateOf(bs);
  for (let done = 0; done < bytes; ) {
    if (state.corrupt) return -EIO;
    yield* qemuCoMutexLock(state.lock);
    const plan = yield* planWrite(bs, offset + done, bytes - done);
    let ret = typeof plan === "number" ? plan : yield* checkPlan(bs, plan);
    const request = dataRequestBegin(state);
    qemuCoMutexUnlock(state.lock);
    if (ret >= 0 && typeof plan !== "number")
      ret = yield* writePlanned(bs, plan, offset + done, qiovAfter(qiov, done));
    dataRequestEnd(state, request);
    if (typeof plan === "number") return ret;
    if (plan.allocation !== null) ret = yield* finishAllocation(bs, plan.allocation, ret);
    if (ret < 0) return ret;
    done += plan.bytes;
  }
  return 0;
}

/** Where guest data goes there must be no metadata. 0 or a negated errno. */
function* checkPlan(bs: BlockDriverState, { host, bytes }: WritePlan): Co<number> {
  return stateOf(bs).dataFile === null ? yield* preWriteOverlapCheck(bs, host, bytes) : 0;
}

/** Write one piece, with what is copied around it. */
function* writePlanned(
  bs: BlockDriverState,
  { host, bytes, allocation }: WritePlan,
  offset: number,
  qiov: Qiov,
): Co<number> {
  const head = allocation === null ? 0 : offset - allocation.start;
  const tail = allocation === null ? 0 : allocation.end - (offset + bytes);
  if (head === 0 && tail === 0) {
    yield* blkdbgFileEvent(bs, "write_aio");
    return yield* bdrvCoPwritev(dataChild(bs), host, bytes, qiov);
  }
  const around = hostAllocate(head + bytes + tail);
  yield* blkdbgFileEvent(bs, "cow_read");
  if (head > 0) {
    const ret = yield* qcow2CoPreadv(bs, offset - head, head, qiovOf(around));
    if (ret < 0) return ret;
  }
  if (tail > 0) {
    const behind = qiovOf(around, head + bytes);
    const ret = yield* qcow2CoPreadv(bs, offset + bytes, tail, behind);
    if (ret < 0) return ret;
  }
  guestCopy(qiovOf(around, head), qiov, bytes);
  // Two events for one write, as in QEMU: it is of the guest's data, and of what was copied around it.
  yield* blkdbgFileEvent(bs, "write_aio");
  yield* blkdbgFileEvent(bs, "cow_write");
  return yield* bdrvCoPwritev(dataChild(bs), host - head, around.length, qiovOf(around));
}

/**
 * qcow2_handle_l2meta: the data of `allocation` has been written, or not (`ret`): the tables name it, or its clusters are free again. 0 or
 * a negated errno.
 */
export function* finishAllocation(
  bs: BlockDriverState,
  allocation: Allocation,
  ret: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_FINISH);
  assert(allocation.old.length > 0, "an allocation has clusters");
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.lock);
  const result = ret < 0 ? ret : yield* link(bs, allocation);
  if (ret < 0 && allocation.isNew && state.dataFile === null && !state.corrupt) {
    const { host, old } = allocation;
    // Counted, and named by nothing. If they cannot be counted down, they are leaked.
    yield* freeClusters(bs, host / state.clusterBytes, old.length, "overwritten");
  }
  allocationEnd(state, allocation.inFlight);
  qemuCoMutexUnlock(state.lock);
  return result;
}

/** qcow2_alloc_cluster_link_l2. */
function* link(bs: BlockDriverState, allocation: Allocation): Co<number> {
  const { firstCluster } = allocation.inFlight;
  for (const [index, old] of allocation.old.entries()) {
    const entry = entryAfter(stateOf(bs), allocation, index);
    let ret = yield* setEntry(bs, firstCluster + index, entry);
    if (ret >= 0 && allocation.isNew) ret = yield* freeOld(bs, old, "overwritten");
    if (ret < 0) return ret;
  }
  return 0;
}

/** qcow2_free_any_cluster: the tables in memory do not name the clusters of `old` any more. 0 or a negated errno. */
export function* freeOld(bs: BlockDriverState, old: ClusterEntry, reason: FreeReason): Co<number> {
  ioCode(bs.aioContext, SITE_FREE_OLD);
  const state = stateOf(bs);
  if (old.host === null || state.dataFile !== null) return 0;
  assert(old.host > 0, "the header is no guest data");
  const first = Math.floor(old.host / state.clusterBytes);
  const bytes = old.compressed ? old.compressedBytes : state.clusterBytes;
  const last = Math.floor((old.host + bytes - 1) / state.clusterBytes);
  return yield* freePending(bs, first, last - first + 1, reason);
}
