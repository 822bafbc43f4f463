// AIO_WAIT_WHILE (C: include/block/aio-wait.h): wait at thread level until a condition is false, running the event loop.
//
// Allowed in the home thread of the context waited for, and in main; never between two iothreads. In its home thread a wait
// polls that context; from main it polls main, and wakes when someone kicks: `aio_wait_kick` schedules a bottom half in the
// main context, and there alone. An iothread that waits is woken by its own queue only.

import { assert, type SiteId, type WaitId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { aioContextAcquire, aioContextRelease } from "./aio-context-lock.ts";
import { aioPoll } from "./aio-poll.ts";
import { aioBhScheduleOneshot } from "./bottom-half.ts";
import type { Handler, Polls } from "./colours.ts";
import { machine, nextId, perMachine } from "./current.ts";
import { globalStateCode, ioOrGsCode } from "./domain.ts";
import { modelAssert } from "./model-assert.ts";

const globalAioWait = perMachine(() => ({ numWaiters: 0 }));

/**
 * AIO_WAIT_WHILE: poll until `busy` is false; returns whether it ever was true. `ctx` null stands for several contexts.
 * From main the lock of `ctx`, held once by the caller (lock regime aio), is released while polling. Polls.
 */
export function* aioWaitWhile(
  ctx: AioContext | null,
  busy: () => boolean,
  site: SiteId,
): Polls<boolean> {
  ioOrGsCode(ctx, site);
  return yield* waitWhile(ctx, busy, site, true);
}

/** AIO_WAIT_WHILE_UNLOCKED: as aioWaitWhile, for callers that do not hold the lock of `ctx`. Polls. */
export function* aioWaitWhileUnlocked(
  ctx: AioContext | null,
  busy: () => boolean,
  site: SiteId,
): Polls<boolean> {
  ioOrGsCode(ctx, site);
  return yield* waitWhile(ctx, busy, site, false);
}

function* waitWhile(
  ctx: AioContext | null,
  busy: () => boolean,
  site: SiteId,
  unlock: boolean,
): Polls<boolean> {
  const me = machine.currentContext;
  assert(me !== null, "waits happen inside a step");
  modelAssert(machine.currentCoroutine === null, "!qemu_in_coroutine()");
  const probe = machine.probe;
  const wait = nextId(machine, "wait") as WaitId;
  const home = ctx !== null && inAioContextHomeThread(ctx);
  if (!home)
    modelAssert(
      me === machine.mainContext,
      "qemu_get_current_aio_context() == qemu_get_aio_context()",
    );
  const releases = unlock && !home ? ctx : null;
  globalAioWait().numWaiters++;
  me.waitFrames.push({ site, busy });
  probe.emit(Ev.wait_begin, wait, ctx === null ? me.id : ctx.id, site);
  let waited = false;
  for (;;) {
    const stillBusy = busy();
    probe.emit(Ev.wait_check, wait, stillBusy ? 1 : 0);
    if (!stillBusy) break;
    waited = true;
    if (releases !== null) aioContextRelease(releases);
    yield* aioPoll(me, true);
    if (releases !== null) yield* aioContextAcquire(releases);
  }
  probe.emit(Ev.wait_end, wait, waited ? 1 : 0);
  me.waitFrames.pop();
  globalAioWait().numWaiters--;
  return waited;
}

/**
 * aio_wait_kick: whoever lowered a counter or changed a condition calls this afterwards; wakes main's waits, no other. Common.
 */
export function aioWaitKick(): void {
  const { numWaiters } = globalAioWait();
  machine.probe.emit(Ev.kick, numWaiters);
  if (numWaiters > 0) aioBhScheduleOneshot(machine.mainContext, () => undefined);
}

/** Whether a thread waits, so that lowering a counter would wake it. Common. */
export function hasWaiters(): boolean {
  return globalAioWait().numWaiters > 0;
}

/** aio_wait_bh_oneshot: run `handler` in `ctx` and wait until it has run. Main only. Polls. */
export function* aioWaitBhOneshot(ctx: AioContext, handler: Handler, site: SiteId): Polls<void> {
  globalStateCode(site);
  modelAssert(
    machine.currentContext === machine.mainContext,
    "qemu_get_current_aio_context() == qemu_get_aio_context()",
  );
  let done = false;
  aioBhScheduleOneshot(ctx, function* (): Polls<void> {
    const polls = handler();
    if (polls !== undefined) yield* polls;
    done = true;
    aioWaitKick();
  });
  yield* aioWaitWhile(ctx, () => !done, site);
}

/** in_aio_context_home_thread: whether the running thread is the one that polls `ctx`. Common. */
export function inAioContextHomeThread(ctx: AioContext): boolean {
  return machine.currentContext === ctx;
}
