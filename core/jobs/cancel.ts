// Telling a job to end: cancel, by force or softly, and complete.
//
// A soft cancel leaves it to the driver how far the job goes before it ends (a mirror that is ready may end in order); without
// a `cancel` of the driver every cancel is one by force. Nothing here waits until the job has ended: sync.ts does.

import { EBUSY } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import { site } from "../probe/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  globalStateCode,
  modelAssert,
  type Polls,
} from "../sched/index.ts";
import { jobCompletedLocked, jobCompletedTxnAbortLocked } from "./completion.ts";
import type { Job } from "./job.ts";
import { assertJobLocked, withoutJobLockPolls } from "./job-lock.ts";
import { jobDoDismissLocked, USER } from "./life.ts";
import { endUserPause, unpause } from "./pause.ts";
import { jobEnterCondLocked } from "./run.ts";
import { jobApplyVerbLocked, jobIsCancelledLocked } from "./status.ts";

const SITE_CANCEL = site("job_cancel_locked");
const SITE_CANCEL_ASYNC = site("job_cancel_async_locked");
const SITE_COMPLETE = site("job_complete_locked");

/** job_cancel_locked (job.c:1147): end at the next pause point, or now if it never ran. Releases job_mutex for a while. Polls. */
export function* jobCancelLocked(job: Job, force: boolean): Polls<void> {
  globalStateCode(SITE_CANCEL);
  assertJobLocked();
  if (job.status === "concluded") {
    yield* jobDoDismissLocked(job);
    return;
  }
  yield* jobCancelAsyncLocked(job, force);
  if (job.co === null) yield* jobCompletedLocked(job);
  else if (!job.deferredToMainLoop) jobEnterCondLocked(job);
  // It is through, and a soft cancel of such a job was not taken up.
  else if (jobIsCancelledLocked(job)) yield* jobCompletedTxnAbortLocked(job);
}

/** job_cancel_async_locked (job.c:876): only say so. Releases job_mutex for a while. Polls (lock regime aio). */
export function* jobCancelAsyncLocked(job: Job, asked: boolean): Polls<void> {
  globalStateCode(SITE_CANCEL_ASYNC);
  assertJobLocked();
  const { cancel } = job.driver;
  const ctx = job.aioContext;
  let force = true;
  if (cancel !== undefined) {
    force = yield* withoutJobLockPolls(function* (): Polls<boolean> {
      yield* aioContextAcquire(ctx);
      const answer = cancel(job, asked);
      aioContextRelease(ctx);
      return answer;
    });
  }
  if (job.userPaused) {
    endUserPause(job);
    unpause(job, USER, null);
  }
  if (!force && job.deferredToMainLoop) return;
  job.cancelled = true;
  job.forceCancel ||= force;
}

/** job_user_cancel_locked (job.c:1177): as jobCancelLocked; BlockError EPERM in a state in which nobody cancels. Polls. */
export function* jobUserCancelLocked(job: Job, force: boolean): Polls<void> {
  globalStateCode(SITE_CANCEL);
  assertJobLocked();
  jobApplyVerbLocked(job, "cancel");
  yield* jobCancelLocked(job, force);
}

/**
 * job_complete_locked (job.c:1235): a job that is ready comes to its end. BlockError when it is not ready, was cancelled, or its
 * driver refuses. Releases job_mutex for a while. Polls as the driver does.
 */
export function* jobCompleteLocked(job: Job): Polls<void> {
  globalStateCode(SITE_COMPLETE);
  assertJobLocked();
  modelAssert(job.name !== null, "job->id", SITE_COMPLETE);
  jobApplyVerbLocked(job, "complete");
  const { requestCompletion } = job.driver;
  if (job.cancelled || requestCompletion === undefined)
    throw new BlockError(EBUSY, `The active block job '${job.name}' cannot be completed`);
  yield* withoutJobLockPolls(function* (): Polls<void> {
    const polls = requestCompletion(job);
    if (polls !== undefined) yield* polls;
  });
}
