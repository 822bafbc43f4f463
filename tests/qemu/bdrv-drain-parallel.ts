// The two cases that were posted for test-bdrv-drain.c in March 2022 ("test-bdrv-drain: ensure draining from main loop stops
// iothreads") and not merged: a job in an iothread does nothing but drain its node, and main drains the node, too. While main
// is in its section, no drain hook may run.
//
//   main:      drained_begin . . waits . . | nothing drains here | drained_end
//   iothread:  begin, end, begin, end, pause point, paused . . . . . . . . . . begin, end, begin, end
//
// The drain that the job itself asks for must not wait for the job, so the job's driver says that it is idle (drained_poll). In
// QEMU 7.2 it says so to everybody, and main's drain comes back while the job is at work. The posting lets it say so in the
// job's own thread alone; here the job's callback looks for that itself. Beside the two is what happens in 7.2.

import {
  type BlockBackend,
  blkGetAioContext,
  blkInsertBs,
  blkNew,
  blkSetAllowAioContextChange,
  blkUnref,
} from "#core/backend";
import {
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  type BlockDriver,
  type BlockDriverState,
  bdrvOpenDriver,
  bdrvTryChangeAioContext,
  bdrvUnref,
} from "#core/graph";
import {
  bdrvCoSubtreeDrainedBegin,
  bdrvCoSubtreeDrainedEnd,
  bdrvSubtreeDrainedBeginUnlocked,
  bdrvSubtreeDrainedEndUnlocked,
} from "#core/io";
import {
  type BlockJobDriver,
  blockJobCreate,
  jobGetLocked,
  jobPausePoint,
  jobStart,
  withJobLock,
} from "#core/jobs";
import { site } from "#core/probe";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  type Co,
  machine,
  type Polls,
  qemuCoSleepNs,
} from "#core/sched";
import type { CaseTest, DeclaredFinding, QemuCase, QemuFamily } from "./support/index.ts";

const SITE_MAIN = site("qemu_case_parallel_main");
const SITE_JOB = site("qemu_case_parallel_job");

/** How often main drains in drain_parallel (QEMU: 1000 times). */
const MAIN_DRAINS = 8;
/** Between two looks at a flag where QEMU spins. */
const LOOK_NS = 10_000;
/** How long main stays in its section (QEMU: 3 s); the job would drain ten times. */
const SECTION_NS = 100_000;

/** C: ParallelDrainJob. */
class ParallelDrain {
  readonly bs: BlockDriverState;
  readonly blk: BlockBackend;
  readonly ctx: AioContext;
  shouldFail = false;
  allowedToRun = false;
  concludeTest = false;
  jobStarted = false;
  /** Drain hooks that ran while main was in its section. */
  forbiddenHooks = 0;

  constructor(bs: BlockDriverState, blk: BlockBackend, ctx: AioContext) {
    this.bs = bs;
    this.blk = blk;
    this.ctx = ctx;
  }
}

/** Who is told that the job is idle when it is at work: nobody but itself, or whoever asks, as in 7.2. */
type IdleFor = "its own thread" | "everybody";

/** C: bdrv_test_parallel; `drained` runs in its begin hook and in its end hook. */
function parallelDriver(drained: () => void): BlockDriver {
  const hook = function* (): Co<void> {
    drained();
  };
  return {
    formatName: "test",
    isFilter: false,
    supportsBacking: true,
    coDrainBegin: hook,
    coDrainEnd: hook,
  };
}

/** C: test_block_job_driver_parallel. */
function parallelJobDriver(test: ParallelDrain, idleFor: IdleFor): BlockJobDriver {
  return {
    jobType: "commit",
    *coRun(job): Co<number> {
      test.jobStarted = true;
      while (!test.concludeTest) {
        const drains = test.allowedToRun;
        if (drains) yield* bdrvCoSubtreeDrainedBegin(test.bs, SITE_JOB);
        yield* qemuCoSleepNs(LOOK_NS);
        if (drains) yield* bdrvCoSubtreeDrainedEnd(test.bs, SITE_JOB);
        yield* jobPausePoint(job);
      }
      test.jobStarted = false;
      return 0;
    },
    // True is "at work": a drain of the job's own thread would else wait for itself.
    drainedPoll: ({ job }) => idleFor !== "everybody" && machine.currentContext !== job.aioContext,
  };
}

/** C: setup_job_test, and job_start. Polls. */
function* setUp(t: CaseTest, allowedToRun: boolean, idleFor: IdleFor): Polls<ParallelDrain> {
  const ctx = t.iothread("a");
  const blk = blkNew(t.main, { perm: BLK_PERM_CONSISTENT_READ, sharedPerm: BLK_PERM_ALL });
  blkSetAllowAioContextChange(blk, true);
  let test: ParallelDrain | null = null;
  const drv = parallelDriver(() => {
    if (test?.shouldFail !== true) return;
    test.forbiddenHooks++;
    t.check(idleFor === "everybody", "!job->should_fail");
  });
  const bs = yield* bdrvOpenDriver(drv, "parent", { totalBytes: 0, readOnly: true });
  yield* blkInsertBs(blk, bs);
  test = new ParallelDrain(bs, blk, ctx);
  test.allowedToRun = allowedToRun;
  const { job } = yield* blockJobCreate("job1", parallelJobDriver(test, idleFor), bs);
  yield* bdrvTryChangeAioContext(bs, ctx, null);
  t.check(blkGetAioContext(blk) === ctx, "blk_get_aio_context(blk) == ctx_a");
  t.check(job.aioContext === ctx, "s->common.job.aio_context == ctx_a");
  jobStart(job);
  const started = test;
  yield* untilInMain(t, () => started.jobStarted);
  return test;
}

/** A drained section of main, in which no drain hook may run; `inside` is what main does there. Polls. */
function* mainSection(test: ParallelDrain, inside: () => Polls<void>): Polls<void> {
  yield* bdrvSubtreeDrainedBeginUnlocked(test.bs, SITE_MAIN);
  test.shouldFail = true;
  yield* inside();
  test.shouldFail = false;
  yield* bdrvSubtreeDrainedEndUnlocked(test.bs, SITE_MAIN);
}

/** C: stop_and_tear_down_test. Polls. */
function* tearDown(t: CaseTest, test: ParallelDrain): Polls<void> {
  test.concludeTest = true;
  yield* untilInMain(t, () => !test.jobStarted);
  yield* untilInMain(t, () => withJobLock(() => jobGetLocked("job1")) === null);
  yield* aioContextAcquire(test.ctx);
  yield* bdrvUnref(test.bs);
  yield* blkUnref(test.blk);
  aioContextRelease(test.ctx);
}

/** Where QEMU spins in aio_poll until the iothread has done something. Polls. */
function* untilInMain(t: CaseTest, condition: () => boolean): Polls<void> {
  while (!condition()) yield* t.world.sleep(LOOK_NS);
}

/** C: test_main_and_then_iothread_drain: main drains, and only then may the job. */
function* testMainAndThenIothread(t: CaseTest): Polls<void> {
  const test = yield* setUp(t, false, "its own thread");
  yield* mainSection(test, function* (): Polls<void> {
    test.allowedToRun = true;
    yield* t.world.sleep(SECTION_NS);
  });
  yield* tearDown(t, test);
}

/** C: test_main_and_iothread_drain: both drain, again and again. */
function* testMainAndIothread(t: CaseTest): Polls<void> {
  const test = yield* setUp(t, true, "its own thread");
  for (let count = 0; count < MAIN_DRAINS; count++)
    yield* mainSection(test, function* (): Polls<void> {});
  yield* tearDown(t, test);
}

/** What the posting is about: with drained_poll as in 7.2, the job goes on draining in the section of main. */
function* testJobGoesOn(t: CaseTest): Polls<void> {
  const test = yield* setUp(t, true, "everybody");
  yield* mainSection(test, () => t.world.sleep(SECTION_NS));
  t.check(test.forbiddenHooks > 0, "that the job drained in the section of main");
  yield* tearDown(t, test);
}

/** What is found where an iothread drains. */
const DRAINED_IN_IOTHREAD: readonly DeclaredFinding[] = [
  "bdrv_parent_drained_begin",
  "bdrv_parent_drained_poll",
  "bdrv_parent_drained_end",
].flatMap((reader) =>
  (["bdrv_root_attach_child", "bdrv_root_unref_child"] as const).map((operation) => ({
    rule: "covered-by-luck",
    list: "parents",
    node: "parent",
    reader,
    operation,
    why: "True, the hole of hole-iothread-drain: the drains that the job asks for walk the parents of the node in the iothread and are counted nowhere. Only that main starts the job after it has made its edges, and cuts them after the job has ended, orders the two.",
  })),
);

/** B35: what the posting mends. */
const IN_SECTION_OF_MAIN: DeclaredFinding = {
  rule: "request-in-drained-section",
  node: "parent",
  when: "always",
  why: "Wanted: why the job's drained_poll may speak to its own thread alone. Told that the job is idle, main's drain comes back while the job is in a drained section of its own, whose end runs a hook of the driver in the section of main.",
};

const DIFFERS =
  "The job sleeps a little in each round, inside its drained section if it drains, and main where QEMU spins in aio_poll: time stands still here while a thread is busy. Main waits for the end of the job, which QEMU's test leaves behind.";

const cases: readonly QemuCase[] = [
  {
    name: "/bdrv-drain/iothread/drain_main_and_then_iothread",
    body: testMainAndThenIothread,
    differs: DIFFERS,
    findings: DRAINED_IN_IOTHREAD,
  },
  {
    name: "/bdrv-drain/iothread/drain_parallel",
    body: testMainAndIothread,
    differs: `${DIFFERS} Main drains ${MAIN_DRAINS} times instead of 1000, in each of a hundred schedules.`,
    findings: DRAINED_IN_IOTHREAD,
  },
  {
    name: "/bdrv-drain/iothread/drain_parallel (drained_poll as in 7.2)",
    body: testJobGoesOn,
    ours: true,
    breaksInvariants:
      "This is why there is the posting: the end hook of the job's drain counts in flight at the node that main has made quiet.",
    findings: [...DRAINED_IN_IOTHREAD, IN_SECTION_OF_MAIN],
  },
];

/** See the file comment. */
export const bdrvDrainParallel: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c (posted in March 2022, not merged)",
  file: "tests/qemu/bdrv-drain-parallel.ts",
  cases,
};
