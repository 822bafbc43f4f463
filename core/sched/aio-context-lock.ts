// The recursive lock of an AioContext (C: aio_context_acquire), gone from QEMU since 9.0. It exists only under the lock
// regime "aio"; under "none" the functions do nothing, so that callers read as in QEMU of the series' time.
//
// The dispatcher takes a context's lock before it runs a handler there, hence taking it again in that thread is recursion
// and never waits. Another thread (main) waits, at thread level only: a coroutine cannot call a `Polls`.

import { assert } from "../base/index.ts";
import { Ev, LockKindOf } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { type Polls, STEP_BLOCKED } from "./colours.ts";
import { machine } from "./current.ts";
import { modelAssert } from "./model-assert.ts";

/** aio_context_acquire: take `ctx`'s lock for the running thread, recursively. Polls. Common. */
export function* aioContextAcquire(ctx: AioContext): Polls<void> {
  if (machine.lockRegime !== "aio") return;
  const me = machine.currentContext;
  assert(me !== null, "locks are taken inside a step");
  const lock = ctx.lock;
  if (lock.owner !== me) {
    while (lock.owner !== null) {
      me.wakeCondition = () => lock.owner === null;
      yield STEP_BLOCKED;
    }
    lock.owner = me;
  }
  lock.depth++;
  machine.probe.emit(Ev.lock_acquire, lock.id, LockKindOf.aio_context, lock.depth);
}

/** aio_context_release: undo one aio_context_acquire of the running thread. Common. */
export function aioContextRelease(ctx: AioContext): void {
  if (machine.lockRegime !== "aio") return;
  const lock = ctx.lock;
  modelAssert(
    lock.owner === machine.currentContext,
    "aio_context_release: the lock is held by another thread",
  );
  modelAssert(lock.depth > 0, "aio_context_release: the lock is not held");
  lock.depth--;
  if (lock.depth === 0) lock.owner = null;
  machine.probe.emit(Ev.lock_release, lock.id, LockKindOf.aio_context, lock.depth);
}
