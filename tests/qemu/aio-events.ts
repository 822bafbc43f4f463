// Cases of test-aio.c: event notifiers, a timer, and the lock of a context while it polls. All in main's context, without a graph.

import type { VirtualNs } from "#core/base";
import { site } from "#core/probe";
import {
  aioBhScheduleOneshot,
  aioContextAcquire,
  aioContextRelease,
  aioDisableExternal,
  aioEnableExternal,
  aioPoll,
  aioSetEventNotifier,
  clockNs,
  EventNotifier,
  eventNotifierSet,
  eventNotifierTestAndClear,
  type Polls,
  QemuEvent,
  qemuEventSet,
  qemuEventWait,
  timerDel,
  timerMod,
  timerNew,
} from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { sleepStandingStill } from "./support/usleep.ts";

const START = site("qemu_case_aio_start");
const JOIN = site("qemu_case_aio_join");

const MS = 1_000_000;
const SECOND = 1000 * MS;

/** EventNotifierTestData: a notifier whose handler counts, and with `autoSet` sets it again while it is active. */
interface NotifierData {
  readonly e: EventNotifier;
  readonly autoSet: boolean;
  n: number;
  active: number;
}

/** A notifier that main's context looks at; see NotifierData. */
function notifierData(
  t: CaseTest,
  options: {
    readonly active?: number;
    readonly autoSet?: boolean;
    readonly isExternal?: boolean;
  } = {},
): NotifierData {
  const { active = 0, autoSet = false, isExternal = false } = options;
  const data: NotifierData = { e: new EventNotifier(), n: 0, active, autoSet };
  const handler = (): undefined => {
    t.check(eventNotifierTestAndClear(data.e), "event_notifier_test_and_clear(e)");
    data.n++;
    if (data.active > 0) data.active--;
    if (data.autoSet && data.active > 0) eventNotifierSet(data.e);
  };
  aioSetEventNotifier(t.main, data.e, { isExternal, handler });
  return data;
}

/** set_event_notifier(ctx, &data.e, NULL). */
function forget(t: CaseTest, { e }: NotifierData): void {
  aioSetEventNotifier(t.main, e, { isExternal: false, handler: null });
}

/** aio_poll without blocking makes progress as `progress` says; the handler has run `n` times. Polls. */
function* expectPoll(t: CaseTest, data: NotifierData, progress: boolean, n: number): Polls<void> {
  t.expectEqual(yield* aioPoll(t.main, false), progress, "aio_poll(ctx, false)");
  t.expectEqual(data.n, n, "data.n");
}

/** Poll until nothing is left to do. Polls. */
function* pollAll(t: CaseTest): Polls<void> {
  while (yield* aioPoll(t.main, false));
}

/** wait_until_inactive. Polls. */
function* waitUntilInactive(t: CaseTest, data: NotifierData): Polls<void> {
  while (data.active > 0) yield* aioPoll(t.main, true);
}

function* testAcquire(t: CaseTest): Polls<void> {
  const notifier = new EventNotifier();
  const handler = (): undefined => void eventNotifierTestAndClear(notifier);
  aioSetEventNotifier(t.main, notifier, { isExternal: false, handler });
  t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");

  const mayStart = new QemuEvent();
  const hasEnded = new QemuEvent();
  let threadAcquired = false;
  aioBhScheduleOneshot(t.iothread("test_acquire_thread"), function* (): Polls<void> {
    yield* qemuEventWait(mayStart, START);
    eventNotifierSet(notifier);
    yield* aioContextAcquire(t.main);
    aioContextRelease(t.main);
    threadAcquired = true;
    qemuEventSet(hasEnded);
  });

  yield* aioContextAcquire(t.main);
  qemuEventSet(mayStart);
  t.expectEqual(yield* aioPoll(t.main, true), true, "aio_poll(ctx, true)");
  t.expectEqual(threadAcquired, false, "data.thread_acquired");
  aioContextRelease(t.main);

  yield* qemuEventWait(hasEnded, JOIN);
  aioSetEventNotifier(t.main, notifier, { isExternal: false, handler: null });
  t.expectEqual<boolean>(threadAcquired, true, "data.thread_acquired");
}

function* testAddRemove(t: CaseTest): Polls<void> {
  const data = notifierData(t);
  yield* expectPoll(t, data, false, 0);
  forget(t, data);
  yield* expectPoll(t, data, false, 0);
}

function* testWait(t: CaseTest): Polls<void> {
  const data = notifierData(t, { active: 1 });
  yield* pollAll(t);
  t.expectEqual(data.n, 0, "data.n");
  t.expectEqual(data.active, 1, "data.active");

  eventNotifierSet(data.e);
  yield* expectPoll(t, data, true, 1);
  t.expectEqual(data.active, 0, "data.active");
  yield* expectPoll(t, data, false, 1);
  t.expectEqual(data.active, 0, "data.active");

  forget(t, data);
  yield* expectPoll(t, data, false, 1);
}

function* testFlush(t: CaseTest): Polls<void> {
  const data = notifierData(t, { active: 10, autoSet: true });
  yield* pollAll(t);
  t.expectEqual(data.n, 0, "data.n");
  t.expectEqual(data.active, 10, "data.active");

  eventNotifierSet(data.e);
  yield* expectPoll(t, data, true, 1);
  t.expectEqual(data.active, 9, "data.active");
  t.expectEqual(yield* aioPoll(t.main, false), true, "aio_poll(ctx, false)");

  yield* waitUntilInactive(t, data);
  t.expectEqual(data.n, 10, "data.n");
  t.expectEqual(data.active, 0, "data.active");
  t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");

  forget(t, data);
  t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");
}

function* testExternalClient(t: CaseTest): Polls<void> {
  for (let levels = 1; levels < 3; levels++) {
    const data = notifierData(t, { active: 10, autoSet: true, isExternal: true });
    eventNotifierSet(data.e);
    for (let i = 0; i < levels; i++) aioDisableExternal(t.main);
    for (let i = 0; i < levels; i++) {
      t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");
      t.check(eventNotifierTestAndClear(data.e), "event_notifier_test_and_clear(&data.e)");
      eventNotifierSet(data.e);
      aioEnableExternal(t.main);
    }
    t.expectEqual(yield* aioPoll(t.main, false), true, "aio_poll(ctx, false)");
    forget(t, data);
  }
}

function* testWaitNoFlush(t: CaseTest): Polls<void> {
  const data = notifierData(t);
  yield* expectPoll(t, data, false, 0);
  eventNotifierSet(data.e);
  t.expectEqual(yield* aioPoll(t.main, true), true, "aio_poll(ctx, true)");
  data.n = 0;

  const dummy = notifierData(t, { active: 1 });
  for (const n of [1, 2]) {
    eventNotifierSet(data.e);
    yield* expectPoll(t, data, true, n);
    yield* expectPoll(t, data, false, n);
  }

  eventNotifierSet(dummy.e);
  yield* waitUntilInactive(t, dummy);
  t.expectEqual(data.n, 2, "data.n");
  t.expectEqual(dummy.n, 1, "dummy.n");
  t.expectEqual(dummy.active, 0, "dummy.active");

  forget(t, dummy);
  forget(t, data);
  yield* expectPoll(t, data, false, 2);
}

function* testTimerSchedule(t: CaseTest): Polls<void> {
  let n = 0;
  const timer = timerNew(t.main, (): undefined => {
    if (++n < 2) timerMod(timer, (clockNs() + 750 * MS) as VirtualNs);
  });
  const clock = t.iothread("clock");
  timerMod(timer, (clockNs() + 750 * MS) as VirtualNs);
  t.expectEqual(n, 0, "data.n");

  yield* pollAll(t);
  t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");
  t.expectEqual(n, 0, "data.n");

  yield* sleepStandingStill(clock, SECOND);
  t.expectEqual(n, 0, "data.n");
  t.expectEqual(yield* aioPoll(t.main, false), true, "aio_poll(ctx, false)");
  t.expectEqual<number>(n, 1, "data.n");

  yield* pollAll(t);
  t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");
  t.expectEqual<number>(n, 1, "data.n");

  t.expectEqual(yield* aioPoll(t.main, true), true, "aio_poll(ctx, true)");
  t.expectEqual<number>(n, 2, "data.n");
  t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");
  t.expectEqual<number>(n, 2, "data.n");
  timerDel(timer);
}

const ACQUIRE =
  "The thread is an iothread, since a thread without a context does not exist here, and an event says when it may start.";
const SLEEP =
  "An iothread measures the second in which main stands still. No notifier is needed for a poll to wait for a timer.";

const cases: readonly QemuCase[] = [
  { name: "/aio/acquire", body: testAcquire, lock: "aio", differs: ACQUIRE },
  { name: "/aio/event/add-remove", body: testAddRemove },
  { name: "/aio/event/wait", body: testWait },
  { name: "/aio/event/wait/no-flush-cb", body: testWaitNoFlush },
  { name: "/aio/event/flush", body: testFlush },
  { name: "/aio/external-client", body: testExternalClient },
  { name: "/aio/timer/schedule", body: testTimerSchedule, differs: SLEEP },
];

/** See the file comment. */
export const aioEvents: QemuFamily = {
  qemuFile: "tests/unit/test-aio.c",
  file: "tests/qemu/aio-events.ts",
  cases,
};
