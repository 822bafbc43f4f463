// Cases of test-blockjob-txn.c: jobs in a transaction end together, well or not.
//
//   job1   runs for one round, ends with its result         result of both
//   job2   runs for two, ends with its result               0 and 0: 0      otherwise: its own for who failed, -ECANCELED for the other
//
// A round is a sleep of no time, or a yield until somebody enters the job.

import { ECANCELED, EIO } from "#core/base";
import { BLK_PERM_ALL, bdrvUnref } from "#core/graph";
import {
  type BlockJobDriver,
  blockJobCreate,
  type Job,
  type JobTxn,
  jobCancelLocked,
  jobEnter,
  jobIsCancelled,
  jobSleepNs,
  jobStart,
  jobTxnNew,
  jobTxnUnref,
  jobTxnUnrefLocked,
  jobYield,
  withJobLockPolls,
} from "#core/jobs";
import { aioPoll, type Co, type Polls } from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { openNullCo } from "./support/open-null.ts";

/** C: TestBlockJob; `result` is null as long as C has -EINPROGRESS. */
interface TestJob {
  readonly job: Job;
  result: number | null;
}

/** How a job of these tests behaves. */
interface Plan {
  readonly name: string;
  readonly rounds: number;
  readonly useTimer: boolean;
  readonly rc: number;
}

/** test_block_job_driver. */
function driverOf({ rounds, useTimer, rc }: Plan): BlockJobDriver {
  return {
    jobType: "commit",
    *coRun(job: Job): Co<number> {
      for (let round = 0; round < rounds; round++) {
        if (useTimer) yield* jobSleepNs(job, 0);
        else yield* jobYield(job);
        if (jobIsCancelled(job)) break;
      }
      return rc;
    },
  };
}

/** test_block_job_start: create it, on a node of its own. Polls. */
function* testBlockJobStart(t: CaseTest, plan: Plan, txn: JobTxn): Polls<TestJob> {
  const bs = yield* openNullCo(`node-${plan.name}`);
  const told: { test: TestJob | null } = { test: null };
  const cb = (ret: number): undefined => {
    const { test } = told;
    t.check(test !== null && test.result === null, "that the callback runs once");
    test.result = ret === 0 && jobIsCancelled(test.job) ? -ECANCELED : ret;
  };
  const options = { txn, perm: 0, sharedPerm: BLK_PERM_ALL, cb };
  const { job } = yield* blockJobCreate(plan.name, driverOf(plan), bs, options);
  yield* bdrvUnref(bs);
  told.test = { job, result: null };
  return told.test;
}

/** Poll until all of them have told their result. Polls. */
function* untilOver(t: CaseTest, ...jobs: readonly TestJob[]): Polls<void> {
  while (jobs.some(({ result }) => result === null)) yield* aioPoll(t.main, true);
}

/** test_single_job. */
function testSingleJob(expected: number): (t: CaseTest) => Polls<void> {
  return function* (t): Polls<void> {
    const txn = jobTxnNew();
    const plan = { name: "job0", rounds: 1, useTimer: true, rc: expected };
    const test = yield* testBlockJobStart(t, plan, txn);
    jobStart(test.job);
    if (expected === -ECANCELED) yield* withJobLockPolls(() => jobCancelLocked(test.job, false));
    yield* untilOver(t, test);
    t.expectEqual(test.result, expected, "result");
    jobTxnUnref(txn);
  };
}

/** test_pair_jobs; `names` are those of the two jobs. Polls. */
function* testPairJobs(
  t: CaseTest,
  names: readonly [string, string],
  expected1: number,
  expected2: number,
): Polls<void> {
  const txn = jobTxnNew();
  const plan1 = { name: names[0], rounds: 1, useTimer: true, rc: expected1 };
  const test1 = yield* testBlockJobStart(t, plan1, txn);
  const plan2 = { name: names[1], rounds: 2, useTimer: true, rc: expected2 };
  const test2 = yield* testBlockJobStart(t, plan2, txn);
  jobStart(test1.job);
  jobStart(test2.job);
  yield* withJobLockPolls(function* (): Polls<void> {
    // Early, so that the jobs alone keep the transaction.
    jobTxnUnrefLocked(txn);
    if (expected1 === -ECANCELED) yield* jobCancelLocked(test1.job, false);
    if (expected2 === -ECANCELED) yield* jobCancelLocked(test2.job, false);
  });
  yield* untilOver(t, test1, test2);
  const result1 = expected1 === 0 && expected2 !== 0 ? -ECANCELED : expected1;
  const result2 = expected1 === 0 ? expected2 : -ECANCELED;
  t.expectEqual(test1.result, result1, "result1");
  t.expectEqual(test2.result, result2, "result2");
}

/** test_pair_jobs_success. Polls. */
function* testPairJobsSuccess(t: CaseTest): Polls<void> {
  yield* testPairJobs(t, ["job0", "job1"], 0, 0);
}

/** test_pair_jobs_failure: whichever fails, the other is cancelled. Polls. */
function* testPairJobsFailure(t: CaseTest): Polls<void> {
  yield* testPairJobs(t, ["job0", "job1"], -EIO, 0);
  yield* testPairJobs(t, ["job2", "job3"], 0, -EIO);
}

/** test_pair_jobs_cancel. Polls. */
function* testPairJobsCancel(t: CaseTest): Polls<void> {
  yield* testPairJobs(t, ["job0", "job1"], -ECANCELED, 0);
  yield* testPairJobs(t, ["job2", "job3"], 0, -ECANCELED);
}

/** test_pair_jobs_fail_cancel_race: job2 ends before main enters the jobs because of the cancel. Polls. */
function* testPairJobsFailCancelRace(t: CaseTest): Polls<void> {
  const txn = jobTxnNew();
  const plan1 = { name: "job0", rounds: 1, useTimer: true, rc: -ECANCELED };
  const test1 = yield* testBlockJobStart(t, plan1, txn);
  const plan2 = { name: "job1", rounds: 2, useTimer: false, rc: 0 };
  const test2 = yield* testBlockJobStart(t, plan2, txn);
  jobStart(test1.job);
  jobStart(test2.job);
  yield* withJobLockPolls(() => jobCancelLocked(test1.job, false));
  jobEnter(test2.job);
  jobEnter(test2.job);
  yield* untilOver(t, test1, test2);
  t.expectEqual(test1.result, -ECANCELED, "result1");
  t.expectEqual(test2.result, -ECANCELED, "result2");
  jobTxnUnref(txn);
}

const cases: readonly QemuCase[] = [
  { name: "/single/success", body: testSingleJob(0) },
  { name: "/single/failure", body: testSingleJob(-EIO) },
  { name: "/single/cancel", body: testSingleJob(-ECANCELED) },
  { name: "/pair/success", body: testPairJobsSuccess },
  { name: "/pair/failure", body: testPairJobsFailure },
  { name: "/pair/cancel", body: testPairJobsCancel },
  { name: "/pair/fail-cancel-race", body: testPairJobsFailCancelRace },
];

export const blockjobTxn: QemuFamily = {
  qemuFile: "tests/unit/test-blockjob-txn.c",
  file: "tests/qemu/blockjob-txn.ts",
  cases,
};
