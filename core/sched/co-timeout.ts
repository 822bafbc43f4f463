// Waiting for something in a coroutine, but not for ever (C: util/qemu-co-timeout.c).

import { assert, type VirtualNs } from "../base/index.ts";
import type { Co } from "./colours.ts";
import {
  aioCoEnter,
  aioCoWake,
  qemuCoroutineCreate,
  qemuCoroutineSelf,
  qemuCoroutineYield,
} from "./coroutine.ts";
import { clockNs } from "./host-io.ts";
import { timerDel, timerMod, timerNew } from "./timer.ts";

/**
 * qemu_co_timeout: what `body` returns, or null when it takes longer than `timeoutNs`: then it goes on by itself, and nobody hears
 * of its end. With 0 it runs in this coroutine, as long as it takes; else in one of its own. Common.
 */
export function* qemuCoTimeout<T>(
  body: () => Co<T>,
  timeoutNs: number,
): Co<{ readonly value: T } | null> {
  assert(timeoutNs >= 0, "a time limit is not negative");
  if (timeoutNs === 0) return { value: yield* body() };
  const self = qemuCoroutineSelf();
  const { ctx } = self;
  assert(ctx !== null, "a running coroutine has a context");
  const wait: { sleeps: boolean; outcome: { readonly value: T } | null } = {
    sleeps: true,
    outcome: null,
  };
  const timer = timerNew(ctx, () => {
    wait.sleeps = false;
    aioCoWake(self);
    return undefined;
  });
  const co = qemuCoroutineCreate(function* (): Co<void> {
    const value = yield* body();
    if (!wait.sleeps) return;
    wait.sleeps = false;
    wait.outcome = { value };
    timerDel(timer);
    aioCoWake(self);
  });
  // From a coroutine: it runs when this one yields.
  aioCoEnter(ctx, co);
  timerMod(timer, (clockNs() + timeoutNs) as VirtualNs);
  yield* qemuCoroutineYield();
  assert(!wait.sleeps, "a sleeper is woken by its timer or by what it waits for");
  return wait.outcome;
}
