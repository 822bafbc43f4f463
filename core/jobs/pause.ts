// Pausing: whoever wants a job paused raises its pause count, and the job stops at its next pause point until it is zero.
//
// The user (section 0) and each edge of each drained section count alike, but only the user resumes what the user paused. A job
// that was entered goes on even though its count is above zero, to the next pause point: a drain waits for that, as it is busy.

import { assert, EINVAL, type SectionId } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import type { BdrvChild } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type Co,
  globalStateCode,
  ioCode,
  machine,
  modelAssert,
  timerPending,
} from "../sched/index.ts";
import type { Job } from "./job.ts";
import { assertJobLocked, jobLock, jobUnlock, withJobLock, withoutJobLock } from "./job-lock.ts";
import { USER } from "./life.ts";
import { jobDoYieldLocked, jobEnterCondLocked } from "./run.ts";
import { jobApplyVerbLocked, jobIsCancelledLocked, jobStateTransitionLocked } from "./status.ts";

const SITE_POINT = site("job_pause_point_locked");
const SITE_RESUME = site("job_resume_locked");
const SITE_USER_RESUME = site("job_user_resume_locked");
const SITE_SHOULD_PAUSE_LOCKED = site("job_should_pause_locked");
const SITE_PAUSE_POINT = site("job_pause_point");
const SITE_PAUSE_LOCKED = site("job_pause_locked");
const SITE_PAUSE = site("job_pause");
const SITE_RESUME_CHECK = site("job_resume");
const SITE_USER_PAUSE_LOCKED = site("job_user_pause_locked");
const SITE_USER_PAUSED_LOCKED = site("job_user_paused_locked");

/** job_should_pause_locked (job.c:327): the pause count, read where its zero lets the job go on. */
export function jobShouldPauseLocked(job: Job): boolean {
  ioCode(null, SITE_SHOULD_PAUSE_LOCKED);
  assertJobLocked();
  machine.probe.emit(Ev.job_gate_read, job.id, job.pauseCount);
  return job.pauseCount > 0;
}

/** job_pause_point (job.c:641): stop here if anyone wants the job paused. Without job_mutex. */
export function* jobPausePoint(job: Job): Co<void> {
  ioCode(null, SITE_PAUSE_POINT);
  jobLock();
  yield* jobPausePointLocked(job);
  jobUnlock();
  assert(!job.paused, "a job that leaves a pause point runs");
}

/** job_pause_point_locked (job.c:605). Releases job_mutex for a while. */
export function* jobPausePointLocked(job: Job): Co<void> {
  ioCode(null, SITE_POINT);
  assertJobLocked();
  modelAssert(job.co !== null, "job && job_started_locked(job)", SITE_POINT);
  if (!jobShouldPauseLocked(job) || jobIsCancelledLocked(job)) return;
  const { pause, resume } = job.driver;
  if (pause !== undefined) yield* unlocked(job, pause);
  if (jobShouldPauseLocked(job) && !jobIsCancelledLocked(job)) {
    const { status } = job;
    jobStateTransitionLocked(job, status === "ready" ? "standby" : "paused");
    job.paused = true;
    yield* jobDoYieldLocked(job, null);
    job.paused = false;
    jobStateTransitionLocked(job, status);
  }
  if (resume !== undefined) yield* unlocked(job, resume);
}

function* unlocked(job: Job, callback: (job: Job) => Co<void>): Co<void> {
  jobUnlock();
  yield* callback(job);
  jobLock();
}

/** job_pause_locked (job.c:716): one more wants it paused, on behalf of `section` (0: the user) through `child`. */
export function jobPauseLocked(
  job: Job,
  section: SectionId = USER,
  child: BdrvChild | null = null,
): void {
  ioCode(null, SITE_PAUSE_LOCKED);
  assertJobLocked();
  job.quiescedFor.push(section);
  assert(job.pauseCount > 0, "a pause count that was raised is not zero");
  machine.probe.emit(Ev.job_pause, job.id, job.pauseCount, section, child === null ? 0 : child.id);
  if (!job.paused) jobEnterCondLocked(job);
}

/** job_pause (job.c:726): as jobPauseLocked, without job_mutex. */
export function jobPause(
  job: Job,
  section: SectionId = USER,
  child: BdrvChild | null = null,
): void {
  ioCode(null, SITE_PAUSE);
  withJobLock(() => jobPauseLocked(job, section, child));
}

/** job_resume_locked (job.c:732): undo one job_pause; the last wakes the job, unless it sleeps and its timer will. */
export function jobResumeLocked(
  job: Job,
  section: SectionId = USER,
  child: BdrvChild | null = null,
): void {
  ioCode(null, SITE_RESUME);
  assertJobLocked();
  unpause(job, section, child);
  if (job.pauseCount === 0) jobEnterCondLocked(job, resumes);
}

/** job_timer_not_pending_locked (job.c:711); true enters the job, which is told why. */
function resumes(job: Job): boolean {
  job.resumed = !timerPending(job.sleepTimer);
  return job.resumed;
}

/** job_resume (job.c:744): as jobResumeLocked, without job_mutex. */
export function jobResume(
  job: Job,
  section: SectionId = USER,
  child: BdrvChild | null = null,
): void {
  ioCode(null, SITE_RESUME_CHECK);
  withJobLock(() => jobResumeLocked(job, section, child));
}

/** job_user_pause_locked (job.c:750): the user wants it paused; BlockError when it is, or cannot be. */
export function jobUserPauseLocked(job: Job): void {
  ioCode(null, SITE_USER_PAUSE_LOCKED);
  assertJobLocked();
  jobApplyVerbLocked(job, "pause");
  if (job.userPaused) throw new BlockError(EINVAL, "Job is already paused");
  job.userPaused = true;
  jobPauseLocked(job);
}

/** job_user_paused_locked (job.c:763): whether the user has paused it. */
export function jobUserPausedLocked(job: Job): boolean {
  ioCode(null, SITE_USER_PAUSED_LOCKED);
  assertJobLocked();
  return job.userPaused;
}

/** job_user_resume_locked (job.c:768): undo the user's pause; BlockError when there is none. Releases job_mutex for a while. */
export function jobUserResumeLocked(job: Job): void {
  globalStateCode(SITE_USER_RESUME);
  assertJobLocked();
  if (!job.userPaused || job.pauseCount <= 0)
    throw new BlockError(EINVAL, "Can't resume a job that was not paused");
  jobApplyVerbLocked(job, "resume");
  endUserPause(job);
  jobResumeLocked(job);
}

/** The driver is told that the user's pause is over; the pause count is the caller's. Releases job_mutex for a while. Common. */
export function endUserPause(job: Job): void {
  assertJobLocked();
  const { userResume } = job.driver;
  if (userResume !== undefined) withoutJobLock(() => userResume(job));
  job.userPaused = false;
}

/** One level less: the newest of `section`, or just the newest if it has none. Wakes nobody. Common. */
export function unpause(job: Job, section: SectionId, child: BdrvChild | null): void {
  assertJobLocked();
  modelAssert(job.pauseCount > 0, "job->pause_count > 0", SITE_RESUME);
  const at = job.quiescedFor.lastIndexOf(section);
  const [level] = job.quiescedFor.splice(at < 0 ? job.pauseCount - 1 : at, 1);
  const edge = child === null ? 0 : child.id;
  machine.probe.emit(Ev.job_resume, job.id, job.pauseCount, level ?? USER, edge);
}
