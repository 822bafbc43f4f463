// Jobs as clients see and steer them: job-*, their twins block-job-*, query-jobs and query-block-jobs.
//
// The twins differ in three ways: they know block jobs alone, call what is missing by another class of error, and their cancel
// is a soft one. What a job obeys in which state is core/jobs/status.ts.

import { EINVAL } from "#core/base";
import { BlockError, settle, unwrap } from "#core/graph";
import {
  type BlockJob,
  blockJobGetLocked,
  blockJobIsInternal,
  blockJobNextLocked,
  blockJobQueryLocked,
  blockJobSetSpeedLocked,
  type Job,
  jobCompleteLocked,
  jobDismissLocked,
  jobFinalizeLocked,
  jobGetLocked,
  jobIsInternal,
  jobNextLocked,
  jobRefLocked,
  jobUnrefLocked,
  jobUserCancelLocked,
  jobUserPausedLocked,
  jobUserPauseLocked,
  jobUserResumeLocked,
  progressGetSnapshot,
  withJobLock,
  withJobLockPolls,
} from "#core/jobs";
import type { Polls } from "#core/sched";
import { command, nothing, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import { bool, int64, list, optional, QmpError, str, struct } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { blockJobInfoType, jobInfoType } from "./result-types.ts";

/** find_job_locked (job-qmp.c:35). */
function findJobLocked(id: string): Job {
  const job = jobGetLocked(id);
  if (job === null) throw new BlockError(EINVAL, "Job not found");
  return job;
}

/** find_block_job_locked (blockdev.c:3301). */
function findBlockJobLocked(id: string): BlockJob {
  const job = blockJobGetLocked(id);
  if (job !== null) return job;
  // Not a BlockError: it has a class of its own.
  throw new QmpError(`Block job '${id}' not found`, "DeviceNotActive");
}

type Verb = (job: Job) => undefined | Polls<void>;

/** What a client can tell any job; called with job_mutex held. */
const VERBS = {
  pause: (job) => {
    jobUserPauseLocked(job);
  },
  resume: (job) => {
    jobUserResumeLocked(job);
  },
  complete: jobCompleteLocked,
  finalize: finalizeLocked,
  dismiss: jobDismissLocked,
} as const satisfies Readonly<Record<string, Verb>>;

/** The job may be gone when it is over. Polls. */
function* finalizeLocked(job: Job): Polls<void> {
  jobRefLocked(job);
  const outcome = yield* settle(() => jobFinalizeLocked(job));
  yield* jobUnrefLocked(job);
  unwrap(outcome);
}

/** `verb` to the job that `find` finds under job_mutex. Polls. */
function* tell(find: () => Job, verb: Verb): Polls<Sendable> {
  // A QmpError must not leave with the mutex held: the look-up is apart, and nothing happens in between.
  const job = withJobLock(() => lookedUp(find));
  if (!(job instanceof Error)) {
    yield* withJobLockPolls(function* (): Polls<void> {
      const polls = verb(job);
      if (polls !== undefined) yield* polls;
    });
    return undefined;
  }
  throw job;
}

function lookedUp<T>(find: () => T): T | QmpError {
  try {
    return find();
  } catch (error) {
    if (error instanceof QmpError) return error;
    throw error;
  }
}

function jobCommand(name: keyof typeof VERBS): QmpCommand<Daemon> {
  return command(`job-${name}`, struct({ id: str }), (_daemon: Daemon, { id }) =>
    tell(() => findJobLocked(id), VERBS[name]),
  );
}

/** The older names of the argument: `device`, which is a job's id all the same. */
function deviceCommand(name: "pause" | "resume" | "complete"): QmpCommand<Daemon> {
  return command(`block-job-${name}`, struct({ device: str }), (_daemon: Daemon, { device }) =>
    tell(() => findBlockJobLocked(device).job, VERBS[name]),
  );
}

function blockJobCommand(name: "finalize" | "dismiss"): QmpCommand<Daemon> {
  return command(`block-job-${name}`, struct({ id: str }), (_daemon: Daemon, { id }) =>
    tell(() => findBlockJobLocked(id).job, VERBS[name]),
  );
}

const jobCancel = command("job-cancel", struct({ id: str }), (_daemon: Daemon, { id }) =>
  tell(
    () => findJobLocked(id),
    (job) => jobUserCancelLocked(job, true),
  ),
);

const blockJobCancel = command(
  "block-job-cancel",
  struct({ device: str, force: optional(bool) }),
  (_daemon: Daemon, { device, force = false }) =>
    tell(
      () => findBlockJobLocked(device).job,
      (job) => {
        if (!force && jobUserPausedLocked(job))
          throw new BlockError(EINVAL, `The block job for device '${device}' is currently paused`);
        return jobUserCancelLocked(job, force);
      },
    ),
);

const setSpeed = command(
  "block-job-set-speed",
  struct({ device: str, speed: int64 }),
  (_daemon: Daemon, { device, speed }) =>
    tell(
      () => findBlockJobLocked(device).job,
      ({ blockJob }) => {
        if (blockJob !== null) blockJobSetSpeedLocked(blockJob, speed);
      },
    ),
);

const queryJobs = command(
  "query-jobs",
  nothing,
  function* (): Polls<Sendable> {
    return withJobLock(() => {
      const jobs: Sendable[] = [];
      for (let job = jobNextLocked(null); job !== null; job = jobNextLocked(job))
        if (!jobIsInternal(job)) jobs.push(jobInfo(job));
      return jobs;
    });
  },
  list(jobInfoType),
);

/** job_query_single_locked (job-qmp.c:140). */
function jobInfo(job: Job): Sendable {
  const { current, total } = progressGetSnapshot(job.progress);
  return {
    id: job.name,
    type: job.driver.jobType,
    status: job.status,
    "current-progress": current,
    "total-progress": total,
    error: job.err ?? undefined,
  };
}

const queryBlockJobs = command(
  "query-block-jobs",
  nothing,
  function* (): Polls<Sendable> {
    return withJobLock(() => {
      const jobs: Sendable[] = [];
      for (let job = blockJobNextLocked(null); job !== null; job = blockJobNextLocked(job))
        if (!blockJobIsInternal(job)) jobs.push(blockJobInfo(job));
      return jobs;
    });
  },
  list(blockJobInfoType),
);

function blockJobInfo(blockJob: BlockJob): Sendable {
  const { ioStatus, autoFinalize, autoDismiss, ...rest } = blockJobQueryLocked(blockJob);
  return {
    ...rest,
    "io-status": ioStatus,
    "auto-finalize": autoFinalize,
    "auto-dismiss": autoDismiss,
  };
}

export const jobCommands: readonly QmpCommand<Daemon>[] = [
  ...(["pause", "resume", "complete", "finalize", "dismiss"] as const).map(jobCommand),
  jobCancel,
  ...(["pause", "resume", "complete"] as const).map(deviceCommand),
  ...(["finalize", "dismiss"] as const).map(blockJobCommand),
  blockJobCancel,
  setSpeed,
  queryJobs,
  queryBlockJobs,
];
