// Cases of test-aio.c: bottom halves, and coroutines that wake one another; aio-events.ts has the others. All in main's context, without a graph.

import {
  aioBhNew,
  aioBhScheduleOneshot,
  aioCoEnter,
  aioPoll,
  type BottomHalf,
  type Co,
  type Coroutine,
  machine,
  type Polls,
  qemuBhCancel,
  qemuBhDelete,
  qemuBhSchedule,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
  qemuCoroutineYield,
} from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";

/** How often the two coroutines wake each other; 25000 in C, where so many overflowed the stack once. */
const CHAIN_MAX = 2500;

interface BhData {
  readonly bh: BottomHalf;
  n: number;
}

/** A bottom half that schedules itself until it has run `max` times, and with `deletes` then deletes itself. */
function bhData(t: CaseTest, max: number, deletes = false): BhData {
  const data: BhData = {
    n: 0,
    bh: aioBhNew(t.main, () => {
      if (++data.n < max) qemuBhSchedule(data.bh);
      else if (deletes) qemuBhDelete(data.bh);
      return undefined;
    }),
  };
  return data;
}

/** Nothing is left to do, and `data` has run `n` times. Polls. */
function* expectIdle(t: CaseTest, data: BhData, n: number): Polls<void> {
  t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");
  t.expectEqual(data.n, n, "data.n");
}

function* testSchedule(t: CaseTest): Polls<void> {
  const data = bhData(t, 0);
  qemuBhSchedule(data.bh);
  t.expectEqual(data.n, 0, "data.n");
  t.expectEqual(yield* aioPoll(t.main, true), true, "aio_poll(ctx, true)");
  t.expectEqual(data.n, 1, "data.n");
  yield* expectIdle(t, data, 1);
  qemuBhDelete(data.bh);
}

function* testSchedule10(t: CaseTest): Polls<void> {
  const data = bhData(t, 10);
  qemuBhSchedule(data.bh);
  t.expectEqual(yield* aioPoll(t.main, false), true, "aio_poll(ctx, false)");
  t.expectEqual(data.n, 1, "data.n");
  t.expectEqual(yield* aioPoll(t.main, true), true, "aio_poll(ctx, true)");
  t.expectEqual(data.n, 2, "data.n");
  while (data.n < 10) yield* aioPoll(t.main, true);
  yield* expectIdle(t, data, 10);
  qemuBhDelete(data.bh);
}

function* testCancel(t: CaseTest): Polls<void> {
  const data = bhData(t, 0);
  qemuBhSchedule(data.bh);
  qemuBhCancel(data.bh);
  yield* expectIdle(t, data, 0);
  qemuBhDelete(data.bh);
}

function* testDelete(t: CaseTest): Polls<void> {
  const data = bhData(t, 0);
  qemuBhSchedule(data.bh);
  qemuBhDelete(data.bh);
  yield* expectIdle(t, data, 0);
}

function* testDeleteOne(t: CaseTest): Polls<void> {
  const data = bhData(t, 1, true);
  qemuBhSchedule(data.bh);
  while (data.n < 1) yield* aioPoll(t.main, true);
  t.expectEqual(data.bh.deleted, true, "data1.bh == NULL");
  yield* expectIdle(t, data, 1);
}

function* testDeleteMany(t: CaseTest): Polls<void> {
  const maxima = [1, 3, 2, 4];
  const all = maxima.map((max) => bhData(t, max, true));
  for (const { bh } of all) qemuBhSchedule(bh);
  t.expectEqual(yield* aioPoll(t.main, false), true, "aio_poll(ctx, false)");
  t.expectEqual(all.map(({ n }) => n).join(), "1,1,1,1", "n of all four");
  t.expectEqual(all.map(({ bh }) => Number(bh.deleted)).join(), "1,0,0,0", "which bh is NULL");
  while (all.some(({ n }, i) => n < (maxima[i] ?? 0))) yield* aioPoll(t.main, true);
  t.expectEqual(all.map(({ n }) => n).join(), "1,3,2,4", "n of all four");
  t.check(
    all.every(({ bh }) => bh.deleted),
    "every bh == NULL",
  );
}

function* testQueueChaining(t: CaseTest): Polls<void> {
  const counts = [0, 0];
  const coroutines: Coroutine[] = [];
  const chain = (self: 0 | 1) =>
    function* (): Co<void> {
      for (
        counts[self] = 0;
        (counts[self] ?? 0) < CHAIN_MAX;
        counts[self] = (counts[self] ?? 0) + 1
      ) {
        const other = coroutines[1 - self];
        t.check(other !== undefined, "data->other");
        aioCoEnter(t.main, other);
        yield* qemuCoroutineYield();
      }
    };
  const a = qemuCoroutineCreate(chain(0));
  const b = qemuCoroutineCreate(chain(1));
  coroutines.push(a, b);
  qemuCoroutineEnter(a);
  t.expectEqual(counts.join(), `${CHAIN_MAX},${CHAIN_MAX - 1}`, "data_a.i and data_b.i");
  qemuCoroutineEnter(b);
  t.expectEqual(counts[1] ?? -1, CHAIN_MAX, "data_b.i");
}

function* testWorkerThread(t: CaseTest): Polls<void> {
  const worker = t.iothread("worker");
  let ranIn = "nowhere";
  const co = qemuCoroutineCreate(function* (): Co<void> {
    ranIn = machine.currentContext === t.main ? "main" : "elsewhere";
  });
  aioBhScheduleOneshot(worker, () => {
    aioCoEnter(t.main, co);
    return undefined;
  });
  t.expectEqual(yield* aioPoll(t.main, true), true, "aio_poll(ctx, true)");
  t.expectEqual(ranIn, "main", "where the coroutine ran");
  t.expectEqual(yield* aioPoll(t.main, false), false, "aio_poll(ctx, false)");
}

const SHORTER =
  "The two wake each other 2500 times instead of 25000, in each of a hundred schedules.";
const WORKER = "The worker is an iothread, since a thread without a context does not exist here.";
const GSOURCE = "There is no glib main loop here that a context could be a source of.";
const GSOURCE_CASES = [
  "flush",
  "bh/schedule",
  "bh/schedule10",
  "bh/cancel",
  "bh/delete",
  "bh/callback-delete/one",
  "bh/callback-delete/many",
  "bh/flush",
  "event/add-remove",
  "event/wait",
  "event/wait/no-flush-cb",
  "event/flush",
  "timer/schedule",
];

const cases: readonly QemuCase[] = [
  { name: "/aio/bh/schedule", body: testSchedule },
  { name: "/aio/bh/schedule10", body: testSchedule10 },
  { name: "/aio/bh/cancel", body: testCancel },
  { name: "/aio/bh/delete", body: testDelete },
  { name: "/aio/bh/callback-delete/one", body: testDeleteOne },
  { name: "/aio/bh/callback-delete/many", body: testDeleteMany },
  { name: "/aio/bh/flush", body: testSchedule },
  { name: "/aio/coroutine/queue-chaining", body: testQueueChaining, differs: SHORTER },
  { name: "/aio/coroutine/worker-thread-co-enter", body: testWorkerThread, differs: WORKER },
  ...GSOURCE_CASES.map((name) => ({ name: `/aio-gsource/${name}`, notApplicable: GSOURCE })),
];

/** See the file comment. */
export const aio: QemuFamily = {
  qemuFile: "tests/unit/test-aio.c",
  file: "tests/qemu/aio.ts",
  cases,
};
