// Birth, references and death of a job.
//
// A job has the reference of its creator, which completion drops (dismissal, to be exact); whoever must still look at it
// afterwards takes one more. It leaves the list of jobs when the last one is gone.

import { assert, EINVAL, type JobId, type SectionId } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  globalStateCode,
  ioCode,
  machine,
  modelAssert,
  nextId,
  type Polls,
  timerPending,
} from "../sched/index.ts";
import { allJobs, JOB_INTERNAL, Job, type JobDriver, type JobOptions, JobTxn } from "./job.ts";
import { assertJobLocked, withJobLock, withJobLockPolls, withoutJobLockPolls } from "./job-lock.ts";
import { jobEnter, setBusy } from "./run.ts";
import { jobApplyVerbLocked, jobStateTransitionLocked } from "./status.ts";
import { jobTxnAddJobLocked, jobTxnDelJobLocked, jobTxnUnrefLocked } from "./txn.ts";

const SITE_UNREF = site("job_unref_locked");
const SITE_DISMISS = site("job_dismiss_locked");
const SITE_EARLY_FAIL = site("job_early_fail");
const SITE_NEXT = site("job_next_locked");
const SITE_CREATE = site("job_create");
const SITE_REF_LOCKED = site("job_ref_locked");
const SITE_DO_DISMISS_LOCKED = site("job_do_dismiss_locked");
const SITE_GET_LOCKED = site("job_get_locked");
const SITE_NEXT_CHECK = site("job_next");

/** The user, who pauses on behalf of no drained section. */
export const USER: SectionId = 0 as SectionId;

/**
 * job_create (job.c:385): a job that will run in `ctx`; it is paused until it is started. Without job_mutex. BlockError when
 * the name is missing, ill-formed or taken.
 */
export function jobCreate(
  name: string | null,
  driver: JobDriver,
  ctx: AioContext,
  options: JobOptions = {},
): Job {
  ioCode(null, SITE_CREATE);
  const { txn = null, flags = 0, cb = null, opaque = null } = options;
  return withJobLock(() => {
    checkName(name, flags);
    const id = nextId(machine, "job") as JobId;
    const job = new Job({ id, name, driver, ctx, flags, cb, opaque, wake: jobEnter });
    job.quiescedFor.push(USER);
    machine.probe.emit(Ev.job_new, job.id, machine.probe.intern(name ?? driver.jobType));
    machine.probe.emit(Ev.job_pause, job.id, job.pauseCount, USER, 0);
    jobStateTransitionLocked(job, "created");
    allJobs().unshift(job);
    joinTxn(job, txn);
    assert(job.pauseCount === 1, "a job is born paused");
    assert(!job.busy, "a job is born idle");
    return job;
  });
}

function checkName(name: string | null, flags: number): void {
  const isInternal = (flags & JOB_INTERNAL) !== 0;
  if (name === null) {
    if (!isInternal) throw new BlockError(EINVAL, "An explicit job ID is required");
    return;
  }
  if (isInternal) throw new BlockError(EINVAL, "Cannot specify job ID for internal job");
  if (!idWellformed(name)) throw new BlockError(EINVAL, `Invalid job ID '${name}'`);
  if (jobGetLocked(name) !== null) throw new BlockError(EINVAL, `Job ID '${name}' already in use`);
}

/** id_wellformed (util/id.c:17): a letter, then letters, digits, "-", "." and "_". Common. */
export function idWellformed(id: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._-]*$/.test(id);
}

/** A single job is a transaction of one, so that there is one way to end. */
function joinTxn(job: Job, txn: JobTxn | null): void {
  if (txn !== null) {
    jobTxnAddJobLocked(txn, job);
    return;
  }
  const own = new JobTxn();
  jobTxnAddJobLocked(own, job);
  jobTxnUnrefLocked(own);
}

/** job_ref_locked (job.c:462). */
export function jobRefLocked(job: Job): void {
  ioCode(null, SITE_REF_LOCKED);
  assertJobLocked();
  assert(job.refcnt > 0, "a job that is gone has no user");
  job.refcnt++;
}

/** job_unref_locked (job.c:467): drop a reference; the last one frees the job. Releases job_mutex for a while. Polls. */
export function* jobUnrefLocked(job: Job): Polls<void> {
  globalStateCode(SITE_UNREF);
  assertJobLocked();
  assert(job.refcnt > 0, "a reference is dropped once");
  if (--job.refcnt > 0) return;
  modelAssert(job.status === "null", "job->status == JOB_STATUS_NULL", SITE_UNREF);
  modelAssert(!timerPending(job.sleepTimer), "!timer_pending(&job->sleep_timer)", SITE_UNREF);
  modelAssert(job.txn === null, "!job->txn", SITE_UNREF);
  const { free } = job.driver;
  if (free !== undefined) {
    const ctx = job.aioContext;
    yield* withoutJobLockPolls(function* (): Polls<void> {
      yield* aioContextAcquire(ctx);
      yield* free(job);
      aioContextRelease(ctx);
    });
  }
  const jobs = allJobs();
  jobs.splice(jobs.indexOf(job), 1);
  machine.probe.emit(Ev.job_free, job.id);
}

/** job_do_dismiss_locked (job.c:757): the end of a job's visible life. Releases job_mutex for a while. Polls. */
export function* jobDoDismissLocked(job: Job): Polls<void> {
  ioCode(null, SITE_DO_DISMISS_LOCKED);
  assertJobLocked();
  setBusy(job, false);
  job.paused = false;
  job.deferredToMainLoop = true;
  jobTxnDelJobLocked(job);
  jobStateTransitionLocked(job, "null");
  yield* jobUnrefLocked(job);
}

/** job_dismiss_locked (job.c:770): forget a concluded job; BlockError EPERM in any other state. Polls. */
export function* jobDismissLocked(job: Job): Polls<void> {
  ioCode(null, SITE_DISMISS);
  assertJobLocked();
  modelAssert(job.name !== null, "job->id", SITE_DISMISS);
  jobApplyVerbLocked(job, "dismiss");
  yield* jobDoDismissLocked(job);
}

/** job_early_fail (job.c:783): a job that could not be started is gone. Without job_mutex. Polls. */
export function* jobEarlyFail(job: Job): Polls<void> {
  globalStateCode(SITE_EARLY_FAIL);
  yield* withJobLockPolls(function* (): Polls<void> {
    modelAssert(job.status === "created", "job->status == JOB_STATUS_CREATED", SITE_EARLY_FAIL);
    yield* jobDoDismissLocked(job);
  });
}

/** job_get_locked (job.c:347): the job called `name`, or null. */
export function jobGetLocked(name: string): Job | null {
  ioCode(null, SITE_GET_LOCKED);
  assertJobLocked();
  return allJobs().find((job) => job.name === name) ?? null;
}

/** job_next_locked (job.c:333): the job behind `job` in the list, the newest for null; null when there is none. */
export function jobNextLocked(job: Job | null): Job | null {
  ioCode(null, SITE_NEXT);
  assertJobLocked();
  const jobs = allJobs();
  const at = job === null ? -1 : jobs.indexOf(job);
  // A job that is gone has no place in the list: in C its memory is no longer its own.
  modelAssert(job === null || at >= 0, "QLIST_NEXT(job, job_list)", SITE_NEXT);
  return jobs[at + 1] ?? null;
}

/** job_next (job.c:341): as jobNextLocked, without job_mutex. */
export function jobNext(job: Job | null): Job | null {
  ioCode(null, SITE_NEXT_CHECK);
  return withJobLock(() => jobNextLocked(job));
}
