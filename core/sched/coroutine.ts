// Coroutines (C: util/qemu-coroutine.c, util/async.c): entering one is an ordinary call that comes back at its first yield.
//
// Whoever enters a coroutine afterwards runs what that coroutine woke while it ran (`wakeQueue`), depth first, later
// batches first. A coroutine scheduled into a context enters there in the order of scheduling. QEMU's abort conditions are
// modelled assertions: recursive entry, entry while scheduled, scheduling twice, ending with locks held.

import { assert, type CoId, type TaskId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { aioBhNew, qemuBhSchedule } from "./bottom-half.ts";
import { CO_STOP, type Co, isSettled } from "./colours.ts";
import { machine } from "./current.ts";
import { COROUTINE_DEPTH_MAX } from "./limits.ts";
import { modelAssert } from "./model-assert.ts";

export class Coroutine {
  readonly id: CoId;
  readonly generator: Co<void>;
  /** Context of the last entry; aio_co_wake goes there. Null before the first. */
  ctx: AioContext | null = null;
  /** It has been entered and has not yielded yet. */
  active = false;
  done = false;
  /** Who scheduled it and has not entered it yet; the name is for the assertion's text. */
  scheduledBy: string | null = null;
  /** Coroutines woken while this one ran; entered after it yields. */
  readonly wakeQueue: Coroutine[] = [];
  /** Request task that it runs for, 0 for none; `taskDepth` counts the in-flight counters that the task holds. */
  task: TaskId = 0 as TaskId;
  taskDepth = 0;
  /** CoMutexes and CoRwlocks held. */
  locksHeld = 0;

  constructor(id: CoId, generator: Co<void>) {
    this.id = id;
    this.generator = generator;
  }
}

/** qemu_coroutine_create: a coroutine that will run `body` when entered. Common. */
export function qemuCoroutineCreate(body: () => Co<void>): Coroutine {
  const co = new Coroutine(++machine.last.co as CoId, body());
  assert(!isSettled(co.generator), "what a coroutine runs waits to be entered");
  machine.probe.emit(Ev.co_create, co.id);
  return co;
}

/** qemu_in_coroutine: whether the caller runs in a coroutine. Common. */
export function qemuInCoroutine(): boolean {
  return machine.currentCoroutine !== null;
}

/** qemu_coroutine_self: the coroutine that runs; asserts that there is one. Common. */
export function qemuCoroutineSelf(): Coroutine {
  const self = machine.currentCoroutine;
  assert(self !== null, "the caller runs in a coroutine");
  return self;
}

/** qemu_coroutine_yield: back to whoever entered this coroutine. Common. */
export function* qemuCoroutineYield(): Co<void> {
  modelAssert(qemuInCoroutine(), "Co-routine is yielding to no one");
  yield CO_STOP;
}

/** qemu_coroutine_enter: enter `co` in the running context. Common. */
export function qemuCoroutineEnter(co: Coroutine): void {
  const ctx = machine.currentContext;
  assert(ctx !== null, "coroutines are entered inside a step");
  qemuAioCoroutineEnter(ctx, co);
}

/** qemu_aio_coroutine_enter: enter `co`, then what it woke, then what those woke, depth first. Common. */
export function qemuAioCoroutineEnter(ctx: AioContext, co: Coroutine): void {
  enter(ctx, co);
  if (co.wakeQueue.length === 0) return;
  // What is to be entered next is at the end.
  const pending: Coroutine[] = [];
  takeWoken(co, pending);
  let entered = 1;
  for (let to = pending.pop(); to !== undefined; to = pending.pop()) {
    assert(++entered < 1_000_000, "a chain of wake-ups ends");
    enter(ctx, to);
    takeWoken(to, pending);
  }
}

function enter(ctx: AioContext, to: Coroutine): void {
  modelAssert(to.scheduledBy === null, "Co-routine was already scheduled");
  modelAssert(!to.active, "Co-routine re-entered recursively");
  modelAssert(!to.done, "Co-routine entered after its end");
  to.ctx = ctx;
  switchTo(to);
}

function takeWoken({ wakeQueue }: Coroutine, pending: Coroutine[]): void {
  for (let co = wakeQueue.pop(); co !== undefined; co = wakeQueue.pop()) pending.push(co);
}

function switchTo(to: Coroutine): void {
  const probe = machine.probe;
  const from = machine.currentCoroutine;
  const fromTask = probe.task;
  assert(++machine.coroutineDepth < COROUTINE_DEPTH_MAX, "coroutines do not nest without bound");
  probe.emit(Ev.co_enter, to.id);
  machine.currentCoroutine = to;
  probe.task = to.task;
  to.active = true;
  const stop = to.generator.next();
  to.active = false;
  if (stop.done === true) {
    modelAssert(to.locksHeld === 0, "Co-routine ended with locks held");
    to.done = true;
    probe.emit(Ev.co_terminate, to.id);
  } else {
    probe.emit(Ev.co_yield, to.id);
  }
  machine.currentCoroutine = from;
  machine.coroutineDepth--;
  probe.task = fromTask;
}

/** aio_co_wake: let `co` run again in the context of its last entry. Common. */
export function aioCoWake(co: Coroutine): void {
  assert(co.ctx !== null, "a coroutine that is woken has been entered before");
  aioCoEnter(co.ctx, co);
}

/**
 * aio_co_enter: in another context schedule `co`; from a coroutine run it after this one yields; else enter it now. Common.
 */
export function aioCoEnter(ctx: AioContext, co: Coroutine): void {
  if (ctx !== machine.currentContext) {
    aioCoSchedule(ctx, co);
    return;
  }
  machine.probe.emit(Ev.co_wake, co.id);
  const self = machine.currentCoroutine;
  if (self !== null) {
    modelAssert(self !== co, "a coroutine does not wake itself");
    self.wakeQueue.push(co);
  } else {
    qemuAioCoroutineEnter(ctx, co);
  }
}

/** aio_co_schedule: enter `co` from a bottom half of `ctx`; first scheduled, first entered. Common. */
export function aioCoSchedule(ctx: AioContext, co: Coroutine): void {
  modelAssert(co.scheduledBy === null, "aio_co_schedule: Co-routine was already scheduled");
  co.scheduledBy = "aio_co_schedule";
  machine.probe.emit(Ev.co_schedule, co.id, ctx.id);
  ctx.scheduledCoroutines.push(co);
  ctx.coScheduleBh ??= aioBhNew(ctx, () => enterScheduled(ctx));
  qemuBhSchedule(ctx.coScheduleBh);
}

/** co_schedule_bh_cb: the list is taken once; what is scheduled meanwhile waits for the next run. */
function enterScheduled(ctx: AioContext): undefined {
  const list = ctx.scheduledCoroutines;
  ctx.scheduledCoroutines = [];
  for (const co of list) {
    co.scheduledBy = null;
    qemuAioCoroutineEnter(ctx, co);
  }
}

/**
 * Begin a request task (design D9) for `co`, or for the thread-level caller when null; the caller's next events carry it. Common.
 */
export function taskBegin(co: Coroutine | null): TaskId {
  const task = ++machine.last.task as TaskId;
  machine.probe.task = task;
  if (co !== null) {
    assert(co.task === 0, "a coroutine runs for one request at a time");
    co.task = task;
  }
  machine.probe.emit(Ev.task_begin, task, co === null ? 0 : co.id);
  return task;
}

/** End `task`; `co` is the coroutine that ran for it, if any. Common. */
export function taskEnd(co: Coroutine | null, task: TaskId): void {
  assert(machine.probe.task === task, "a task ends where it runs");
  machine.probe.emit(Ev.task_end, task, co === null ? 0 : co.id);
  machine.probe.task = 0;
  if (co !== null) co.task = 0 as TaskId;
}

/** Run straight-through code with its events on `task`. Common. */
export function runAsTask<T>(task: TaskId, body: () => T): T {
  const before = machine.probe.task;
  machine.probe.task = task;
  try {
    return body();
  } finally {
    machine.probe.task = before;
  }
}
