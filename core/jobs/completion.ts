// How a job ends, in the main context.
//
//   job_exit ──→ job_completed ──→ ret = 0: waiting, until all jobs of the transaction are; then pending; unless one of them is to
//                     │              be finalized by hand, at once: prepare each, then finalize each
//                     └──────────→ ret < 0: the others are cancelled by force and waited for, and each is finalized (aborting)
//   finalize one: commit or abort, clean, its callback, its events; it leaves the transaction, concludes, and is dismissed
//
// Callbacks of the driver run without job_mutex, under the AioContext lock of the job, and may poll: anything can happen
// inside, the end of another job included. Drains do not stop a job whose completion has begun.

import { assert, ECANCELED, strerror } from "../base/index.ts";
import { Ev, site } from "../probe/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  globalStateCode,
  ioCode,
  machine,
  modelAssert,
  type Polls,
} from "../sched/index.ts";
import { jobCancelAsyncLocked } from "./cancel.ts";
import type { Job } from "./job.ts";
import { assertJobLocked, withJobLockPolls, withoutJobLockPolls } from "./job-lock.ts";
import { jobDoDismissLocked, jobRefLocked, jobUnrefLocked } from "./life.ts";
import { notifierListNotify } from "./notifier.ts";
import { setBusy } from "./run.ts";
import {
  jobApplyVerbLocked,
  jobIsCancelledLocked,
  jobIsCompletedLocked,
  jobStateTransitionLocked,
} from "./status.ts";
import { jobFinishSyncLocked } from "./sync.ts";
import {
  jobTxnApplyLocked,
  jobTxnDelJobLocked,
  jobTxnRefLocked,
  jobTxnUnrefLocked,
} from "./txn.ts";

const SITE_EXIT = site("job_exit");
const SITE_COMPLETED = site("job_completed_locked");
const SITE_ABORT = site("job_completed_txn_abort_locked");
const SITE_SUCCESS = site("job_completed_txn_success_locked");
const SITE_PREPARE = site("job_prepare_locked");
const SITE_FINALIZE = site("job_finalize_locked");
const SITE_FINALIZE_ONE = site("job_finalize_single_locked");

/** job_exit (job.c:1090): the bottom half behind `coRun`. Without job_mutex. Polls. */
export function* jobExit(job: Job): Polls<void> {
  globalStateCode(SITE_EXIT);
  yield* withJobLockPolls(function* (): Polls<void> {
    jobRefLocked(job);
    // The lie: what follows drains nodes, and those drains must not wait for this job.
    setBusy(job, false);
    notifierListNotify(job.onIdle, job);
    machine.probe.emit(Ev.completion_begin, job.id, SITE_EXIT);
    yield* jobCompletedLocked(job);
    machine.probe.emit(Ev.completion_end, job.id, SITE_EXIT);
    yield* jobUnrefLocked(job);
  });
}

/** job_completed_locked (job.c:1073): `ret` says how. Releases job_mutex for a while. Polls. */
export function* jobCompletedLocked(job: Job): Polls<void> {
  ioCode(null, SITE_COMPLETED);
  modelAssert(job.txn !== null, "job && job->txn", SITE_COMPLETED);
  modelAssert(!jobIsCompletedLocked(job), "!job_is_completed_locked(job)", SITE_COMPLETED);
  jobUpdateRcLocked(job);
  if (job.ret !== 0) yield* jobCompletedTxnAbortLocked(job);
  else yield* jobCompletedTxnSuccessLocked(job);
}

/** job_update_rc_locked (job.c:803): a cancelled job has failed; one that has failed aborts. */
function jobUpdateRcLocked(job: Job): void {
  if (job.ret === 0 && jobIsCancelledLocked(job)) job.ret = -ECANCELED;
  if (job.ret === 0) return;
  assert(job.ret < 0, "a job's result is 0 or a negated errno");
  job.err ??= strerror(-job.ret);
  jobStateTransitionLocked(job, "aborting");
}

/** job_completed_txn_success_locked (job.c:1026): the last of the transaction takes all of them on. Polls. */
function* jobCompletedTxnSuccessLocked(job: Job): Polls<void> {
  jobStateTransitionLocked(job, "waiting");
  for (const other of job.txn?.jobs ?? []) {
    if (!jobIsCompletedLocked(other)) return;
    modelAssert(other.ret === 0, "other_job->ret == 0", SITE_SUCCESS);
  }
  yield* jobTxnApplyLocked(job, jobTransitionToPendingLocked);
  if ((yield* jobTxnApplyLocked(job, jobNeedsFinalizeLocked)) === 0)
    yield* jobDoFinalizeLocked(job);
}

function* jobTransitionToPendingLocked(job: Job): Polls<number> {
  jobStateTransitionLocked(job, "pending");
  if (!job.autoFinalize) notifierListNotify(job.onPending, job);
  return 0;
}

function* jobNeedsFinalizeLocked(job: Job): Polls<number> {
  return job.autoFinalize ? 0 : 1;
}

/** job_finalize_locked (job.c:991): the user says that a pending transaction may end; BlockError EPERM in other states. Polls. */
export function* jobFinalizeLocked(job: Job): Polls<void> {
  globalStateCode(SITE_FINALIZE);
  assertJobLocked();
  modelAssert(job.name !== null, "job && job->id", SITE_FINALIZE);
  jobApplyVerbLocked(job, "finalize");
  yield* jobDoFinalizeLocked(job);
}

/** job_do_finalize_locked (job.c:976): prepare all, then finalize all; or abort all if one cannot be prepared. Polls. */
function* jobDoFinalizeLocked(job: Job): Polls<void> {
  modelAssert(job.txn !== null, "job && job->txn", SITE_FINALIZE);
  const ret = yield* jobTxnApplyLocked(job, jobPrepareLocked);
  if (ret !== 0) yield* jobCompletedTxnAbortLocked(job);
  else yield* jobTxnApplyLocked(job, jobFinalizeSingleLocked);
}

/** job_prepare_locked (job.c:950): the last step that may fail. Releases job_mutex for a while. Polls. */
function* jobPrepareLocked(job: Job): Polls<number> {
  globalStateCode(SITE_PREPARE);
  const { prepare } = job.driver;
  const ctx = job.aioContext;
  if (job.ret !== 0 || prepare === undefined) return job.ret;
  job.ret = yield* withoutJobLockPolls(function* (): Polls<number> {
    yield* aioContextAcquire(ctx);
    const ret = yield* prepare(job);
    aioContextRelease(ctx);
    return ret;
  });
  jobUpdateRcLocked(job);
  return job.ret;
}

/** job_finalize_single_locked (job.c:849): the order is the contract, see above. Releases job_mutex for a while. Polls. */
function* jobFinalizeSingleLocked(job: Job): Polls<number> {
  globalStateCode(SITE_FINALIZE_ONE);
  modelAssert(jobIsCompletedLocked(job), "job_is_completed_locked(job)", SITE_FINALIZE_ONE);
  jobUpdateRcLocked(job);
  yield* withoutJobLockPolls(() => runLastCallbacks(job, job.ret));
  if (job.co !== null) {
    const isCancelled = jobIsCancelledLocked(job);
    notifierListNotify(isCancelled ? job.onFinalizeCancelled : job.onFinalizeCompleted, job);
  }
  jobTxnDelJobLocked(job);
  jobStateTransitionLocked(job, "concluded");
  if (job.autoDismiss || job.co === null) yield* jobDoDismissLocked(job);
  return 0;
}

/** Under the AioContext lock that the job had when this began. Polls. */
function* runLastCallbacks(job: Job, ret: number): Polls<void> {
  const ctx = job.aioContext;
  const { commit, abort, clean } = job.driver;
  yield* aioContextAcquire(ctx);
  if (ret === 0 && commit !== undefined) yield* commit(job);
  if (ret !== 0 && abort !== undefined) yield* abort(job);
  if (clean !== undefined) yield* clean(job);
  const polls = job.cb?.(ret);
  if (polls !== undefined) yield* polls;
  aioContextRelease(ctx);
}

/**
 * job_completed_txn_abort_locked (job.c:903): end all jobs of the transaction of `job`, which has failed or was cancelled by
 * force. Releases job_mutex for a while. Polls.
 */
export function* jobCompletedTxnAbortLocked(job: Job): Polls<void> {
  globalStateCode(SITE_ABORT);
  assertJobLocked();
  const { txn } = job;
  assert(txn !== null, "a job that has not ended is in a transaction");
  // Another one of them is at it already, and ends this one, too.
  if (txn.aborting) return;
  txn.aborting = true;
  jobTxnRefLocked(txn);
  jobRefLocked(job);
  for (const other of [...txn.jobs]) if (other !== job) yield* jobCancelAsyncLocked(other, true);
  for (let other = txn.jobs[0]; other !== undefined; other = txn.jobs[0]) {
    if (!jobIsCompletedLocked(other)) {
      modelAssert(other.cancelled, "job_cancel_requested_locked(other_job)", SITE_ABORT);
      yield* jobFinishSyncLocked(other, null);
    }
    yield* jobFinalizeSingleLocked(other);
  }
  yield* jobUnrefLocked(job);
  jobTxnUnrefLocked(txn);
}
