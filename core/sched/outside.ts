// The doors between the colours: from a coroutine to thread level and back, and from thread level into a coroutine.

import { assert, type SiteId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { aioBhScheduleOneshot } from "./bottom-half.ts";
import type { Co, Polls } from "./colours.ts";
import {
  aioCoEnter,
  aioCoWake,
  qemuCoroutineCreate,
  qemuCoroutineSelf,
  qemuCoroutineYield,
} from "./coroutine.ts";
import { machine } from "./current.ts";
import { ioOrGsCode } from "./domain.ts";
import { modelAssert } from "./model-assert.ts";
import { aioWaitKick, aioWaitWhile } from "./wait.ts";

/** The result of work done elsewhere, absent until it is there. */
interface Answer<T> {
  value?: T;
  ready: boolean;
}

/**
 * The one door from a coroutine to thread level (design D2): `body` runs from a bottom half of `ctx`, this coroutine yields
 * and is woken with the result. QEMU's drain hand-off (bdrv_co_yield_to_drain) is built so. Common.
 */
export function* coRunOutside<T>(ctx: AioContext, body: () => Polls<T>): Co<T> {
  const co = qemuCoroutineSelf();
  const answer: Answer<T> = { ready: false };
  aioBhScheduleOneshot(ctx, function* (): Polls<void> {
    answer.value = yield* body();
    answer.ready = true;
    aioCoWake(co);
  });
  yield* qemuCoroutineYield();
  modelAssert(answer.ready, "the coroutine was woken by its bottom half and by nothing else");
  return answer.value as T;
}

/**
 * What QEMU's generated_co_wrapper does: run `body` in a new coroutine of `ctx` and poll until it is done. Thread level only;
 * Polls, which "synchronous" functions such as bdrv_flush hide in C.
 */
export function* runInCoroutine<T>(ctx: AioContext, body: () => Co<T>, site: SiteId): Polls<T> {
  ioOrGsCode(ctx, site);
  assert(machine.currentCoroutine === null, "in a coroutine call the body itself");
  const answer: Answer<T> = { ready: false };
  const co = qemuCoroutineCreate(function* (): Co<void> {
    answer.value = yield* body();
    answer.ready = true;
    aioWaitKick();
  });
  machine.probe.emit(Ev.wrapper_begin, co.id);
  aioCoEnter(ctx, co);
  yield* aioWaitWhile(ctx, () => !answer.ready, site);
  machine.probe.emit(Ev.wrapper_end, co.id);
  return answer.value as T;
}
