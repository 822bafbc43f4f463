// The gate of a BlockBackend: while its root is drained, requests wait here and are not in flight.
//
//   request          in_flight 1 ── gate open? ── yes ──> goes on
//                         ^              │ no
//                         │        in_flight 0, queue
//   drained_end ── last level ── wakes all that wait: each counts itself again and looks at the gate again
//
// A request that was woken can find the gate closed by the next section, and waits again. QEMU 7.2 goes on after one wait
// (`waitsOnce`), and so lets a request into a drained section: docs/known-findings.md.

import { assert } from "../base/index.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type Co,
  ioCode,
  ioOrGsCode,
  machine,
  modelAssert,
  qemuCoEnterNext,
  qemuCoQueueWait,
  qemuCoroutineSelf,
  settled,
} from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkParkInFlight, blkUnparkInFlight } from "./in-flight.ts";

const SITE_WAIT_WHILE_DRAINED = site("blk_wait_while_drained");
const SITE_WAKE_QUEUED_REQUESTS = site("wake_queued_requests");

/**
 * blk_wait_while_drained (block-backend.c:1270): called by a request that counts in flight once. The graph may have changed when
 * it comes back. Differs from QEMU: waits until it has seen the gate open, unless `waitsOnce`.
 */
export function blkWaitWhileDrained(blk: BlockBackend): Co<void> {
  ioCode(blk.ctx, SITE_WAIT_WHILE_DRAINED);
  modelAssert(blk.inFlight > 0, "blk->in_flight > 0");
  return gateClosed(blk) ? waitAtGate(blk) : settled(undefined);
}

function* waitAtGate(blk: BlockBackend): Co<void> {
  const co = qemuCoroutineSelf();
  do {
    blkParkInFlight(blk);
    machine.probe.emit(Ev.req_queued, blk.id, co.id);
    yield* qemuCoQueueWait(blk.queuedRequests);
    machine.probe.emit(Ev.req_resumed, blk.id, co.id);
    blkUnparkInFlight(blk);
  } while (!blk.waitsOnce && gateClosed(blk));
  assert(blk.inFlight > 0, "who has passed the gate is in flight");
}

/** Wake all requests that wait; those of another context run there, later. */
export function wakeQueuedRequests(blk: BlockBackend): void {
  ioOrGsCode(blk.ctx, SITE_WAKE_QUEUED_REQUESTS);
  assert(blk.quiesceCounter === 0, "requests are woken by the end of the last level");
  const queue = blk.queuedRequests;
  for (let first = queue.entries[0]; first !== undefined; first = queue.entries[0]) {
    machine.probe.emit(Ev.req_wake, blk.id, first.id);
    assert(qemuCoEnterNext(queue), "somebody waits");
  }
}

function gateClosed(blk: BlockBackend): boolean {
  const queuing = !blk.disableRequestQueuing;
  machine.probe.emit(Ev.gate_read, blk.id, blk.quiesceCounter, queuing ? 1 : 0);
  return blk.quiesceCounter > 0 && queuing;
}
