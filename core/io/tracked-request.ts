// Requests that are under way at a node (C: BdrvTrackedRequest), and how those that must not overlap wait for each other.
//
// A serialising request (an unaligned write that reads, changes and writes back; a truncate that grows) excludes all others
// that overlap with its range, rounded to the alignment. Whoever comes later waits in the queue of the one in its way, unless
// that one waits itself. The list and the queues are under the node's `reqsLock`.

import { assert } from "../base/index.ts";
import type { BdrvTrackedRequest, BlockDriverState } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type Co,
  CoQueue,
  currentTask,
  ioCode,
  machine,
  modelAssert,
  qemuCoMutexLock,
  qemuCoMutexTryLock,
  qemuCoMutexUnlock,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  qemuCoroutineSelf,
  settled,
} from "../sched/index.ts";
import { alignDown, alignUp, BDRV_REQUEST_MAX_BYTES } from "./limits.ts";

const SITE_TRACKED_REQUEST_BEGIN = site("tracked_request_begin");
const SITE_TRACKED_REQUEST_END = site("tracked_request_end");
const SITE_WAIT_SERIALISING_REQUESTS = site("bdrv_wait_serialising_requests");
const SITE_MAKE_REQUEST_SERIALISING = site("bdrv_make_request_serialising");

/** tracked_request_begin (io.c:784): a request of the running coroutine is under way. `type` is the catalogue's RequestType. */
export function trackedRequestBegin(
  bs: BlockDriverState,
  type: number,
  offset: number,
  bytes: number,
): Co<BdrvTrackedRequest> {
  ioCode(bs.aioContext, SITE_TRACKED_REQUEST_BEGIN);
  assert(offset >= 0, "requests lie inside an image");
  assert(bs.inFlight > 0, "a request is counted before it is tracked");
  const req: BdrvTrackedRequest = {
    bs,
    type,
    offset,
    bytes,
    task: currentTask(),
    co: qemuCoroutineSelf(),
    serialising: false,
    overlapOffset: offset,
    overlapBytes: bytes,
    waitingFor: null,
    waitQueue: new CoQueue(),
  };
  if (!qemuCoMutexTryLock(bs.reqsLock)) return trackLater(req);
  track(req);
  return settled(req);
}

function* trackLater(req: BdrvTrackedRequest): Co<BdrvTrackedRequest> {
  yield* qemuCoMutexLock(req.bs.reqsLock);
  track(req);
  return req;
}

/** Under the lock, which is given back. */
function track(req: BdrvTrackedRequest): void {
  const { bs, type, offset, bytes } = req;
  bs.trackedRequests.push(req);
  // Zeroes and discards can be about more than an event's integer holds.
  const shown = Math.min(bytes, BDRV_REQUEST_MAX_BYTES);
  machine.probe.emitWide(Ev.tracked_begin, offset, bs.id, type, shown);
  qemuCoMutexUnlock(bs.reqsLock);
}

/** tracked_request_end (io.c:763): it is over; all who wait for it look again. */
export function trackedRequestEnd(req: BdrvTrackedRequest): Co<void> {
  ioCode(req.bs.aioContext, SITE_TRACKED_REQUEST_END);
  const { bs } = req;
  if (req.serialising) bs.serialisingInFlight--;
  assert(bs.serialisingInFlight >= 0, "a serialising request ends once");
  if (!qemuCoMutexTryLock(bs.reqsLock)) return forgetLater(req);
  forget(req);
  return settled(undefined);
}

function* forgetLater(req: BdrvTrackedRequest): Co<void> {
  yield* qemuCoMutexLock(req.bs.reqsLock);
  forget(req);
}

/** Take it out of the list, where it often is the last one. Under the lock, which is given back. */
function forget(req: BdrvTrackedRequest): void {
  const { bs } = req;
  const { trackedRequests } = bs;
  const at = trackedRequests.lastIndexOf(req);
  assert(at >= 0, "a tracked request ends once");
  for (let i = at + 1; i < trackedRequests.length; i++)
    trackedRequests[i - 1] = trackedRequests[i] as BdrvTrackedRequest;
  trackedRequests.pop();
  machine.probe.emit(Ev.tracked_end, bs.id, req.type);
  qemuCoQueueRestartAll(req.waitQueue);
  qemuCoMutexUnlock(bs.reqsLock);
}

/** bdrv_wait_serialising_requests (io.c:939): wait until no serialising request overlaps. Free when there is none at all. */
export function bdrvWaitSerialisingRequests(self: BdrvTrackedRequest): Co<void> {
  ioCode(self.bs.aioContext, SITE_WAIT_SERIALISING_REQUESTS);
  const { bs } = self;
  assert(bs.trackedRequests.includes(self), "who waits is tracked");
  return bs.serialisingInFlight === 0 ? settled(undefined) : lockAndWait(self);
}

function* lockAndWait(self: BdrvTrackedRequest): Co<void> {
  const { bs } = self;
  yield* qemuCoMutexLock(bs.reqsLock);
  yield* waitLocked(self);
  qemuCoMutexUnlock(bs.reqsLock);
}

/** bdrv_make_request_serialising (io.c:953): exclude all that overlap with the range, rounded to `align`; waits for them. */
export function* bdrvMakeRequestSerialising(req: BdrvTrackedRequest, align: number): Co<void> {
  ioCode(req.bs.aioContext, SITE_MAKE_REQUEST_SERIALISING);
  assert(align > 0, "alignments are positive");
  yield* qemuCoMutexLock(req.bs.reqsLock);
  setSerialising(req, align);
  yield* waitLocked(req);
  qemuCoMutexUnlock(req.bs.reqsLock);
}

/** The same, of a request that must not wait: false when another one is in its way. Part of bdrv_co_write_req_prepare (io.c:1956). */
export function* bdrvTryMakeRequestSerialising(
  req: BdrvTrackedRequest,
  align: number,
): Co<boolean> {
  ioCode(req.bs.aioContext, SITE_MAKE_REQUEST_SERIALISING);
  assert(align > 0, "alignments are positive");
  yield* qemuCoMutexLock(req.bs.reqsLock);
  setSerialising(req, align);
  const alone = conflict(req) === null;
  qemuCoMutexUnlock(req.bs.reqsLock);
  return alone;
}

/** tracked_request_set_serialising (io.c:868). */
function setSerialising(req: BdrvTrackedRequest, align: number): void {
  const start = alignDown(req.offset, align);
  const bytes = alignUp(req.offset + req.bytes, align) - start;
  if (!req.serialising) {
    req.serialising = true;
    req.bs.serialisingInFlight++;
  }
  req.overlapOffset = Math.min(req.overlapOffset, start);
  req.overlapBytes = Math.max(req.overlapBytes, bytes);
}

/** bdrv_wait_serialising_requests_locked (io.c:855). */
function* waitLocked(self: BdrvTrackedRequest): Co<void> {
  const { bs } = self;
  for (let other = conflict(self); other !== null; other = conflict(self)) {
    self.waitingFor = other;
    machine.probe.emit(Ev.tracked_wait, bs.id, self.type);
    yield* qemuCoQueueWait(other.waitQueue, bs.reqsLock);
    self.waitingFor = null;
  }
}

/** bdrv_find_conflicting_request (io.c:820): one that overlaps and does not wait, as it could be waiting for `self`. */
function conflict(self: BdrvTrackedRequest): BdrvTrackedRequest | null {
  const { trackedRequests } = self.bs;
  for (let at = trackedRequests.length - 1; at >= 0; at--) {
    const other = trackedRequests[at] as BdrvTrackedRequest;
    if (other === self || !(other.serialising || self.serialising)) continue;
    if (!overlaps(other, self.overlapOffset, self.overlapBytes)) continue;
    modelAssert(qemuCoroutineSelf() !== other.co, "qemu_coroutine_self() != req->co");
    if (other.waitingFor === null) return other;
  }
  return null;
}

/** tracked_request_overlaps (io.c:801). */
function overlaps(req: BdrvTrackedRequest, offset: number, bytes: number): boolean {
  if (offset >= req.overlapOffset + req.overlapBytes) return false;
  return req.overlapOffset < offset + bytes;
}
