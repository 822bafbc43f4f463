// Jobs on nodes (C: blockjob.c): a Job with edges to the nodes that it works on, a speed, and a status for the user.
//
// Its edges are child-job.ts; what it does about an I/O error is block-job-error.ts.

import type { BlockDeviceIoStatus } from "../backend/block-backend.ts";
import { assert, EINVAL, type SectionId } from "../base/index.ts";
import { BlockError, settle } from "../graph/block-error.ts";
import { bdrvGetDeviceName } from "../graph/names.ts";
import { bdrvOpUnblock, type OpBlockReason } from "../graph/op-blockers.ts";
import { BLK_PERM_ALL } from "../graph/permission-bits.ts";
import type { BdrvChild, BlockDriverState, EdgeParent } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import {
  type AioContext,
  aioWaitKick,
  globalStateCode,
  ioCode,
  modelAssert,
  type Polls,
  timerPending,
} from "../sched/index.ts";
import { blockJobUserResume } from "./block-job-error.ts";
import { blockJobAddBdrv, blockJobRemoveAllBdrv } from "./child-job.ts";
import { JOB_INTERNAL, type Job, type JobDriver, type JobOptions, type JobType } from "./job.ts";
import { jobEvent } from "./job-events.ts";
import { assertJobLocked, withJobLock, withoutJobLock } from "./job-lock.ts";
import { jobCreate, jobEarlyFail, jobGetLocked, jobNextLocked } from "./life.ts";
import { notifierListAdd } from "./notifier.ts";
import { progressGetSnapshot } from "./progress.ts";
import { RateLimit, ratelimitCalculateDelay, ratelimitSetSpeed } from "./ratelimit.ts";
import { jobEnterCondLocked } from "./run.ts";
import { jobApplyVerbLocked, jobIsInternal, jobIsReadyLocked } from "./status.ts";

const SITE_CREATE = site("block_job_create");
const SITE_SET_SPEED = site("block_job_set_speed_locked");
const SITE_QUERY = site("block_job_query_locked");
const SITE_GET = site("block_job_get_locked");
const SITE_NEXT = site("block_job_next_locked");
const SITE_FREE = site("block_job_free");
const SITE_BLOCK_JOB_GET_AIO_CONTEXT = site("block_job_get_aio_context");
const SITE_BLOCK_JOB_RATELIMIT_GET_DELAY = site("block_job_ratelimit_get_delay");

/** BLOCK_JOB_SLICE_TIME (blockjob.h:33): a job's speed is kept over so long. */
export const BLOCK_JOB_SLICE_TIME_NS = 100_000_000;

const BLOCK_JOB_TYPES: ReadonlySet<JobType> = new Set(["backup", "commit", "mirror", "stream"]);

/** A kind of job on nodes (C: BlockJobDriver). `free` and `userResume` are those of all block jobs. */
export interface BlockJobDriver extends Omit<JobDriver, "free" | "userResume"> {
  /** Whether a busy job has work in flight that a drain must wait for; missing: it has. Runs in the drainer's thread. */
  readonly drainedPoll?: (job: BlockJob) => boolean;
  /** Its speed was changed. Main context. */
  readonly setSpeed?: (job: BlockJob, speed: number) => undefined;
}

/** How a block job is made. */
export interface BlockJobOptions extends JobOptions {
  /** What it needs of its main node (default nothing), and lets others have (default all): BLK_PERM_*. */
  readonly perm?: number;
  readonly sharedPerm?: number;
  /** Units a second, 0 (the default) for no limit. */
  readonly speed?: number;
}

/** C: BlockJob. */
export class BlockJob implements EdgeParent {
  readonly job: Job;
  readonly driver: BlockJobDriver;
  /** Protected by job_mutex. */
  iostatus: BlockDeviceIoStatus = "ok";
  /** Units a second, 0 for no limit. Main context only. */
  speed = 0;
  readonly limit = new RateLimit();
  /** Why other operations on its nodes are refused. */
  readonly blocker: OpBlockReason;
  /** Edges to the nodes that it works on, newest first. Main context only. */
  readonly nodes: BdrvChild[] = [];

  constructor(job: Job, driver: BlockJobDriver) {
    this.job = job;
    this.driver = driver;
    this.blocker = { message: `block device is in use by block job: ${driver.jobType}` };
  }

  /** On whose behalf it is paused: its Job's. */
  get quiescedFor(): SectionId[] {
    return this.job.quiescedFor;
  }
}

/**
 * block_job_create (blockjob.c:471): a job in the context of `bs`, with an edge to it, "main node". Its name is, if null, that
 * of a BlockBackend on `bs`. Without job_mutex; the caller holds the lock of the context (lock regime aio). BlockError when
 * the name or a permission is refused. Polls.
 */
export function* blockJobCreate(
  name: string | null,
  driver: BlockJobDriver,
  bs: BlockDriverState,
  options: BlockJobOptions = {},
): Polls<BlockJob> {
  globalStateCode(SITE_CREATE);
  assert(!bs.closed, "a job works on an open node");
  const isInternal = ((options.flags ?? 0) & JOB_INTERNAL) !== 0;
  const jobName = name === null && !isInternal ? bdrvGetDeviceName(bs) : name;
  const jobDriver = { ...driver, free: blockJobFree, userResume: blockJobUserResume };
  const job = jobCreate(jobName, jobDriver, bs.aioContext, options);
  modelAssert(isBlockJob(job), "is_block_job(&job->job)", SITE_CREATE);
  const blockJob = new BlockJob(job, driver);
  job.blockJob = blockJob;
  listen(blockJob);
  const { perm = 0, sharedPerm = BLK_PERM_ALL, speed = 0 } = options;
  const done = yield* settle(function* (): Polls<void> {
    yield* blockJobAddBdrv(blockJob, "main node", bs, { perm, sharedPerm });
    bdrvOpUnblock(bs, "dataplane", blockJob.blocker);
    withJobLock(() => blockJobSetSpeedLocked(blockJob, speed));
  });
  if (!done.ok) {
    yield* jobEarlyFail(job);
    throw done.error;
  }
  assert(blockJob.nodes.length === 1, "a new job has its main node");
  return blockJob;
}

/** The notifiers of all block jobs: events, and a kick for whoever waits in main until the job is idle. */
function listen(blockJob: BlockJob): void {
  const { job } = blockJob;
  withJobLock(() => {
    notifierListAdd(job.onFinalizeCancelled, () => {
      jobEvent(job, () => ({ event: "BLOCK_JOB_CANCELLED", ...progressOf(blockJob) }));
      return undefined;
    });
    notifierListAdd(job.onFinalizeCompleted, () => {
      const error = job.ret < 0 && job.err !== null ? { error: job.err } : {};
      jobEvent(job, () => ({ event: "BLOCK_JOB_COMPLETED", ...error, ...progressOf(blockJob) }));
      return undefined;
    });
    notifierListAdd(job.onPending, () => {
      const type = job.driver.jobType;
      jobEvent(job, (id) => ({ event: "BLOCK_JOB_PENDING", type, id }));
      return undefined;
    });
    notifierListAdd(job.onReady, () => {
      jobEvent(job, () => ({ event: "BLOCK_JOB_READY", ...progressOf(blockJob) }));
      return undefined;
    });
    notifierListAdd(job.onIdle, () => {
      aioWaitKick();
      return undefined;
    });
  });
}

function progressOf({ job, speed }: BlockJob): {
  type: JobType;
  device: string;
  len: number;
  offset: number;
  speed: number;
} {
  const { current, total } = progressGetSnapshot(job.progress);
  const device = job.name ?? "";
  return { type: job.driver.jobType, device, len: total, offset: current, speed };
}

/** block_job_free (blockjob.c:78): it lets go of its nodes. Polls. */
function* blockJobFree(job: Job): Polls<void> {
  globalStateCode(SITE_FREE);
  assert(job.blockJob !== null, "the job is a block job");
  yield* blockJobRemoveAllBdrv(job.blockJob);
}

/** is_block_job (blockjob.c:40). */
function isBlockJob(job: Job): boolean {
  return BLOCK_JOB_TYPES.has(job.driver.jobType);
}

/** block_job_next_locked (blockjob.c:48): the next block job behind `blockJob`, the newest for null; null when there is none. */
export function blockJobNextLocked(blockJob: BlockJob | null): BlockJob | null {
  globalStateCode(SITE_NEXT);
  assertJobLocked();
  let job = jobNextLocked(blockJob === null ? null : blockJob.job);
  while (job !== null && job.blockJob === null) job = jobNextLocked(job);
  return job === null ? null : job.blockJob;
}

/** block_job_get_locked (blockjob.c:60): the block job called `name`, or null. */
export function blockJobGetLocked(name: string): BlockJob | null {
  globalStateCode(SITE_GET);
  assertJobLocked();
  return jobGetLocked(name)?.blockJob ?? null;
}

/** block_job_get (blockjob.c:72): as blockJobGetLocked, without job_mutex. */
export function blockJobGet(name: string): BlockJob | null {
  globalStateCode(SITE_GET);
  return withJobLock(() => blockJobGetLocked(name));
}

/** block_job_is_internal (blockjob.c:272): nobody outside sees it. Common. */
export function blockJobIsInternal({ job }: BlockJob): boolean {
  return jobIsInternal(job);
}

/** block_job_get_aio_context (blockjob.c:586): where its coroutine runs. */
export function blockJobGetAioContext({ job }: BlockJob): AioContext {
  globalStateCode(SITE_BLOCK_JOB_GET_AIO_CONTEXT);
  return job.aioContext;
}

/**
 * block_job_set_speed_locked (blockjob.c:288): `speed` units a second, 0 for no limit. A job that sleeps for its old limit is
 * woken, unless the new one is lower; with patch 9 it sleeps again until its old deadline, as the series has it. BlockError in a state
 * in which it has no speed, or for a negative one.
 */
export function blockJobSetSpeedLocked(blockJob: BlockJob, speed: number): void {
  globalStateCode(SITE_SET_SPEED);
  assertJobLocked();
  const { job, driver, speed: oldSpeed } = blockJob;
  jobApplyVerbLocked(job, "set-speed");
  if (speed < 0) throw new BlockError(EINVAL, "Parameter 'speed' expects a non-negative value");
  ratelimitSetSpeed(blockJob.limit, speed, BLOCK_JOB_SLICE_TIME_NS);
  blockJob.speed = speed;
  const { setSpeed } = driver;
  if (setSpeed !== undefined) withoutJobLock(() => setSpeed(blockJob, speed));
  if (speed > 0 && speed <= oldSpeed) return;
  jobEnterCondLocked(job, ({ sleepTimer }) => timerPending(sleepTimer));
}

/** block_job_ratelimit_get_delay (blockjob.c:330): `units` were done; how many nanoseconds to sleep for its speed. */
export function blockJobRatelimitGetDelay(blockJob: BlockJob, units: number): number {
  ioCode(null, SITE_BLOCK_JOB_RATELIMIT_GET_DELAY);
  return ratelimitCalculateDelay(blockJob.limit, units);
}

/** What query-block-jobs says of one (C: BlockJobInfo). */
export interface BlockJobInfo {
  readonly type: JobType;
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly busy: boolean;
  readonly paused: boolean;
  readonly speed: number;
  readonly ioStatus: BlockDeviceIoStatus;
  readonly ready: boolean;
  readonly status: Job["status"];
  readonly autoFinalize: boolean;
  readonly autoDismiss: boolean;
  readonly error?: string;
}

/** block_job_query_locked (blockjob.c:336); BlockError for an internal job. */
export function blockJobQueryLocked(blockJob: BlockJob): BlockJobInfo {
  globalStateCode(SITE_QUERY);
  assertJobLocked();
  const { job } = blockJob;
  if (job.name === null) throw new BlockError(EINVAL, "Cannot query QEMU internal jobs");
  return {
    ...progressOf(blockJob),
    busy: job.busy,
    paused: job.pauseCount > 0,
    ioStatus: blockJob.iostatus,
    ready: jobIsReadyLocked(job),
    status: job.status,
    autoFinalize: job.autoFinalize,
    autoDismiss: job.autoDismiss,
    ...(job.ret === 0 ? {} : { error: job.err ?? "" }),
  };
}
