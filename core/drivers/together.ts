// Several requests at once, for one request: each in a coroutine of its own, and the caller goes on when all are done.

import { taskShare } from "../io/in-flight.ts";
import {
  aioCoWake,
  type Co,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
  qemuCoroutineSelf,
  qemuCoroutineYield,
} from "../sched/index.ts";

/** Run `body` for each of `items`, each until it yields, then wait for all. They run for the caller's request. Common. */
export function* together<T>(items: readonly T[], body: (item: T) => Co<void>): Co<void> {
  const self = qemuCoroutineSelf();
  let left = items.length;
  let waits = false;
  for (const item of items) {
    const co = qemuCoroutineCreate(function* (): Co<void> {
      yield* body(item);
      left--;
      if (left === 0 && waits) aioCoWake(self);
    });
    taskShare(co);
    qemuCoroutineEnter(co);
  }
  if (left === 0) return;
  waits = true;
  yield* qemuCoroutineYield();
}
