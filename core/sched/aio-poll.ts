// aio_poll: one turn of a context's event loop (C: util/aio-posix.c, util/async.c).
//
// Order of a turn: sleep if allowed and nothing is there, bottom halves, handlers that are ready (completions, then fds),
// timers. A step ends before each handler, so that other contexts can run in between. Lists are those of the context and
// are looked at again after every yield: a nested poll, deeper in the same thread, takes entries from them.

import { assert } from "../base/index.ts";
import { Ev, site } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { aioContextAcquire, aioContextRelease } from "./aio-context-lock.ts";
import type { BottomHalf } from "./bottom-half.ts";
import { type Handler, type Polls, STEP_BLOCKED, STEP_END } from "./colours.ts";
import { aioCoWake } from "./coroutine.ts";
import { machine } from "./current.ts";
import { ioCode } from "./domain.ts";
import { collectNotifiers } from "./event-notifier.ts";
import { type FdHandler, isDispatchable } from "./fd-handler.ts";
import { POLL_DEPTH_MAX } from "./limits.ts";
import { modelAssert } from "./model-assert.ts";

const SITE_AIO_POLL = site("aio_poll");

/** aio_poll: run what is ready in `ctx`; with `blocking` sleep until something is. Returns whether anything ran. Polls. */
export function* aioPoll(ctx: AioContext, blocking: boolean): Polls<boolean> {
  ioCode(ctx, SITE_AIO_POLL);
  modelAssert(ctx === machine.currentContext, "in_aio_context_home_thread(ctx)");
  modelAssert(machine.currentCoroutine === null, "!qemu_in_coroutine()");
  assert(ctx.pollDepth < POLL_DEPTH_MAX, "nested polls are not endless");
  ctx.pollDepth++;
  const nested = ctx.pollDepth > 1;
  if (nested) machine.probe.emit(Ev.poll_begin, ctx.pollDepth, blocking ? 1 : 0);
  ctx.fresh = false;
  while (blocking && !ctx.hasWork()) {
    ctx.wakeCondition = ctx.hasWork;
    yield STEP_BLOCKED;
  }
  ctx.notified = false;
  if (ctx.notifiers.length > 0) collectNotifiers(ctx);
  let progress = false;
  // The lengths are asked first because a generator that finds nothing to do costs as much as a handler.
  if (ctx.bhList.length + ctx.bhSlices.length > 0 && (yield* aioBhPoll(ctx))) progress = true;
  if (ctx.completions.length > 0 && (yield* dispatchCompletions(ctx))) progress = true;
  if (ctx.readyFds.length > 0 && (yield* dispatchFds(ctx))) progress = true;
  if (ctx.expiredTimers.length > 0 && (yield* runTimers(ctx))) progress = true;
  if (nested) machine.probe.emit(Ev.poll_end, ctx.pollDepth, progress ? 1 : 0);
  ctx.pollDepth--;
  return progress;
}

/** aio_bh_poll: a slice of what is scheduled now, behind the slices that outer polls have not finished. Polls. */
function* aioBhPoll(ctx: AioContext): Polls<boolean> {
  if (ctx.bhList.length > 0) {
    ctx.bhSlices.push(ctx.bhList);
    ctx.bhList = [];
  }
  let progress = false;
  for (let slice = ctx.bhSlices[0]; slice !== undefined; slice = ctx.bhSlices[0]) {
    if (slice.length === 0) {
      ctx.bhSlices.shift();
      continue;
    }
    if (!ctx.fresh) yield STEP_END;
    const bh = slice.shift() as BottomHalf;
    bh.pending = false;
    if (!bh.scheduled || bh.deleted) continue;
    bh.scheduled = false;
    if (bh.oneshot) bh.deleted = true;
    progress = true;
    machine.probe.emit(Ev.bh_run, bh.id);
    yield* dispatch(ctx, bh.handler);
    machine.probe.emit(Ev.bh_done, bh.id);
  }
  return progress;
}

/** Run one handler under the context's lock (taken here so that taking it again below never waits). Polls. */
function* dispatch(ctx: AioContext, handler: Handler): Polls<void> {
  const locked = machine.lockRegime === "aio";
  if (locked) yield* aioContextAcquire(ctx);
  ctx.fresh = false;
  const polls = handler();
  if (polls !== undefined) yield* polls;
  if (locked) aioContextRelease(ctx);
}

function* dispatchCompletions(ctx: AioContext): Polls<boolean> {
  let progress = false;
  while (ctx.completions.length > 0) {
    if (!ctx.fresh) yield STEP_END;
    const operation = ctx.completions.shift();
    if (operation === undefined) break;
    progress = true;
    // As in `dispatch`, whose generator would cost as much as the rest.
    const locked = machine.lockRegime === "aio";
    if (locked) yield* aioContextAcquire(ctx);
    ctx.fresh = false;
    machine.probe.emit(Ev.io_done, operation.id, operation.ret);
    aioCoWake(operation.co);
    if (locked) aioContextRelease(ctx);
  }
  return progress;
}

function* dispatchFds(ctx: AioContext): Polls<boolean> {
  let progress = false;
  for (;;) {
    if (ctx.readyFds.length === 0) return progress;
    if (!ctx.fresh) yield STEP_END;
    const handler = takeDispatchable(ctx);
    if (handler === undefined) return progress;
    progress = true;
    machine.probe.emit(Ev.fd_run, handler.id, handler.isExternal ? 1 : 0, ctx.externalDisableCount);
    yield* dispatch(ctx, handler.handler);
    machine.probe.emit(Ev.bh_done, handler.id);
  }
}

function takeDispatchable(ctx: AioContext): FdHandler | undefined {
  const index = ctx.readyFds.findIndex(isDispatchable);
  return index < 0 ? undefined : ctx.readyFds.splice(index, 1)[0];
}

function* runTimers(ctx: AioContext): Polls<boolean> {
  let progress = false;
  while (ctx.expiredTimers.length > 0) {
    if (!ctx.fresh) yield STEP_END;
    const timer = ctx.expiredTimers.shift();
    if (timer === undefined) break;
    progress = true;
    machine.probe.emit(Ev.timer_run, timer.id);
    yield* dispatch(ctx, timer.handler);
  }
  return progress;
}
