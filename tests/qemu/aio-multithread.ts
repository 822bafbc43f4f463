// Cases of test-aio-multithread.c: five iothreads, coroutines that schedule one another across them, and a CoMutex that they share.

import { site } from "#core/probe";
import {
  type AioContext,
  aioBhScheduleOneshot,
  aioCoSchedule,
  type Co,
  CoMutex,
  type Coroutine,
  iothreadCreate,
  iothreadStopJoin,
  machine,
  type Polls,
  QemuEvent,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  qemuCoroutineCreate,
  qemuCoroutineSelf,
  qemuCoroutineYield,
  qemuEventReset,
  qemuEventSet,
  qemuEventWait,
} from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { sleepStandingStill } from "./support/usleep.ts";

const CTX_RUN = site("qemu_case_ctx_run");
const ALL_DONE = site("qemu_case_multi_done");

const NUM_CONTEXTS = 5;
/** How long coroutines schedule one another: a second in C, here of virtual time. */
const SCHEDULE_NS = 1_000_000_000;
/** How often each coroutine takes the mutex, in five contexts and in two. */
const CONTENDED_ROUNDS = 40;
const HANDOFF_ROUNDS = 150;

/** The five iothreads, by their number. */
class Threads {
  readonly ctx: readonly AioContext[];
  readonly #done = new QemuEvent();

  constructor() {
    this.ctx = Array.from({ length: NUM_CONTEXTS }, (_, i) => iothreadCreate(`thread${i}`));
  }

  /** The number of the running thread; -1 in any other. */
  get id(): number {
    const { currentContext } = machine;
    return currentContext === null ? -1 : this.ctx.indexOf(currentContext);
  }

  /** ctx_run: let `callback` run in thread `i`, and stand still until it has. Polls. */
  *runInThread(i: number, callback: () => void): Polls<void> {
    qemuEventReset(this.#done);
    aioBhScheduleOneshot(this.at(i), () => {
      callback();
      qemuEventSet(this.#done);
      return undefined;
    });
    yield* qemuEventWait(this.#done, CTX_RUN);
  }

  at(i: number): AioContext {
    return this.ctx[i] as AioContext;
  }

  /** join_aio_contexts. Polls. */
  *joinAioContexts(): Polls<void> {
    for (const ctx of this.ctx) yield* iothreadStopJoin(ctx);
  }
}

/** create_aio_contexts: each thread runs what it is given, and is the one that was asked. Polls. */
function* createAioContexts(t: CaseTest): Polls<Threads> {
  const threads = new Threads();
  for (let i = 0; i < NUM_CONTEXTS; i++) {
    let ranIn = -1;
    yield* threads.runInThread(i, () => {
      ranIn = threads.id;
    });
    t.expectEqual(ranIn, i, "id");
  }
  return threads;
}

function* testLifecycle(t: CaseTest): Polls<void> {
  const threads = yield* createAioContexts(t);
  yield* threads.joinAioContexts();
  t.check(
    threads.ctx.every(({ finished }) => finished),
    "every thread has ended",
  );
}

function* testSchedule(t: CaseTest): Polls<void> {
  const threads = yield* createAioContexts(t);
  const toSchedule: (Coroutine | null)[] = threads.ctx.map(() => null);
  const count = { here: 0, other: 0, retry: 0 };
  let nowStopping = false;
  let ended = 0;

  const scheduleNext = (n: number): void => {
    const co = toSchedule[n] ?? null;
    toSchedule[n] = null;
    if (co === null) count.retry++;
    else {
      count[n === threads.id ? "here" : "other"]++;
      aioCoSchedule(threads.at(n), co);
    }
  };
  const entry = function* (): Co<void> {
    const { id } = threads;
    t.check(toSchedule[id] === null, "to_schedule[id] == NULL");
    while (!nowStopping) {
      scheduleNext(t.world.prng.below(NUM_CONTEXTS));
      toSchedule[id] = qemuCoroutineSelf();
      yield* qemuCoroutineYield();
      t.expectEqual(threads.id, id, "id");
      t.check(toSchedule[id] === null, "to_schedule[id] == NULL");
    }
    ended++;
  };

  for (const ctx of threads.ctx) aioCoSchedule(ctx, qemuCoroutineCreate(entry));
  const clock = t.iothread("clock");
  yield* sleepStandingStill(clock, SCHEDULE_NS);

  nowStopping = true;
  for (let i = 0; i < NUM_CONTEXTS; i++) {
    yield* threads.runInThread(i, () => scheduleNext(i));
    toSchedule[i] = null;
  }
  yield* threads.joinAioContexts();
  t.expectEqual(ended, NUM_CONTEXTS, "coroutines that have ended");
  t.check(count.other + count.here + count.retry >= NUM_CONTEXTS, "each has tried to schedule one");
}

/** test_multi_co_mutex: `threads` coroutines, each of which takes the mutex `rounds` times. */
function testMutex(threads: number, rounds: number): (t: CaseTest) => Polls<void> {
  return function* (t: CaseTest): Polls<void> {
    const all = yield* createAioContexts(t);
    const comutex = new CoMutex();
    const allDone = new QemuEvent();
    const count = { inside: 0, atomic: 0, waited: 0 };
    let running = threads;
    const entry = function* (): Co<void> {
      for (let i = 0; i < rounds; i++) {
        if (comutex.holder !== null) count.waited++;
        yield* qemuCoMutexLock(comutex);
        const read = count.inside;
        // What a quick thread of C does at any instruction: another one runs between the read and the write.
        const self = qemuCoroutineSelf();
        aioCoSchedule(machine.currentContext ?? t.main, self);
        yield* qemuCoroutineYield();
        count.inside = read + 1;
        qemuCoMutexUnlock(comutex);
        count.atomic++;
      }
      if (--running === 0) qemuEventSet(allDone);
    };
    for (let i = 0; i < threads; i++) aioCoSchedule(all.at(i), qemuCoroutineCreate(entry));
    yield* qemuEventWait(allDone, ALL_DONE);
    yield* all.joinAioContexts();
    t.expectEqual(count.atomic, threads * rounds, "atomic_counter");
    t.expectEqual(count.inside, count.atomic, "counter");
    t.onlyOwnSchedule("contended", () =>
      t.check(count.waited > 0, "that somebody waited for the mutex"),
    );
  };
}

const RUNS =
  "The threads' numbers are looked up and not kept in the threads. Each coroutine must have come to its end.";
const MUTEX =
  "Each coroutine takes the mutex a fixed number of times instead of for a second or three, and yields between reading the counter and writing it: a step is atomic here, so that nobody else would ever meet the mutex taken.";
const CONTENDED =
  "The threads take turns, so that they meet at the mutex. Under a schedule with priorities each may do all its rounds alone.";
const MUTEX_CASE = {
  schedule: "round-robin",
  differs: MUTEX,
  ownScheduleOnly: { contended: CONTENDED },
} as const;
const MCS =
  "The case brings a mutex of its own, made of futexes, to compare its speed with that of CoMutex; nothing of the block layer is in it.";
const PTHREAD =
  "It measures, for comparison, a mutex of threads around one statement. A QemuMutex is never held across the end of a step here, so that no thread ever waits for one and the counters cannot differ.";

const cases: readonly QemuCase[] = [
  { name: "/aio/multi/lifecycle", body: testLifecycle },
  { name: "/aio/multi/schedule", body: testSchedule, differs: RUNS },
  {
    name: "/aio/multi/mutex/contended",
    body: testMutex(NUM_CONTEXTS, CONTENDED_ROUNDS),
    ...MUTEX_CASE,
  },
  { name: "/aio/multi/mutex/handoff", body: testMutex(2, HANDOFF_ROUNDS), ...MUTEX_CASE },
  { name: "/aio/multi/mutex/mcs", notApplicable: MCS },
  { name: "/aio/multi/mutex/pthread", notApplicable: PTHREAD },
];

/** See the file comment. */
export const aioMultithread: QemuFamily = {
  qemuFile: "tests/unit/test-aio-multithread.c",
  file: "tests/qemu/aio-multithread.ts",
  cases,
};
