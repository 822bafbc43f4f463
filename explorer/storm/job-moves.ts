// The part that jobs play in a storm: up to four of them walk the chains below their nodes, while drains pause them, the user
// pauses them too, and nodes move below them.
//
// A job ends only in the move that ends it, so that no completion changes the graph in the middle of another operation that the
// storm compares. One that a drain keeps paused cannot end before the section does: it is left alone.

import { BLK_PERM_ALL, bdrvFilterOrCowChild } from "#core/graph";
import {
  type BlockJobDriver,
  blockJobCreate,
  type Job,
  jobCancelSync,
  jobIsCancelled,
  jobSleepNs,
  jobStart,
  jobUserPausedLocked,
  jobUserPauseLocked,
  jobUserResumeLocked,
  withJobLock,
} from "#core/jobs";
import type { Co, Polls } from "#core/sched";
import type { StormState } from "./storm-state.ts";

const JOBS_MAX = 4;
/** Pause of a job between two walks, at most. */
const WALK_PAUSE_NS = 5_000;

/** A job of the storm; it goes on until `isOver`. */
export interface StormJob {
  readonly job: Job;
  isOver: boolean;
}

export function* startJob(storm: StormState): Polls<void> {
  const bs = storm.pick(storm.nodes());
  if (bs === undefined || storm.jobs.length >= JOBS_MAX) return;
  const name = storm.name("job");
  const perm = storm.prng.below(BLK_PERM_ALL + 1);
  const sharedPerm = BLK_PERM_ALL & ~(1 << storm.prng.below(8));
  const own: { stormJob: StormJob | null } = { stormJob: null };
  const driver: BlockJobDriver = {
    jobType: "stream",
    *coRun(job): Co<number> {
      while (own.stormJob?.isOver !== true && !jobIsCancelled(job)) {
        bdrvFilterOrCowChild(bs);
        yield* jobSleepNs(job, 1 + storm.prng.below(WALK_PAUSE_NS));
      }
      return 0;
    },
  };
  yield* storm.attempt(function* (): Polls<void> {
    const { job } = yield* blockJobCreate(name, driver, bs, { perm, sharedPerm });
    own.stormJob = { job, isOver: false };
  });
  if (own.stormJob === null) return;
  storm.jobs.push(own.stormJob);
  jobStart(own.stormJob.job);
}

/** The user pauses a job, or resumes it. */
export function* pauseJob(storm: StormState): Polls<void> {
  const { job } = storm.pick(storm.jobs) ?? { job: null };
  if (job === null) return;
  yield* storm.attempt(function* (): Polls<void> {
    withJobLock(() => {
      if (jobUserPausedLocked(job)) jobUserResumeLocked(job);
      else jobUserPauseLocked(job);
    });
  });
}

/** A job ends by itself, or is cancelled. */
export function* endJob(storm: StormState): Polls<void> {
  const stormJob = storm.pick(storm.jobs, ({ job }) => job.pauseCount === (job.userPaused ? 1 : 0));
  if (stormJob === undefined) return;
  storm.jobs.splice(storm.jobs.indexOf(stormJob), 1);
  const { job } = stormJob;
  if (job.userPaused || storm.prng.chance(1, 2)) {
    yield* jobCancelSync(job, true);
    return;
  }
  stormJob.isOver = true;
  yield* storm.world.until(() => job.status === "null");
}
