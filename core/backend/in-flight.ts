// The in-flight counter of a BlockBackend. It covers what the node's counter does not: requests that have no node yet, or none
// at all. Raising it begins a request's task (core/io/in-flight.ts); a queued request gives its counter back meanwhile, but
// stays the same task.

import { assert, type SectionId, type TaskId } from "../base/index.ts";
import { runFor, taskLower, taskRaise } from "../io/in-flight.ts";
import { Ev, site } from "../probe/index.ts";
import {
  aioWaitKick,
  type Coroutine,
  ioCode,
  machine,
  runAsTask,
  taskBegin,
  taskEnd,
} from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";

const SITE_INC_IN_FLIGHT = site("blk_inc_in_flight");
const SITE_DEC_IN_FLIGHT = site("blk_dec_in_flight");
const SITE_INC_IN_FLIGHT_FOR = site("blk_inc_in_flight_for");
const SITE_DEC_IN_FLIGHT_FOR = site("blk_dec_in_flight_for");
const SITE_INC_IN_FLIGHT_ALONE = site("blk_inc_in_flight_alone");
const SITE_DEC_IN_FLIGHT_ALONE = site("blk_dec_in_flight_alone");
const SITE_PARK_IN_FLIGHT = site("blk_park_in_flight");
const SITE_UNPARK_IN_FLIGHT = site("blk_unpark_in_flight");
const SITE_READ_BLK_IN_FLIGHT = site("read_blk_in_flight");

/** blk_inc_in_flight (block-backend.c:1441): `blk` works on one request more. */
export function blkIncInFlight(blk: BlockBackend): void {
  ioCode(null, SITE_INC_IN_FLIGHT);
  assert(blk.inFlight >= 0, "an in-flight counter is not negative");
  taskRaise(machine.currentCoroutine);
  raise(blk);
}

/** blk_dec_in_flight (block-backend.c:1447): one request less; whoever waits for that in main is woken afterwards. */
export function blkDecInFlight(blk: BlockBackend): void {
  ioCode(null, SITE_DEC_IN_FLIGHT);
  assert(blk.inFlight > 0, "an in-flight counter is lowered as often as it was raised");
  lower(blk);
  taskLower(machine.currentCoroutine);
}

/** As blkIncInFlight, on behalf of `co`, which does not run now. */
export function blkIncInFlightFor(blk: BlockBackend, co: Coroutine): void {
  ioCode(null, SITE_INC_IN_FLIGHT_FOR);
  assert(co !== machine.currentCoroutine, "who runs raises for itself");
  runFor(co, () => {
    taskRaise(co);
    raise(blk);
  });
}

/** As blkDecInFlight, on behalf of `co`, which does not run now. */
export function blkDecInFlightFor(blk: BlockBackend, co: Coroutine): void {
  ioCode(null, SITE_DEC_IN_FLIGHT_FOR);
  assert(blk.inFlight > 0, "an in-flight counter is lowered as often as it was raised");
  runFor(co, () => {
    lower(blk);
    taskLower(co);
  });
}

/** As blkIncInFlight, for a request that no coroutine runs: a task of its own, whose number is returned. */
export function blkIncInFlightAlone(blk: BlockBackend): TaskId {
  ioCode(null, SITE_INC_IN_FLIGHT_ALONE);
  assert(blk.inFlight >= 0, "an in-flight counter is not negative");
  return runAsTask(0 as TaskId, () => {
    const task = taskBegin(null);
    raise(blk);
    return task;
  });
}

/** Undo blkIncInFlightAlone: the task ends. */
export function blkDecInFlightAlone(blk: BlockBackend, task: TaskId): void {
  ioCode(null, SITE_DEC_IN_FLIGHT_ALONE);
  assert(blk.inFlight > 0, "an in-flight counter is lowered as often as it was raised");
  runAsTask(task, () => {
    lower(blk);
    taskEnd(null, task);
  });
}

/** The running request goes to sleep at the gate: it counts no more, and stays the same task. */
export function blkParkInFlight(blk: BlockBackend): void {
  ioCode(null, SITE_PARK_IN_FLIGHT);
  assert(blk.inFlight > 0, "who waits at the gate was counted");
  lower(blk);
}

/** The running request has left the queue and counts again. */
export function blkUnparkInFlight(blk: BlockBackend): void {
  ioCode(null, SITE_UNPARK_IN_FLIGHT);
  assert(blk.inFlight >= 0, "an in-flight counter is not negative");
  raise(blk);
}

/** The counter, read by the condition of `section`, or of nobody's (0). */
export function readBlkInFlight(blk: BlockBackend, section: SectionId | 0): number {
  ioCode(null, SITE_READ_BLK_IN_FLIGHT);
  assert(blk.inFlight >= 0, "an in-flight counter is not negative");
  machine.probe.emit(Ev.blk_in_flight_read, blk.id, blk.inFlight, section);
  return blk.inFlight;
}

function raise(blk: BlockBackend): void {
  blk.inFlight++;
  machine.probe.emit(Ev.blk_in_flight_inc, blk.id, blk.inFlight);
}

function lower(blk: BlockBackend): void {
  blk.inFlight--;
  machine.probe.emit(Ev.blk_in_flight_dec, blk.id, blk.inFlight);
  aioWaitKick();
}
