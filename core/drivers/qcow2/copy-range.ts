// Copying without a buffer: where the source has its bytes, and where the target wants them. The data itself is copied further down.
//
// What no cluster of the source has comes from its backing file, and what nothing has becomes zeroes of the target. Compressed
// clusters cannot be copied so. What a copy leaves of a new cluster is read and written around it, as with a write.

import { assert, EIO, ENOTSUP } from "../../base/index.ts";
import { backingOf } from "../../graph/access.ts";
import type { BlockDriverState, CopyRange } from "../../graph/state.ts";
import { bdrvCoCopyRangeFrom, bdrvCoCopyRangeTo } from "../../io/copy-range.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { qiovOf } from "../../io/guest-copy.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  hostAllocate,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
} from "../../sched/index.ts";
import { dataRequestBegin, dataRequestEnd } from "./data-request.ts";
import { type Extent, mapRange, placeOf } from "./mapping.ts";
import { dataChild, qcow2CoPreadv } from "./read.ts";
import { stateOf } from "./state.ts";
import { checkPlan, finishAllocation } from "./write.ts";
import { planWrite, type WritePlan } from "./write-plan.ts";

const SITE_FROM = site("qcow2_co_copy_range_from");
const SITE_TO = site("qcow2_co_copy_range_to");

/** What is left of a copy when `done` bytes of it are done. */
function rest(range: CopyRange, done: number): CopyRange {
  return {
    ...range,
    srcOffset: range.srcOffset + done,
    dstOffset: range.dstOffset + done,
    bytes: range.bytes - done,
  };
}

/** qcow2_co_copy_range_from: 0 or a negated errno, ENOTSUP for compressed clusters. */
export function* qcow2CoCopyRangeFrom(bs: BlockDriverState, range: CopyRange): Co<number> {
  ioCode(bs.aioContext, SITE_FROM);
  assert(range.src !== null, "zeroes need no source");
  for (let done = 0; done < range.bytes; ) {
    const ret = yield* copyPieceFrom(bs, rest(range, done));
    if (ret < 0) return ret;
    done += ret;
  }
  return 0;
}

/** The first run of clusters of one kind: how long it is, or a negated errno. */
function* copyPieceFrom(bs: BlockDriverState, range: CopyRange): Co<number> {
  const state = stateOf(bs);
  if (state.corrupt) return -EIO;
  yield* qemuCoMutexLock(state.lock);
  const extent = yield* mapRange(bs, range.srcOffset, range.bytes);
  const request = dataRequestBegin(state);
  qemuCoMutexUnlock(state.lock);
  const ret = typeof extent === "number" ? extent : yield* copyExtent(bs, extent, range);
  dataRequestEnd(state, request);
  return ret;
}

function* copyExtent(bs: BlockDriverState, extent: Extent, range: CopyRange): Co<number> {
  if (extent.kind === "compressed") return -ENOTSUP;
  const piece = pieceOf(bs, extent, range);
  const ret = yield* bdrvCoCopyRangeFrom(piece);
  return ret < 0 ? ret : piece.bytes;
}

/** The copy of a run, from where its bytes are. */
function pieceOf(bs: BlockDriverState, extent: Extent, range: CopyRange): CopyRange {
  const { bytes, kind } = extent;
  if (kind === "data") return { ...range, src: dataChild(bs), srcOffset: placeOf(extent), bytes };
  const backing = kind === "zero" ? null : backingOf(bs, SITE_FROM);
  const zeroes = { ...range, src: null, bytes };
  if (backing === null) return zeroes;
  // Behind the end of a backing file that is shorter there is nothing. One that does not know its length is asked for all of it.
  const length = bdrvGetlength(nodeBehind(backing, SITE_FROM));
  if (length >= 0 && range.srcOffset >= length) return zeroes;
  const there = length < 0 ? bytes : Math.min(bytes, length - range.srcOffset);
  return { ...range, src: backing, bytes: there };
}

/** qcow2_co_copy_range_to: 0 or a negated errno. */
export function* qcow2CoCopyRangeTo(bs: BlockDriverState, range: CopyRange): Co<number> {
  ioCode(bs.aioContext, SITE_TO);
  assert(range.src !== null, "zeroes are written elsewhere");
  for (let done = 0; done < range.bytes; ) {
    const ret = yield* copyPieceTo(bs, rest(range, done));
    if (ret < 0) return ret;
    done += ret;
  }
  return 0;
}

/** The first piece that goes to one place: how long it is, or a negated errno. */
function* copyPieceTo(bs: BlockDriverState, range: CopyRange): Co<number> {
  const state = stateOf(bs);
  if (state.corrupt) return -EIO;
  yield* qemuCoMutexLock(state.lock);
  const plan = yield* planWrite(bs, range.dstOffset, range.bytes);
  if (typeof plan === "number") {
    qemuCoMutexUnlock(state.lock);
    return plan;
  }
  let ret = yield* checkPlan(bs, plan);
  const request = dataRequestBegin(state);
  qemuCoMutexUnlock(state.lock);
  const dst = dataChild(bs);
  const { host: dstOffset, bytes, allocation } = plan;
  if (ret >= 0) ret = yield* bdrvCoCopyRangeTo({ ...range, dst, dstOffset, bytes });
  if (ret >= 0) ret = yield* copyAround(bs, plan, range.dstOffset);
  dataRequestEnd(state, request);
  if (allocation !== null) ret = yield* finishAllocation(bs, allocation, ret);
  return ret < 0 ? ret : bytes;
}

/** perform_cow: what of the clusters of `plan` the copy to `offset` has left is what it was. 0 or a negated errno. */
function* copyAround(bs: BlockDriverState, plan: WritePlan, offset: number): Co<number> {
  const { host, bytes, allocation } = plan;
  if (allocation === null) return 0;
  const { start, end } = allocation;
  const ret = yield* copyOld(bs, start, offset - start, host - (offset - start));
  if (ret < 0) return ret;
  return yield* copyOld(bs, offset + bytes, end - (offset + bytes), host + bytes);
}

/** What the guest sees from `offset` on goes to `host`, too. 0 or a negated errno. */
function* copyOld(bs: BlockDriverState, offset: number, bytes: number, host: number): Co<number> {
  if (bytes === 0) return 0;
  const around = qiovOf(hostAllocate(bytes));
  yield* blkdbgFileEvent(bs, "cow_read");
  const ret = yield* qcow2CoPreadv(bs, offset, bytes, around);
  if (ret < 0) return ret;
  yield* blkdbgFileEvent(bs, "cow_write");
  return yield* bdrvCoPwritev(dataChild(bs), host, bytes, around);
}
