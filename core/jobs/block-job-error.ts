// What a block job does about an I/O error: report it and end, ignore it, or stop until the user resumes it.

import type { BlockdevOnError } from "../backend/block-backend.ts";
import { assert, ENOSPC } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, ioCode, modelAssert } from "../sched/index.ts";
import type { BlockJob } from "./block-job.ts";
import type { Job } from "./job.ts";
import { type BlockErrorAction, jobEvent } from "./job-events.ts";
import { assertJobLocked, withJobLock } from "./job-lock.ts";
import { jobPauseLocked } from "./pause.ts";

const SITE_RESET = site("block_job_iostatus_reset_locked");
const SITE_USER_RESUME = site("block_job_user_resume");
const SITE_BLOCK_JOB_ERROR_ACTION = site("block_job_error_action");

/**
 * block_job_error_action (blockjob.c:548): what to do about `errno` (positive) of a read or write, by the policy that the job was
 * given. A job that is to stop is paused as by the user, at its next pause point. Without job_mutex.
 */
export function blockJobErrorAction(
  blockJob: BlockJob,
  onError: BlockdevOnError,
  isRead: boolean,
  errno: number,
): BlockErrorAction {
  ioCode(null, SITE_BLOCK_JOB_ERROR_ACTION);
  assert(errno > 0, "an errno is positive");
  const { job } = blockJob;
  const action = actionFor(onError, errno);
  const operation = isRead ? "read" : "write";
  jobEvent(job, (device) => ({ event: "BLOCK_JOB_ERROR", device, operation, action }));
  if (action !== "stop") return action;
  withJobLock(() => {
    if (!job.userPaused) {
      jobPauseLocked(job);
      job.userPaused = true;
    }
    if (blockJob.iostatus === "ok") blockJob.iostatus = errno === ENOSPC ? "nospace" : "failed";
  });
  return action;
}

function actionFor(onError: BlockdevOnError, errno: number): BlockErrorAction {
  switch (onError) {
    case "enospc":
    case "auto":
      return errno === ENOSPC ? "stop" : "report";
    case "stop":
    case "report":
    case "ignore":
      return onError;
  }
}

/** block_job_iostatus_reset_locked (blockjob.c:526): the error is forgotten. */
export function blockJobIostatusResetLocked(blockJob: BlockJob): void {
  globalStateCode(SITE_RESET);
  assertJobLocked();
  if (blockJob.iostatus === "ok") return;
  const { userPaused, pauseCount } = blockJob.job;
  modelAssert(
    userPaused && pauseCount > 0,
    "job->job.user_paused && job->job.pause_count > 0",
    SITE_RESET,
  );
  blockJob.iostatus = "ok";
}

/** block_job_user_resume (blockjob.c:541): the `userResume` of all block jobs. Without job_mutex. */
export function blockJobUserResume(job: Job): undefined {
  globalStateCode(SITE_USER_RESUME);
  const { blockJob } = job;
  assert(blockJob !== null, "the job is a block job");
  withJobLock(() => blockJobIostatusResetLocked(blockJob));
}
