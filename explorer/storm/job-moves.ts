// The part that jobs play in a storm: up to four of them walk the chains below their nodes, alone or in transactions, while
// drains pause them, the user pauses them too, and nodes move below them.
//
// A job ends only in the move that ends it, so that no completion changes the graph in the middle of another operation that the
// storm compares. One that a drain keeps paused cannot end before the section does: it is left alone, and with it all jobs of
// its transaction.

import { EIO } from "#core/base";
import { BLK_PERM_ALL, bdrvFilterOrCowChild } from "#core/graph";
import {
  type BlockJobDriver,
  blockJobCreate,
  blockJobSetSpeedLocked,
  JOB_DEFAULT,
  JOB_MANUAL_DISMISS,
  JOB_MANUAL_FINALIZE,
  type Job,
  type JobTxn,
  jobCancelSync,
  jobCompleteLocked,
  jobDismissLocked,
  jobFinalizeLocked,
  jobIsCancelled,
  jobSleepNs,
  jobStart,
  jobTransitionToReady,
  jobTxnNew,
  jobTxnUnref,
  jobUserCancelLocked,
  jobUserPausedLocked,
  jobUserPauseLocked,
  jobUserResumeLocked,
  withJobLock,
  withJobLockPolls,
} from "#core/jobs";
import type { Co, Polls } from "#core/sched";
import type { StormState } from "./storm-state.ts";

const JOBS_MAX = 4;
/** Jobs of one transaction, at most. */
const TXN_JOBS_MAX = 3;
/** Pause of a job between two walks, at most. */
const WALK_PAUSE_NS = 5_000;
const SPEEDS = [0, 1_000_000, -1] as const;

/** How a job is to end, once `isOver` is set: by itself, well or not, or when `prepare` has failed; or after it was ready. */
type Ending = "success" | "failure" | "prepare fails" | "ready";

/** A job of the storm; it goes on until `isOver`. */
export class StormJob {
  /** Set when it was made. */
  job: Job | null = null;
  readonly flags: number;
  readonly ending: Ending;
  /** All jobs of its transaction; alone by default. */
  group: readonly StormJob[] = [this];
  isOver = false;

  constructor(ending: Ending, flags: number) {
    this.ending = ending;
    this.flags = flags;
  }
}

export function* startJob(storm: StormState): Polls<void> {
  if (storm.jobs.length >= JOBS_MAX) return;
  const stormJob = drawJob(storm);
  if (yield* created(storm, stormJob, null)) begin(storm, [stormJob]);
}

/** Two or three jobs that end together. */
export function* startTransaction(storm: StormState): Polls<void> {
  const room = Math.min(JOBS_MAX - storm.jobs.length, TXN_JOBS_MAX);
  if (room < 2) return;
  const txn = jobTxnNew();
  const group: StormJob[] = [];
  for (let count = 2 + storm.prng.below(room - 1); count > 0; count--) {
    const stormJob = drawJob(storm);
    if (yield* created(storm, stormJob, txn)) group.push(stormJob);
  }
  for (const stormJob of group) stormJob.group = group;
  begin(storm, group);
  jobTxnUnref(txn);
}

function drawJob(storm: StormState): StormJob {
  const ending = storm.pick<Ending>(["success", "failure", "prepare fails", "ready"]);
  const flags = storm.pick([JOB_DEFAULT, JOB_MANUAL_FINALIZE, JOB_MANUAL_DISMISS]);
  return new StormJob(ending ?? "success", flags ?? JOB_DEFAULT);
}

function begin(storm: StormState, group: readonly StormJob[]): void {
  storm.jobs.push(...group);
  for (const { job } of group) if (job !== null) jobStart(job);
}

/** Whether it could be made. */
function* created(storm: StormState, stormJob: StormJob, txn: JobTxn | null): Polls<boolean> {
  const bs = storm.pick(storm.nodes());
  if (bs === undefined) return false;
  const name = storm.name("job");
  const perm = storm.prng.below(BLK_PERM_ALL + 1);
  const sharedPerm = BLK_PERM_ALL & ~(1 << storm.prng.below(8));
  const { flags } = stormJob;
  const driver: BlockJobDriver = {
    jobType: "stream",
    *coRun(job): Co<number> {
      if (stormJob.ending === "ready") jobTransitionToReady(job);
      while (!stormJob.isOver && !jobIsCancelled(job)) {
        bdrvFilterOrCowChild(bs);
        yield* jobSleepNs(job, 1 + storm.prng.below(WALK_PAUSE_NS));
      }
      return stormJob.ending === "failure" ? -EIO : 0;
    },
    *prepare(): Polls<number> {
      return stormJob.ending === "prepare fails" ? -EIO : 0;
    },
    requestCompletion: (): undefined => {
      stormJob.isOver = true;
    },
  };
  return yield* storm.attempt(function* (): Polls<void> {
    const { job } = yield* blockJobCreate(name, driver, bs, { perm, sharedPerm, flags, txn });
    stormJob.job = job;
  });
}

/** The user pauses a job, or resumes it. */
export function* pauseJob(storm: StormState): Polls<void> {
  const job = storm.pick(storm.jobs)?.job ?? null;
  if (job === null) return;
  yield* storm.attempt(function* (): Polls<void> {
    withJobLock(() => {
      if (jobUserPausedLocked(job)) jobUserResumeLocked(job);
      else jobUserPauseLocked(job);
    });
  });
}

/** The user gives a job a speed, or one that there is not. */
export function* setSpeed(storm: StormState): Polls<void> {
  const blockJob = storm.pick(storm.jobs)?.job?.blockJob ?? null;
  const speed = storm.pick(SPEEDS) ?? 0;
  if (blockJob === null) return;
  yield* storm.attempt(function* (): Polls<void> {
    withJobLock(() => blockJobSetSpeedLocked(blockJob, speed));
  });
}

/** The user tells a job what it does not obey as long as it runs. */
export function* tellJob(storm: StormState): Polls<void> {
  const job = storm.pick(storm.jobs, ({ ending }) => ending !== "ready")?.job ?? null;
  if (job === null) return;
  const verb = storm.pick([jobFinalizeLocked, jobDismissLocked, jobCompleteLocked]);
  if (verb !== undefined) yield* storm.attempt(() => withJobLockPolls(() => verb(job)));
}

/** A job, with all of its transaction, ends by itself, or is cancelled, or told to complete. */
export function* endJob(storm: StormState): Polls<void> {
  const isFree = ({ job }: StormJob): boolean =>
    job !== null && job.pauseCount === (job.userPaused ? 1 : 0);
  const first = storm.pick(storm.jobs, ({ group }) => group.every(isFree));
  if (first === undefined) return;
  for (const stormJob of first.group) storm.jobs.splice(storm.jobs.indexOf(stormJob), 1);
  const jobs = first.group.flatMap(({ job }) => (job === null ? [] : [job]));
  const cancels = jobs.some(({ userPaused }) => userPaused) || storm.prng.chance(1, 3);
  if (cancels && first.job !== null) yield* cancel(storm, first.job);
  else for (const stormJob of first.group) yield* endByItself(stormJob);
  const isPending = ({ status }: Job): boolean => status === "pending";
  const isThrough = ({ status }: Job): boolean => status === "concluded" || status === "null";
  yield* storm.world.until(() => jobs.every(isPending) || jobs.every(isThrough));
  const pending = jobs.find(isPending);
  if (pending !== undefined) yield* withJobLockPolls(() => jobFinalizeLocked(pending));
  for (const job of jobs)
    if (job.status === "concluded") yield* withJobLockPolls(() => jobDismissLocked(job));
}

/** One that was never ready may be told, too: then it is refused, and ends like the others. */
function* endByItself(stormJob: StormJob): Polls<void> {
  const { job } = stormJob;
  if (stormJob.ending === "ready" && job?.status === "ready")
    yield* withJobLockPolls(() => jobCompleteLocked(job));
  stormJob.isOver = true;
}

function* cancel(storm: StormState, job: Job): Polls<void> {
  if (storm.prng.chance(1, 2)) yield* jobCancelSync(job, true);
  else yield* withJobLockPolls(() => jobUserCancelLocked(job, true));
}
