// IOThreads (C: iothread.c): contexts with a thread of their own that does nothing but poll.

import { assert } from "../base/index.ts";
import { Ev, site } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { aioPoll } from "./aio-poll.ts";
import { aioBhScheduleOneshot } from "./bottom-half.ts";
import { type Polls, STEP_BLOCKED } from "./colours.ts";
import { machine } from "./current.ts";
import { globalStateCode } from "./domain.ts";

const SITE_IOTHREAD_CREATE = site("iothread_create");
const SITE_IOTHREAD_STOP = site("iothread_stop");

/** A new context called `name`, its thread started. */
export function iothreadCreate(name: string): AioContext {
  globalStateCode(SITE_IOTHREAD_CREATE);
  assert(name.length > 0, "an iothread has a name");
  const ctx = machine.newContext(name);
  machine.probe.emit(Ev.ctx_start, ctx.id);
  ctx.thread = iothreadRun(ctx);
  return ctx;
}

function* iothreadRun(ctx: AioContext): Polls<void> {
  machine.probe.emit(Ev.ctx_run, ctx.id);
  while (!ctx.stopping) yield* aioPoll(ctx, true);
  machine.probe.emit(Ev.ctx_stop, ctx.id);
}

/** iothread_stop: ask the thread of `ctx` to end, and wait until it has. Polls. */
export function* iothreadStopJoin(ctx: AioContext): Polls<void> {
  globalStateCode(SITE_IOTHREAD_STOP);
  const me = machine.currentContext;
  assert(me !== null && me !== ctx, "a thread is joined by another");
  aioBhScheduleOneshot(ctx, () => {
    ctx.stopping = true;
    return undefined;
  });
  while (!ctx.finished) {
    me.wakeCondition = () => ctx.finished;
    yield STEP_BLOCKED;
  }
  machine.probe.emit(Ev.ctx_join, ctx.id);
}
