// Edges whose parent is a block job (C: child_job, blockjob.c). A drain of the node pauses the job, and waits until it is idle;
// the edge stays at its node when that is replaced, and takes the job along to another AioContext.

import { assert, type SectionId } from "../base/index.ts";
import { bdrvChildChangeAioContext } from "../graph/aio-context.ts";
import { bdrvRootAttachChild } from "../graph/attach.ts";
import { settle, unwrap } from "../graph/block-error.ts";
import { bdrvRootUnrefChild } from "../graph/detach.ts";
import { bdrvRef } from "../graph/node-life.ts";
import { bdrvOpBlockAll, bdrvOpUnblockAll } from "../graph/op-blockers.ts";
import { BLK_PERM_ALL } from "../graph/permission-bits.ts";
import type { BdrvChild, BdrvChildClass, BlockDriverState } from "../graph/state.ts";
import { type Transaction, tranAdd } from "../graph/transaction.ts";
import { Ev, Klass, site } from "../probe/index.ts";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  globalStateCode,
  ioCode,
  machine,
  type Polls,
} from "../sched/index.ts";
import { BlockJob } from "./block-job.ts";
import { withJobLock } from "./job-lock.ts";
import { jobPause, jobResume } from "./pause.ts";
import { jobIsCompletedLocked } from "./status.ts";
import { jobSetAioContext } from "./sync.ts";

const SITE_ADD = site("block_job_add_bdrv");
const SITE_POLL = site("child_job_drained_poll");
const SITE_HAS = site("block_job_has_bdrv");
const SITE_REMOVE_ALL = site("block_job_remove_all_bdrv");

/** C: child_job. */
export const childJob: BdrvChildClass = {
  name: "child_job",
  klass: Klass.child_job,
  stayAtNode: true,
  parentIsBds: false,
  getParentDesc: (child) => {
    const { job } = jobOf(child);
    return `${job.driver.jobType} job '${job.name}'`;
  },
  getParentAioContext: (child) => withJobLock(() => jobOf(child).job.aioContext),
  changeAioContext: childJobChangeAioContext,
  drainedBegin: (child, section) => {
    jobPause(jobOf(child).job, section, child);
    return undefined;
  },
  drainedPoll: childJobDrainedPoll,
  drainedEnd: (child, section) => {
    jobResume(jobOf(child).job, section, child);
    return undefined;
  },
};

/** child_job_drained_poll (blockjob.c:102): a job that is not busy has nothing in flight, and none of its code runs before a pause. */
function childJobDrainedPoll(child: BdrvChild, section: SectionId): boolean {
  ioCode(null, SITE_POLL);
  const blockJob = jobOf(child);
  const { job } = blockJob;
  const isBusy = withJobLock(() => {
    machine.probe.emit(Ev.job_busy_read, job.id, job.busy ? 1 : 0, section);
    return job.busy && !jobIsCompletedLocked(job);
  });
  return isBusy && (blockJob.driver.drainedPoll?.(blockJob) ?? true);
}

/** child_job_change_aio_ctx (blockjob.c:146): all nodes of the job move, and the job with them. Polls. */
function* childJobChangeAioContext(
  child: BdrvChild,
  ctx: AioContext,
  visited: Set<BdrvChild>,
  tran: Transaction,
): Polls<void> {
  const { nodes, job } = jobOf(child);
  for (const sibling of nodes) yield* bdrvChildChangeAioContext(sibling, ctx, visited, tran);
  tranAdd(tran, {
    name: "child_job_set_aio_ctx",
    commit: () => {
      jobSetAioContext(job, ctx);
      return undefined;
    },
  });
}

/** What a job asks of a node, and lets its other parents have: BLK_PERM_*. */
export interface JobPermissions {
  readonly perm: number;
  readonly sharedPerm: number;
}

/**
 * block_job_add_bdrv (blockjob.c:223): an edge from the job to `bs`, with a reference of its own. The caller holds the lock of
 * the job's context (lock regime aio). BlockError when the two cannot be in one context, or a permission is refused. Polls.
 */
export function* blockJobAddBdrv(
  blockJob: BlockJob,
  name: string,
  bs: BlockDriverState,
  permissions: JobPermissions = { perm: 0, sharedPerm: BLK_PERM_ALL },
): Polls<void> {
  globalStateCode(SITE_ADD);
  assert(name.length > 0, "an edge has a name");
  const { job } = blockJob;
  const isElsewhere = bs.aioContext !== job.aioContext;
  bdrvRef(bs);
  if (isElsewhere && job.aioContext !== machine.mainContext) aioContextRelease(job.aioContext);
  const spec = { name, klass: childJob, role: 0, opaque: blockJob, parentId: job.id };
  const attached = yield* settle(() => bdrvRootAttachChild(bs, { ...spec, ...permissions }));
  // Asked again: to agree with its node, the job may have moved.
  if (isElsewhere && job.aioContext !== machine.mainContext)
    yield* aioContextAcquire(job.aioContext);
  blockJob.nodes.unshift(unwrap(attached));
  bdrvOpBlockAll(bs, blockJob.blocker);
  assert(blockJob.nodes[0]?.rawBs === bs, "the new edge leads to the node");
}

/** block_job_remove_all_bdrv (blockjob.c:190): detach the nodes one by one; detaching walks the same list. Polls. */
export function* blockJobRemoveAllBdrv(blockJob: BlockJob): Polls<void> {
  globalStateCode(SITE_REMOVE_ALL);
  const { nodes } = blockJob;
  for (let child = nodes.shift(); child !== undefined; child = nodes.shift()) {
    assert(child.rawBs !== null, "an edge of a job leads to a node");
    bdrvOpUnblockAll(child.rawBs, blockJob.blocker);
    yield* bdrvRootUnrefChild(child);
  }
  assert(nodes.length === 0, "the job has no node any more");
}

/** block_job_has_bdrv (blockjob.c:209): whether it works on `bs`. */
export function blockJobHasBdrv(blockJob: BlockJob, bs: BlockDriverState): boolean {
  globalStateCode(SITE_HAS);
  assert(!bs.closed, "a node that is asked for is open");
  return blockJob.nodes.some((child) => child.rawBs === bs);
}

function jobOf(child: BdrvChild): BlockJob {
  assert(child.opaque instanceof BlockJob, "the parent of this edge is a job");
  return child.opaque;
}
