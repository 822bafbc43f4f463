// The case of test-block-iothread.c in which a job at work is moved between main and an iothread, and back, and again.
//
//   job0 --main node--> base <--root-- blk        main → iothread → main → iothread
//
// The job does not go to sleep as a job: it is busy while it sleeps, as if I/O were under way. So the drain in each move waits for
// its pause point, and whenever its code runs, it runs where the job is.

import { blkInsertBs, blkNew, blkSetAioContext, blkUnref } from "#core/backend";
import { assert } from "#core/base";
import { BLK_PERM_ALL, type BlockDriver, bdrvOpenDriver, bdrvUnref } from "#core/graph";
import {
  type BlockJobDriver,
  blockJobCreate,
  type Job,
  jobCompleteSyncLocked,
  jobPausePoint,
  jobStart,
  jobTransitionToReady,
  withJobLockPolls,
} from "#core/jobs";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  type Co,
  machine,
  type Polls,
  qemuCoSleepNs,
} from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";

const WORK_NS = 1_000_000;

/** C: bdrv_test of this file, without its I/O. */
const testDriver: BlockDriver = { formatName: "test", isFilter: false };

/** C: TestBlockJob. */
class TestJobState {
  shouldComplete = false;
  n = 0;
  prepared = 0;
}

function stateOf(job: Job): TestJobState {
  assert(job.opaque instanceof TestJobState, "the job is a test job");
  return job.opaque;
}

/** C: test_job_driver. */
function testJobDriver(t: CaseTest): BlockJobDriver {
  const isAtHome = ({ aioContext }: Job): void =>
    t.check(
      machine.currentContext === aioContext,
      "qemu_get_current_aio_context() == job->aio_context",
    );
  return {
    jobType: "commit",
    *coRun(job): Co<number> {
      const state = stateOf(job);
      jobTransitionToReady(job);
      while (!state.shouldComplete) {
        state.n++;
        isAtHome(job);
        yield* qemuCoSleepNs(WORK_NS);
        yield* jobPausePoint(job);
      }
      isAtHome(job);
      return 0;
    },
    requestCompletion: (job) => {
      stateOf(job).shouldComplete = true;
      return undefined;
    },
    *prepare(job): Polls<number> {
      t.check(machine.currentContext === t.main, "qemu_get_current_aio_context() is main's");
      stateOf(job).prepared++;
      return 0;
    },
  };
}

/** C: test_attach_blockjob. */
function* testAttachBlockjob(t: CaseTest): Polls<void> {
  const ctx = t.iothread("iothread");
  const blk = blkNew(t.main);
  const bs = yield* bdrvOpenDriver(testDriver, "base", { totalBytes: 0 });
  yield* blkInsertBs(blk, bs);
  const state = new TestJobState();
  const permissions = { perm: 0, sharedPerm: BLK_PERM_ALL };
  const { job } = yield* blockJobCreate("job0", testJobDriver(t), bs, {
    ...permissions,
    opaque: state,
  });
  jobStart(job);
  yield* untilAtWork(t, state);

  yield* blkSetAioContext(blk, ctx);
  state.n = 0;
  yield* untilAtWork(t, state);

  yield* inLock(ctx, () => blkSetAioContext(blk, t.main));
  state.n = 0;
  yield* untilAtWork(t, state);

  yield* blkSetAioContext(blk, ctx);
  state.n = 0;
  yield* untilAtWork(t, state);

  // C: job_complete_sync_locked with error_abort, and an assertion in prepare; here both must have happened, too.
  t.expectEqual(yield* withJobLockPolls(() => jobCompleteSyncLocked(job)), 0, "ret");
  t.expectEqual(state.prepared, 1, "how often test_job_prepare ran");
  yield* inLock(ctx, () => blkSetAioContext(blk, t.main));
  yield* bdrvUnref(bs);
  yield* blkUnref(blk);
}

/** With the lock of `ctx` held around `body`. Polls. */
function* inLock(ctx: AioContext, body: () => Polls<void>): Polls<void> {
  yield* aioContextAcquire(ctx);
  yield* body();
  aioContextRelease(ctx);
}

/** Poll in main until the job has gone round. Polls. */
function* untilAtWork(t: CaseTest, state: TestJobState): Polls<void> {
  while (state.n === 0) yield* t.world.sleep(WORK_NS / 100);
}

const cases: readonly QemuCase[] = [
  {
    name: "/attach/blockjob",
    body: testAttachBlockjob,
    differs: "Where QEMU spins in aio_poll until the job goes round, main sleeps a little.",
  },
];

/** See the file comment. */
export const blockIothreadBlockjob: QemuFamily = {
  qemuFile: "tests/unit/test-block-iothread.c",
  file: "tests/qemu/block-iothread-blockjob.ts",
  cases,
};
