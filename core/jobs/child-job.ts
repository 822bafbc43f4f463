// Edges whose parent is a job (C: child_job, blockjob.c). A drain of the node pauses the job, and waits until it is idle; the
// edge stays at its node when that is replaced.

import { assert, type SectionId } from "../base/index.ts";
import {
  type BdrvChild,
  type BdrvChildClass,
  type BlockDriverState,
  bdrvChildChangeAioContext,
  bdrvRef,
  bdrvRootAttachChild,
  bdrvRootUnrefChild,
  type Transaction,
  tranAdd,
} from "../graph/index.ts";
import { Ev, Klass, site } from "../probe/index.ts";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  globalStateCode,
  machine,
  type Polls,
} from "../sched/index.ts";
import { Job, type JobDriver, jobCreate, jobPause, jobResume, jobSetAioContext } from "./job.ts";

const SITE_CREATE = site("block_job_create");
const SITE_ADD = site("block_job_add_bdrv");
const SITE_REMOVE_ALL = site("block_job_remove_all_bdrv");

/** C: child_job. */
export const childJob: BdrvChildClass = {
  name: "child_job",
  klass: Klass.child_job,
  stayAtNode: true,
  parentIsBds: false,
  getParentDesc: (child) => `${jobOf(child).driver.jobType} job '${jobOf(child).name}'`,
  getParentAioContext: (child) => jobOf(child).aioContext,
  changeAioContext: childJobChangeAioContext,
  drainedBegin: (child, section) => {
    jobPause(jobOf(child), section, child);
    return undefined;
  },
  drainedPoll: childJobDrainedPoll,
  drainedEnd: (child, section) => {
    jobResume(jobOf(child), section, child);
    return undefined;
  },
};

/** child_job_drained_poll (blockjob.c:102): a job that is not busy has nothing in flight, and none of its code runs before a pause. */
function childJobDrainedPoll(child: BdrvChild, section: SectionId): boolean {
  const job = jobOf(child);
  machine.probe.emit(Ev.job_busy_read, job.id, job.busy ? 1 : 0, section);
  if (!job.busy || job.completed) return false;
  return job.driver.drainedPoll?.(job) ?? true;
}

/** child_job_change_aio_ctx (blockjob.c:146): all nodes of the job move, and the job with them. Polls. */
function* childJobChangeAioContext(
  child: BdrvChild,
  ctx: AioContext,
  visited: Set<BdrvChild>,
  tran: Transaction,
): Polls<void> {
  const job = jobOf(child);
  for (const sibling of job.nodes) yield* bdrvChildChangeAioContext(sibling, ctx, visited, tran);
  tranAdd(tran, {
    name: "child_job_set_aio_ctx",
    commit: () => {
      jobSetAioContext(job, ctx);
      return undefined;
    },
  });
}

/** block_job_create (blockjob.c:471): a job in the context of `bs`, with an edge to it, "main node". Polls. */
export function* blockJobCreate(
  name: string,
  driver: JobDriver,
  bs: BlockDriverState,
  opaque: unknown = null,
): Polls<Job> {
  globalStateCode(SITE_CREATE);
  assert(!bs.closed, "a job works on an open node");
  const job = jobCreate(name, driver, bs.aioContext, opaque);
  yield* blockJobAddBdrv(job, "main node", bs);
  assert(job.nodes.length === 1, "a new job has its main node");
  return job;
}

/**
 * block_job_add_bdrv (blockjob.c:223): an edge from `job` to `bs`, with a reference of its own. The caller holds the lock of
 * the job's context (lock regime aio). BlockError when the two cannot be in one context. Polls.
 */
export function* blockJobAddBdrv(job: Job, name: string, bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_ADD);
  assert(!job.completed, "a job that completes takes no further node");
  assert(name.length > 0, "an edge has a name");
  const jobContext = job.aioContext;
  const swapLocks = bs.aioContext !== jobContext && jobContext !== machine.mainContext;
  bdrvRef(bs);
  if (swapLocks) aioContextRelease(jobContext);
  const spec = { name, klass: childJob, role: 0, opaque: job, parentId: job.id };
  const child = yield* bdrvRootAttachChild(bs, spec);
  if (swapLocks) yield* aioContextAcquire(jobContext);
  job.nodes.unshift(child);
}

/** block_job_remove_all_bdrv (blockjob.c:190): detach the nodes one by one; detaching walks the same list. Polls. */
export function* blockJobRemoveAllBdrv(job: Job): Polls<void> {
  globalStateCode(SITE_REMOVE_ALL);
  assert(!job.busy, "a job that lets go of its nodes is idle");
  for (let child = job.nodes.shift(); child !== undefined; child = job.nodes.shift())
    yield* bdrvRootUnrefChild(child);
  assert(job.nodes.length === 0, "the job has no node any more");
}

function jobOf(child: BdrvChild): Job {
  assert(child.opaque instanceof Job, "the parent of this edge is a job");
  return child.opaque;
}
