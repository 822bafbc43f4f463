// Writing: piece by piece, each planned under the lock, written without it, and put into the tables under it again.

import { assert, EIO } from "../../base/index.ts";
import type { BlockDriverState, Qiov } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { guestCopy, qiovAfter, qiovOf } from "../../io/guest-copy.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  coChain,
  coThen,
  hostAllocate,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  settled,
} from "../../sched/index.ts";
import { freeClusters } from "./allocate.ts";
import { signalCorruption } from "./corrupt.ts";
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
export function writePlain(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_PWRITEV);
  assert(bytes >= 0, "byte counts are not negative");
  if (bytes === 0) return settled(0);
  return coChain(writePiece(bs, offset, bytes, qiov), (done) => {
    if (done < 0 || done === bytes) return settled(Math.min(done, 0));
    return writeRest(bs, offset + done, bytes - done, qiovAfter(qiov, done));
  });
}

function* writeRest(bs: BlockDriverState, offset: number, bytes: number, qiov: Qiov): Co<number> {
  for (let done = 0; done < bytes; ) {
    const ret = yield* writePiece(bs, offset + done, bytes - done, qiovAfter(qiov, done));
    if (ret < 0) return ret;
    done += ret;
  }
  return 0;
}

/** The first piece of a write: how long it is, or a negated errno. */
function writePiece(bs: BlockDriverState, offset: number, bytes: number, qiov: Qiov): Co<number> {
  const state = stateOf(bs);
  if (state.corrupt) return settled(-EIO);
  return coChain(qemuCoMutexLock(state.lock), () =>
    coChain(planWrite(bs, offset, bytes), (plan) => {
      if (typeof plan !== "number")
        return coChain(checkPlan(bs, plan), (ret) => carryOut(bs, plan, ret, offset, qiov));
      qemuCoMutexUnlock(state.lock);
      return settled(plan);
    }),
  );
}

/** Under the lock, which is given back: do what was planned and is right, or not (`checked`). Its length, or a negated errno. */
function carryOut(
  bs: BlockDriverState,
  plan: WritePlan,
  checked: number,
  offset: number,
  qiov: Qiov,
): Co<number> {
  const state = stateOf(bs);
  const request = dataRequestBegin(state);
  qemuCoMutexUnlock(state.lock);
  const written = checked < 0 ? settled(checked) : writePlanned(bs, plan, offset, qiov);
  return coChain(written, (ret) => {
    dataRequestEnd(state, request);
    if (plan.allocation === null) return settled(ret < 0 ? ret : plan.bytes);
    return coThen(finishAllocation(bs, plan.allocation, ret), (linked) =>
      linked < 0 ? linked : plan.bytes,
    );
  });
}

/** Where guest data goes there must be no metadata. 0 or a negated errno. Under the lock. Common. */
export function checkPlan(bs: BlockDriverState, { host, bytes }: WritePlan): Co<number> {
  return stateOf(bs).dataFile === null ? preWriteOverlapCheck(bs, host, bytes) : settled(0);
}

/** Write one piece, with what is copied around it. */
function writePlanned(
  bs: BlockDriverState,
  { host, bytes, allocation }: WritePlan,
  offset: number,
  qiov: Qiov,
): Co<number> {
  const head = allocation === null ? 0 : offset - allocation.start;
  const tail = allocation === null ? 0 : allocation.end - (offset + bytes);
  if (head > 0 || tail > 0) return writeWithAround(bs, { host, offset, head, bytes, tail }, qiov);
  return coChain(blkdbgFileEvent(bs, "write_aio"), () =>
    bdrvCoPwritev(dataChild(bs), host, bytes, qiov),
  );
}

/** A piece of guest data, where it goes, and how much around it is copied. */
interface Surrounded {
  readonly host: number;
  readonly offset: number;
  readonly head: number;
  readonly bytes: number;
  readonly tail: number;
}

function* writeWithAround(
  bs: BlockDriverState,
  { host, offset, head, bytes, tail }: Surrounded,
  qiov: Qiov,
): Co<number> {
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
  // A compressed cluster may claim any place.
  if (old.host === 0)
    return yield* signalCorruption(bs, "Preventing the header from being freed as guest data");
  const first = Math.floor(old.host / state.clusterBytes);
  const bytes = old.compressed ? old.compressedBytes : state.clusterBytes;
  const last = Math.floor((old.host + bytes - 1) / state.clusterBytes);
  return yield* freePending(bs, first, last - first + 1, reason);
}
