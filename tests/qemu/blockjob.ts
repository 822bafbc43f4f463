// Cases of test-blockjob.c: which names a job may have; cancelling a job in each of its states; completing one that is on standby.
//
//                      cancel, and the user dismisses it
//   created, running, paused, ready, standby, pending, concluded ──→ null
//
// The job of the cancel cases sleeps and looks, again and again, whether it is to become ready, or to end.

import {
  type BlockBackend,
  blkBs,
  blkInsertBs,
  blkNew,
  blkRemoveBs,
  blkSetAioContext,
  blkUnref,
} from "#core/backend";
import { must } from "#core/base";
import { BLK_PERM_ALL, bdrvUnref, settle } from "#core/graph";
import { bdrvDrainAllBegin, bdrvDrainAllEnd } from "#core/io";
import {
  type BlockJobDriver,
  blockJobCreate,
  JOB_DEFAULT,
  JOB_MANUAL_DISMISS,
  JOB_MANUAL_FINALIZE,
  type Job,
  type JobStatus,
  jobCancelSync,
  jobCompleteLocked,
  jobDismissLocked,
  jobEarlyFail,
  jobEnter,
  jobFinalizeLocked,
  jobFinishSyncLocked,
  jobIsCancelled,
  jobIsReady,
  jobRefLocked,
  jobSleepNs,
  jobStart,
  jobTransitionToReady,
  jobUnrefLocked,
  jobUserPauseLocked,
  jobYield,
  withJobLock,
  withJobLockPolls,
} from "#core/jobs";
import { site } from "#core/probe";
import {
  aioContextAcquire,
  aioContextRelease,
  aioPoll,
  aioWaitWhileUnlocked,
  type Co,
  type Polls,
  patchOn,
} from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { openNullCo } from "./support/open-null.ts";

const SITE_DRAIN = site("qemu_case_complete_in_standby");
const SITE_BS = site("qemu_case_blockjob_blk_bs");
const SITE_READY = site("qemu_case_until_ready");

/** test_block_job_driver: nothing runs. */
const idleDriver: BlockJobDriver = { jobType: "commit" };

/** create_blk: a BlockBackend with a node, both without I/O. Polls. */
function* createBlk(t: CaseTest, nodeName: string, name = ""): Polls<BlockBackend> {
  const blk = blkNew(t.main, { name, perm: 0, sharedPerm: BLK_PERM_ALL });
  const bs = yield* openNullCo(nodeName);
  yield* blkInsertBs(blk, bs);
  yield* bdrvUnref(bs);
  return blk;
}

/** destroy_blk. Polls. */
function* destroyBlk(blk: BlockBackend): Polls<void> {
  yield* blkRemoveBs(blk);
  yield* blkUnref(blk);
}

/** mk_job, which succeeds. Polls. */
function* mkJob(
  t: CaseTest,
  blk: BlockBackend,
  name: string | null,
  driver: BlockJobDriver,
  flags: number,
): Polls<Job> {
  const bs = must(blkBs(blk, SITE_BS), "the BlockBackend has a node");
  const options = { perm: 0, sharedPerm: BLK_PERM_ALL, flags };
  const { job } = yield* blockJobCreate(name, driver, bs, options);
  t.expectEqual(job.name, name ?? blk.name, "job->job.id");
  return job;
}

// ---- /blockjob/ids ----------------------------------------------------------------------------------------------------

/** do_test_id, which succeeds. Polls. */
function doTestId(t: CaseTest, blk: BlockBackend, name: string | null): Polls<Job> {
  return mkJob(t, blk, name, idleDriver, JOB_DEFAULT);
}

/** do_test_id, which is refused; `text` is why. Polls. */
function* refusesId(
  t: CaseTest,
  blk: BlockBackend,
  name: string | null,
  text: string,
): Polls<void> {
  const outcome = yield* settle(() => doTestId(t, blk, name));
  t.check(!outcome.ok, "err");
  t.expectEqual(outcome.error.message, text, "error_get_pretty(err)");
}

/** test_job_ids. Polls. */
function* testJobIds(t: CaseTest): Polls<void> {
  const blk0 = yield* createBlk(t, "node0");
  const blk1 = yield* createBlk(t, "node1", "drive1");
  const blk2 = yield* createBlk(t, "node2", "drive2");
  yield* refusesId(t, blk0, null, "Invalid job ID ''");
  for (const name of ["0id", "", "   ", "123", "_id", "-id", ".id", "#id"])
    yield* refusesId(t, blk0, name, `Invalid job ID '${name}'`);
  const first = yield* doTestId(t, blk0, "id0");
  yield* jobEarlyFail(yield* doTestId(t, blk0, "id1"));
  yield* refusesId(t, blk1, "id0", "Job ID 'id0' already in use");
  yield* jobEarlyFail(first);
  yield* jobEarlyFail(yield* doTestId(t, blk1, "id0"));
  const ofDrive1 = yield* doTestId(t, blk1, null);
  yield* refusesId(t, blk2, "drive1", "Job ID 'drive1' already in use");
  const drive2 = yield* doTestId(t, blk0, "drive2");
  yield* refusesId(t, blk2, null, "Job ID 'drive2' already in use");
  const last = yield* doTestId(t, blk2, "id_2");
  for (const job of [drive2, ofDrive1, last]) yield* jobEarlyFail(job);
  for (const blk of [blk0, blk1, blk2]) yield* destroyBlk(blk);
}

// ---- /blockjob/cancel -------------------------------------------------------------------------------------------------

/** C: CancelJob. */
interface CancelJob {
  readonly job: Job;
  readonly blk: BlockBackend;
  readonly told: { shouldConverge: boolean; shouldComplete: boolean };
}

/** test_cancel_driver. */
function cancelDriver(told: CancelJob["told"]): BlockJobDriver {
  return {
    jobType: "commit",
    *coRun(job: Job): Co<number> {
      while (!told.shouldComplete && !jobIsCancelled(job)) {
        if (!jobIsReady(job) && told.shouldConverge) jobTransitionToReady(job);
        yield* jobSleepNs(job, patchOn(9) ? 0 : 100_000);
      }
      return 0;
    },
    requestCompletion: () => {
      told.shouldComplete = true;
      return undefined;
    },
  };
}

/** create_common: a job that the user finalizes and dismisses, with a reference of ours. Polls. */
function* createCommon(t: CaseTest): Polls<CancelJob> {
  const blk = yield* createBlk(t, "node0");
  const told = { shouldConverge: false, shouldComplete: false };
  const flags = JOB_MANUAL_FINALIZE | JOB_MANUAL_DISMISS;
  const job = yield* mkJob(t, blk, "Steve", cancelDriver(told), flags);
  withJobLock(() => jobRefLocked(job));
  expectStatus(t, job, "created");
  return { job, blk, told };
}

/** cancel_common: from whatever state it is in, to nothing. Polls. */
function* cancelCommon(t: CaseTest, { job, blk }: CancelJob): Polls<void> {
  const { status, aioContext } = job;
  yield* jobCancelSync(job, true);
  yield* withJobLockPolls(function* (): Polls<void> {
    if (status !== "created" && status !== "concluded") yield* jobDismissLocked(job);
    expectStatus(t, job, "null");
    yield* jobUnrefLocked(job);
  });
  yield* aioContextAcquire(aioContext);
  yield* destroyBlk(blk);
  aioContextRelease(aioContext);
}

/** assert_job_status_is. */
function expectStatus(t: CaseTest, job: Job, status: JobStatus): void {
  t.expectEqual<JobStatus>(job.status, status, "job->status");
}

/** Started, and asleep. Polls. */
function* running(t: CaseTest): Polls<CancelJob> {
  const cancelJob = yield* createCommon(t);
  jobStart(cancelJob.job);
  expectStatus(t, cancelJob.job, "running");
  return cancelJob;
}

/** Entered when it is to become ready. Polls. */
function* ready(t: CaseTest): Polls<CancelJob> {
  const cancelJob = yield* running(t);
  cancelJob.told.shouldConverge = true;
  jobEnter(cancelJob.job);
  expectStatus(t, cancelJob.job, "ready");
  return cancelJob;
}

function pause(t: CaseTest, { job }: CancelJob, status: JobStatus): void {
  withJobLock(() => jobUserPauseLocked(job));
  jobEnter(job);
  expectStatus(t, job, status);
}

/** Completed, as far as it goes until the user finalizes it. Polls. */
function* pending(t: CaseTest): Polls<CancelJob> {
  const cancelJob = yield* ready(t);
  const { job } = cancelJob;
  yield* withJobLockPolls(() => jobCompleteLocked(job));
  jobEnter(job);
  while (!job.deferredToMainLoop) yield* aioPoll(t.main, true);
  expectStatus(t, job, "ready");
  yield* aioPoll(t.main, true);
  expectStatus(t, job, "pending");
  return cancelJob;
}

/** test_cancel_created. Polls. */
function* testCancelCreated(t: CaseTest): Polls<void> {
  yield* cancelCommon(t, yield* createCommon(t));
}

/** test_cancel_running. Polls. */
function* testCancelRunning(t: CaseTest): Polls<void> {
  yield* cancelCommon(t, yield* running(t));
}

/** test_cancel_paused. Polls. */
function* testCancelPaused(t: CaseTest): Polls<void> {
  const cancelJob = yield* running(t);
  pause(t, cancelJob, "paused");
  yield* cancelCommon(t, cancelJob);
}

/** test_cancel_ready. Polls. */
function* testCancelReady(t: CaseTest): Polls<void> {
  yield* cancelCommon(t, yield* ready(t));
}

/** test_cancel_standby. Polls. */
function* testCancelStandby(t: CaseTest): Polls<void> {
  const cancelJob = yield* ready(t);
  pause(t, cancelJob, "standby");
  yield* cancelCommon(t, cancelJob);
}

/** test_cancel_pending. Polls. */
function* testCancelPending(t: CaseTest): Polls<void> {
  yield* cancelCommon(t, yield* pending(t));
}

/** test_cancel_concluded. Polls. */
function* testCancelConcluded(t: CaseTest): Polls<void> {
  const cancelJob = yield* pending(t);
  yield* withJobLockPolls(() => jobFinalizeLocked(cancelJob.job));
  expectStatus(t, cancelJob.job, "concluded");
  yield* cancelCommon(t, cancelJob);
}

// ---- /blockjob/complete_in_standby ------------------------------------------------------------------------------------

/** test_yielding_driver: ready at once, then it yields until it is told to complete. */
function yieldingDriver(): BlockJobDriver {
  let shouldComplete = false;
  return {
    jobType: "commit",
    *coRun(job: Job): Co<number> {
      jobTransitionToReady(job);
      while (!shouldComplete) yield* jobYield(job);
      return 0;
    },
    requestCompletion: (job) => {
      shouldComplete = true;
      jobEnter(job);
      return undefined;
    },
  };
}

/** test_complete_in_standby: the lock of the iothread keeps the job from running when the drain has ended. Polls. */
function* testCompleteInStandby(t: CaseTest): Polls<void> {
  const blk = yield* createBlk(t, "node0");
  const ctx = t.iothread("iothread0");
  yield* blkSetAioContext(blk, ctx);
  const flags = JOB_MANUAL_FINALIZE | JOB_MANUAL_DISMISS;
  const job = yield* mkJob(t, blk, "job", yieldingDriver(), flags);
  expectStatus(t, job, "created");
  jobStart(job);
  yield* aioWaitWhileUnlocked(ctx, () => job.status !== "ready", SITE_READY);
  yield* bdrvDrainAllBegin(SITE_DRAIN);
  expectStatus(t, job, "standby");
  yield* aioContextAcquire(ctx);
  yield* bdrvDrainAllEnd(SITE_DRAIN);
  aioContextRelease(ctx);
  yield* withJobLockPolls(function* (): Polls<void> {
    expectStatus(t, job, "standby");
    yield* jobCompleteLocked(job);
    yield* jobFinishSyncLocked(job, null);
    expectStatus(t, job, "pending");
    yield* jobFinalizeLocked(job);
    expectStatus(t, job, "concluded");
    yield* jobDismissLocked(job);
  });
  yield* aioContextAcquire(ctx);
  yield* destroyBlk(blk);
  aioContextRelease(ctx);
}

const SLEEP =
  `With patch 9 the job sleeps for 0 ns. QEMU's series makes it 100 ns instead of 100,000, in which real time passes between two
statements of the test; here no time passes between them.`.replace(/\s+/g, " ");

const CANCEL: readonly (readonly [string, (t: CaseTest) => Polls<void>])[] = [
  ["created", testCancelCreated],
  ["running", testCancelRunning],
  ["paused", testCancelPaused],
  ["ready", testCancelReady],
  ["standby", testCancelStandby],
  ["pending", testCancelPending],
  ["concluded", testCancelConcluded],
];

const cases: readonly QemuCase[] = [
  { name: "/blockjob/ids", body: testJobIds },
  ...CANCEL.map(([state, body]) => ({ name: `/blockjob/cancel/${state}`, body, differs: SLEEP })),
  ...CANCEL.map(([state, body]) => ({
    name: `/blockjob/cancel/${state}, without patch 9`,
    body,
    without: [9] as const,
    ours: true,
  })),
  { name: "/blockjob/complete_in_standby", body: testCompleteInStandby, lock: "aio" },
];

export const blockjob: QemuFamily = {
  qemuFile: "tests/unit/test-blockjob.c",
  file: "tests/qemu/blockjob.ts",
  cases,
};
