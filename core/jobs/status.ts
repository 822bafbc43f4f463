// What may become of a job in which state (C: JobSTT), and what it may be told in which state (C: JobVerbTable).

import { assert, EPERM } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import { Ev, JobStatusOf, site } from "../probe/index.ts";
import { ioCode, machine, modelAssert } from "../sched/index.ts";
import type { Job, JobStatus, JobVerb } from "./job.ts";
import { jobEvent } from "./job-events.ts";
import { assertJobLocked, withJobLock } from "./job-lock.ts";

const SITE_TRANSITION = site("job_state_transition_locked");
const SITE_CANCELLED = site("job_is_cancelled_locked");
const SITE_APPLY_VERB_LOCKED = site("job_apply_verb_locked");
const SITE_IS_CANCELLED = site("job_is_cancelled");
const SITE_CANCEL_REQUESTED = site("job_cancel_requested");
const SITE_IS_READY_LOCKED = site("job_is_ready_locked");
const SITE_IS_READY = site("job_is_ready");
const SITE_IS_COMPLETED_LOCKED = site("job_is_completed_locked");
const SITE_IS_COMPLETED = site("job_is_completed");

/** JobSTT (job.c:51): the states that may follow each. */
export const JobSTT: Readonly<Record<JobStatus, readonly JobStatus[]>> = {
  undefined: ["created"],
  created: ["running", "aborting", "null"],
  running: ["paused", "ready", "waiting", "aborting"],
  paused: ["running"],
  ready: ["standby", "waiting", "aborting"],
  standby: ["ready"],
  waiting: ["pending", "aborting"],
  pending: ["aborting", "concluded"],
  aborting: ["aborting", "concluded"],
  concluded: ["null"],
  null: [],
};

const RUNS: readonly JobStatus[] = ["created", "running", "paused", "ready", "standby"];

/** JobVerbTable (job.c:66): the states in which a job obeys each verb. */
export const JobVerbTable: Readonly<Record<JobVerb, readonly JobStatus[]>> = {
  cancel: [...RUNS, "waiting", "pending"],
  pause: RUNS,
  resume: RUNS,
  "set-speed": RUNS,
  complete: ["ready", "standby"],
  finalize: ["pending"],
  dismiss: ["concluded"],
};

/** job_state_transition_locked (job.c:197). */
export function jobStateTransitionLocked(job: Job, to: JobStatus): void {
  ioCode(null, SITE_TRANSITION);
  assertJobLocked();
  const from = job.status;
  modelAssert(JobSTT[from].includes(to), "JobSTT[s0][s1]", SITE_TRANSITION);
  job.status = to;
  machine.probe.emit(Ev.job_status, job.id, JobStatusOf[from], JobStatusOf[to]);
  if (from !== to) jobEvent(job, (id) => ({ event: "JOB_STATUS_CHANGE", id, status: to }));
}

/** job_apply_verb_locked (job.c:213): BlockError EPERM unless `job` obeys `verb` in its state. */
export function jobApplyVerbLocked(job: Job, verb: JobVerb): void {
  ioCode(null, SITE_APPLY_VERB_LOCKED);
  assertJobLocked();
  if (JobVerbTable[verb].includes(job.status)) return;
  const which = `Job '${job.name}' in state '${job.status}'`;
  throw new BlockError(EPERM, `${which} cannot accept command verb '${verb}'`);
}

/** job_is_internal (job.c:191): nobody outside sees it. Common. */
export function jobIsInternal(job: Job): boolean {
  return job.name === null;
}

/** job_is_cancelled_locked (job.c:238): it was told to end without further I/O. */
export function jobIsCancelledLocked(job: Job): boolean {
  ioCode(null, SITE_CANCELLED);
  assertJobLocked();
  modelAssert(
    job.cancelled || !job.forceCancel,
    "job->cancelled || !job->force_cancel",
    SITE_CANCELLED,
  );
  return job.forceCancel;
}

/** job_is_cancelled (job.c:245): as jobIsCancelledLocked, without job_mutex. */
export function jobIsCancelled(job: Job): boolean {
  ioCode(null, SITE_IS_CANCELLED);
  return withJobLock(() => jobIsCancelledLocked(job));
}

/** job_cancel_requested (job.c:257): it was told to end, at once or when it is in order. Without job_mutex. */
export function jobCancelRequested(job: Job): boolean {
  ioCode(null, SITE_CANCEL_REQUESTED);
  return withJobLock(() => job.cancelled);
}

/** job_is_ready_locked (job.c:263): it may be told to complete. */
export function jobIsReadyLocked(job: Job): boolean {
  ioCode(null, SITE_IS_READY_LOCKED);
  assertJobLocked();
  return job.status === "ready" || job.status === "standby";
}

/** job_is_ready (job.c:286): as jobIsReadyLocked, without job_mutex. */
export function jobIsReady(job: Job): boolean {
  ioCode(null, SITE_IS_READY);
  return withJobLock(() => jobIsReadyLocked(job));
}

/** job_is_completed_locked (job.c:292): its coroutine is through. */
export function jobIsCompletedLocked(job: Job): boolean {
  ioCode(null, SITE_IS_COMPLETED_LOCKED);
  assertJobLocked();
  assert(job.status !== "undefined", "a job that exists was created");
  return !RUNS.includes(job.status);
}

/** job_is_completed (job.c:315): as jobIsCompletedLocked, without job_mutex. */
export function jobIsCompleted(job: Job): boolean {
  ioCode(null, SITE_IS_COMPLETED);
  return withJobLock(() => jobIsCompletedLocked(job));
}
