// Waiting for a job at thread level, and moving it.

import { assert, ECANCELED } from "../base/index.ts";
import { settle, unwrap } from "../graph/block-error.ts";
import { site } from "../probe/index.ts";
import {
  type AioContext,
  aioWaitWhileUnlocked,
  globalStateCode,
  machine,
  modelAssert,
  type Polls,
  patchOn,
  timerPending,
} from "../sched/index.ts";
import { jobCancelLocked, jobCompleteLocked } from "./cancel.ts";
import type { Job } from "./job.ts";
import { assertJobLocked, withJobLock, withJobLockPolls, withoutJobLockPolls } from "./job-lock.ts";
import { jobNextLocked, jobRefLocked, jobUnrefLocked } from "./life.ts";
import { jobEnter } from "./run.ts";
import { jobIsCancelledLocked, jobIsCompleted, jobIsCompletedLocked } from "./status.ts";

const SITE_FINISH = site("job_finish_sync_locked");
const SITE_CANCEL_ALL = site("job_cancel_sync_all");
const SITE_SET_CONTEXT = site("job_set_aio_context");

/**
 * job_finish_sync_locked (job.c:1252): call `finish`, which tells the job to end, then enter it again and again until it has
 * completed; its result, -ECANCELED if it was cancelled. BlockError as `finish` throws. Releases job_mutex for a while. Polls.
 */
export function* jobFinishSyncLocked(
  job: Job,
  finish: ((job: Job) => Polls<void>) | null,
): Polls<number> {
  globalStateCode(SITE_FINISH);
  assertJobLocked();
  jobRefLocked(job);
  if (finish !== null) {
    const outcome = yield* settle(() => finish(job));
    if (!outcome.ok) yield* jobUnrefLocked(job);
    unwrap(outcome);
  }
  yield* withoutJobLockPolls(() =>
    aioWaitWhileUnlocked(job.aioContext, () => entersInVain(job), SITE_FINISH),
  );
  const ret = jobIsCancelledLocked(job) && job.ret === 0 ? -ECANCELED : job.ret;
  yield* jobUnrefLocked(job);
  return ret;
}

/**
 * The condition of job_finish_sync: (job_enter(job), !job_is_completed(job)). The report of a deadlock asks too, outside of any
 * step. Differs from QEMU: a sleep that patch 9 keeps whole is left alone. To enter it wakes main again, which in QEMU goes
 * round until the sleep is over, and here for ever, as time stands still while somebody runs.
 */
function entersInVain(job: Job): boolean {
  if (machine.currentContext === null) return job.txn !== null;
  if (!patchOn(9) || !timerPending(job.sleepTimer)) jobEnter(job);
  return !jobIsCompleted(job);
}

/** job_cancel_sync_locked (job.c:1198): cancel and wait; its result, -ECANCELED unless it has completed meanwhile. Polls. */
export function* jobCancelSyncLocked(job: Job, force: boolean): Polls<number> {
  globalStateCode(SITE_FINISH);
  assertJobLocked();
  return yield* jobFinishSyncLocked(job, (target) => jobCancelLocked(target, force));
}

/** job_cancel_sync (job.c:1208): as jobCancelSyncLocked, without job_mutex. Polls. */
export function* jobCancelSync(job: Job, force: boolean): Polls<number> {
  globalStateCode(SITE_FINISH);
  return yield* withJobLockPolls(() => jobCancelSyncLocked(job, force));
}

/** job_cancel_sync_all (job.c:1214): cancel all jobs by force, and wait until they are gone. Without job_mutex. Polls. */
export function* jobCancelSyncAll(): Polls<void> {
  globalStateCode(SITE_CANCEL_ALL);
  yield* withJobLockPolls(function* (): Polls<void> {
    for (let job = jobNextLocked(null); job !== null; job = jobNextLocked(null))
      yield* jobCancelSyncLocked(job, true);
  });
}

/** job_complete_sync_locked (job.c:1230): complete and wait; its result. BlockError when it cannot be completed. Polls. */
export function* jobCompleteSyncLocked(job: Job): Polls<number> {
  globalStateCode(SITE_FINISH);
  assertJobLocked();
  return yield* jobFinishSyncLocked(job, jobCompleteLocked);
}

/** job_set_aio_context (job.c:360): the job, which does not run now, goes on in `ctx`. Without job_mutex. */
export function jobSetAioContext(job: Job, ctx: AioContext): void {
  globalStateCode(SITE_SET_CONTEXT);
  withJobLock(() => {
    const isQuiet = job.paused || jobIsCompletedLocked(job);
    modelAssert(isQuiet, "job->paused || job_is_completed_locked(job)", SITE_SET_CONTEXT);
    job.aioContext = ctx;
  });
  assert(job.aioContext === ctx, "the job has moved");
}
