// What a case's body is given, `t`: QEMU's assertions with a text, iothreads that are stopped afterwards, a coroutine of main.
//
// An assertion that fails ends the run at once with a CaseFailure, wherever it was: in main, in a coroutine, in an iothread.

import { blkAll } from "#core/backend";
import { assertGraphInvariants, bdrvAllStates } from "#core/graph";
import {
  type AioContext,
  aioPoll,
  type Co,
  machine,
  type Polls,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
} from "#core/sched";
import type { World } from "#explorer";
import type { QemuCase } from "./case.ts";

/** One of the case's assertions does not hold. */
export class CaseFailure extends Error {
  override readonly name = "CaseFailure";
}

export class CaseTest {
  /** Seed, random numbers, guests and notes of the run. */
  readonly world: World;
  /** Whether this is the run under the case's own schedule. */
  readonly isOwnSchedule: boolean;
  readonly #case: QemuCase;

  constructor(qemuCase: QemuCase, world: World) {
    this.#case = qemuCase;
    this.world = world;
    this.isOwnSchedule = world.param("schedule") === "own";
  }

  /** qemu_get_aio_context: the main context. */
  get main(): AioContext {
    return machine.mainContext;
  }

  /** g_assert: `text` names the condition as QEMU writes it. */
  check(condition: boolean, text: string): asserts condition {
    if (!condition) throw new CaseFailure(`${text} does not hold`);
  }

  /** g_assert_cmpint(…, ==, …) and the like: `text` names the first value as QEMU writes it. */
  expectEqual<T extends number | string | boolean | null>(
    actual: T,
    expected: NoInfer<T>,
    text: string,
  ): void {
    if (actual !== expected) throw new CaseFailure(`${text} is ${actual}, not ${expected}`);
  }

  /** Run an assertion that holds under the own schedule only; `key` is one of the case's `ownScheduleOnly`. */
  onlyOwnSchedule(key: string, assertion: () => void): void {
    if (!Object.hasOwn(this.#case.ownScheduleOnly ?? {}, key))
      throw new CaseFailure(`the case gives no reason for "${key}" in ownScheduleOnly`);
    if (this.isOwnSchedule) assertion();
  }

  /** iothread_new: a context with a running thread, stopped and joined when the body has ended. */
  iothread(name: string): AioContext {
    return this.world.iothread(name);
  }

  /** call_in_coroutine: run `body` in a coroutine of the main context and poll until it has ended. Polls. */
  *callInCoroutine(body: () => Co<void>): Polls<void> {
    let isDone = false;
    const co = qemuCoroutineCreate(function* (): Co<void> {
      yield* body();
      isDone = true;
    });
    qemuCoroutineEnter(co);
    while (!isDone) yield* aioPoll(machine.mainContext, true);
  }

  /** After the body: iothreads stop; the graph is sound, and nothing of it is left. Polls. */
  *leaveNothing(): Polls<void> {
    yield* this.world.stopIothreads();
    assertGraphInvariants(bdrvAllStates());
    if (this.#case.leaves !== undefined) return;
    const left = [
      ...bdrvAllStates().map((bs) => `node ${bs.nodeName} with ${bs.refcnt} references`),
      ...blkAll().map((blk) => `BlockBackend ${blk.id} with ${blk.refcnt} references`),
    ];
    this.check(left.length === 0, `that nothing is left (${left.join(", ")})`);
  }
}
