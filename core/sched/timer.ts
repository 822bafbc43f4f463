// Timers (C: QEMUTimer in a context's timer list group). The host knows the time and says when a deadline has passed; the
// core never asks the clock to find out.

import { assert, type TimerId, type VirtualNs } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import type { Co, Handler } from "./colours.ts";
import { aioCoWake, qemuCoroutineSelf, qemuCoroutineYield } from "./coroutine.ts";
import { machine, nextId, perMachine } from "./current.ts";
import { clockNs } from "./host-io.ts";

export class Timer {
  readonly id: TimerId;
  readonly ctx: AioContext;
  readonly handler: Handler;
  /** When it will fire; null when it is not armed. */
  deadlineNs: VirtualNs | null = null;

  constructor(id: TimerId, ctx: AioContext, handler: Handler) {
    this.id = id;
    this.ctx = ctx;
    this.handler = handler;
  }
}

const armed = perMachine(() => new Map<number, Timer>());

/** aio_timer_new: a timer of `ctx`, not armed. Common. */
export function timerNew(ctx: AioContext, handler: Handler): Timer {
  return new Timer(nextId(machine, "timer") as TimerId, ctx, handler);
}

/** timer_mod: fire at `deadlineNs`, whatever was asked before. Common. */
export function timerMod(timer: Timer, deadlineNs: VirtualNs): void {
  assert(deadlineNs >= 0, "deadlines are not negative");
  disarm(timer);
  timer.deadlineNs = deadlineNs;
  armed().set(timer.id, timer);
  machine.probe.emitWide(Ev.timer_arm, deadlineNs, timer.id, timer.ctx.id);
  machine.host.timerArmed(timer.id, deadlineNs);
}

/** timer_del: it does not fire, even if its deadline has passed and it waits for its turn. Common. */
export function timerDel(timer: Timer): void {
  if (disarm(timer)) machine.probe.emit(Ev.timer_del, timer.id);
}

/** timer_pending: whether it is armed, or its deadline has passed and it waits for its turn. Common. */
export function timerPending(timer: Timer): boolean {
  return timer.deadlineNs !== null || timer.ctx.expiredTimers.includes(timer);
}

/** The armed timer numbered `id`; undefined when it was deleted. Common. */
export function armedTimer(id: number): Timer | undefined {
  return armed().get(id);
}

/** The host says that the deadline has passed: the timer waits for its turn in its context. Common. */
export function timerExpired(timer: Timer): void {
  armed().delete(timer.id);
  timer.deadlineNs = null;
  timer.ctx.expiredTimers.push(timer);
}

function disarm(timer: Timer): boolean {
  const at = timer.ctx.expiredTimers.indexOf(timer);
  if (at >= 0) timer.ctx.expiredTimers.splice(at, 1);
  if (timer.deadlineNs === null) return at >= 0;
  timer.deadlineNs = null;
  armed().delete(timer.id);
  machine.host.timerArmed(timer.id, null);
  return true;
}

/** qemu_co_sleep_ns: let this coroutine sleep for `ns` nanoseconds; nothing else may wake it meanwhile. Common. */
export function* qemuCoSleepNs(ns: number): Co<void> {
  const co = qemuCoroutineSelf();
  assert(co.ctx !== null, "a running coroutine has a context");
  const timer = timerNew(co.ctx, () => {
    aioCoWake(co);
    return undefined;
  });
  timerMod(timer, (clockNs() + ns) as VirtualNs);
  yield* qemuCoroutineYield();
  assert(timer.deadlineNs === null, "a sleeping coroutine is woken by its timer alone");
}
