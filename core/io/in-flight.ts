// In-flight counters of nodes, and the request tasks that they delimit (design D9).
//
// A request's task begins with the first counter, of a node or of a BlockBackend, that its coroutine raises, and ends with
// the last one that it lowers; the depth is counted on the coroutine. A coroutine that runs for somebody else's task (a job
// between two pause points, the second coroutine of a request) has a task but no depth: its raises and lowers are counted by
// whoever began that task. Lowering is followed by a kick, in this order, or main could sleep through the last request.

import { assert } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import {
  aioWaitKick,
  type Coroutine,
  ioCode,
  machine,
  qemuCoroutineSelf,
  runAsTask,
  taskBegin,
  taskEnd,
} from "../sched/index.ts";

const SITE_INC_IN_FLIGHT = site("bdrv_inc_in_flight");
const SITE_DEC_IN_FLIGHT = site("bdrv_dec_in_flight");
const SITE_WAKEUP = site("bdrv_wakeup");
const SITE_INC_IN_FLIGHT_FOR = site("bdrv_inc_in_flight_for");
const SITE_DEC_IN_FLIGHT_FOR = site("bdrv_dec_in_flight_for");

/** bdrv_inc_in_flight (io.c:921): `bs` works on one request more. */
export function bdrvIncInFlight(bs: BlockDriverState): void {
  ioCode(null, SITE_INC_IN_FLIGHT);
  assert(bs.inFlight >= 0, "an in-flight counter is not negative");
  taskRaise(machine.currentCoroutine);
  bs.inFlight++;
  machine.probe.emit(Ev.bs_in_flight_inc, bs.id, bs.inFlight);
}

/** bdrv_dec_in_flight (io.c:933): one request less; whoever waits for that in main is woken afterwards. */
export function bdrvDecInFlight(bs: BlockDriverState): void {
  ioCode(null, SITE_DEC_IN_FLIGHT);
  assert(bs.inFlight > 0, "an in-flight counter is lowered as often as it was raised");
  bs.inFlight--;
  machine.probe.emit(Ev.bs_in_flight_dec, bs.id, bs.inFlight);
  bdrvWakeup(bs);
  taskLower(machine.currentCoroutine);
}

/** bdrv_wakeup (io.c:927): let main look at its condition again. */
export function bdrvWakeup(bs: BlockDriverState): void {
  ioCode(null, SITE_WAKEUP);
  assert(bs.inFlight >= 0, "an in-flight counter is not negative");
  aioWaitKick();
}

/** As bdrvIncInFlight, on behalf of `co`, which does not run now. */
export function bdrvIncInFlightFor(bs: BlockDriverState, co: Coroutine): void {
  ioCode(null, SITE_INC_IN_FLIGHT_FOR);
  assert(co !== machine.currentCoroutine, "who runs raises for itself");
  runFor(co, () => {
    taskRaise(co);
    bs.inFlight++;
    machine.probe.emit(Ev.bs_in_flight_inc, bs.id, bs.inFlight);
  });
}

/** As bdrvDecInFlight, on behalf of `co`, which does not run now. */
export function bdrvDecInFlightFor(bs: BlockDriverState, co: Coroutine): void {
  ioCode(null, SITE_DEC_IN_FLIGHT_FOR);
  assert(bs.inFlight > 0, "an in-flight counter is lowered as often as it was raised");
  runFor(co, () => {
    bs.inFlight--;
    machine.probe.emit(Ev.bs_in_flight_dec, bs.id, bs.inFlight);
    bdrvWakeup(bs);
    taskLower(co);
  });
}

/** Count a raise for the task of `co`, which begins with the first one; nothing at thread level (null). Common. */
export function taskRaise(co: Coroutine | null): void {
  if (co === null) return;
  if (co.task === 0) {
    assert(co.taskDepth === 0, "a coroutine without a task holds no counter of it");
    taskBegin(co);
    co.taskDepth = 1;
  } else if (co.taskDepth > 0) {
    co.taskDepth++;
  }
}

/**
 * Count a lowering for the task of `co`, which ends with the last one; nothing for a task that somebody else began. Common.
 */
export function taskLower(co: Coroutine | null): void {
  if (co === null || co.taskDepth === 0) return;
  assert(co.task !== 0, "counters are held by a task");
  co.taskDepth--;
  if (co.taskDepth === 0) taskEnd(co, co.task);
}

/** Let `helper`, a second coroutine of the running one's request, run for the same task. Common. */
export function taskShare(helper: Coroutine): void {
  const self = qemuCoroutineSelf();
  assert(helper !== self, "a coroutine already runs for its own task");
  assert(helper.task === 0, "a helper has no task of its own");
  helper.task = self.task;
}

/** Run straight-through code with its events on the task of `co`. Common. */
export function runFor<T>(co: Coroutine, body: () => T): T {
  assert(machine.currentContext !== null, "core code runs inside a step");
  return runAsTask(co.task, body);
}
