// A mirror: a job that makes one node a copy of another, while guests write, and then may put the copy in its place.
//
//      guest                          guest                             guest
//        |                              |                                 |
//      source        mirror_start   mirror_top <--main node-- job       target      complete, or, cancelled: source
//                     ─────────→        |                     ||
//                                     source <---source-------+|
//                                                              |
//                                     target <---target--------+<--root-- the job's BlockBackend
//
// All of these are in one AioContext, and move together. What the job does: mirror-run.ts; how it ends: mirror-exit.ts; the
// filter: mirror-top.ts. Not here yet: active commit (a target below the source), sync `top`, the choice of another node to
// replace, backing files of the target, error policies, copies in parallel and write-blocking ones.
//
// drained_poll answers for the job by what it knows better than `busy`: in a drained section of its own it is idle but for its
// requests, or it would wait for itself. That it says so to main as well, and goes on, is QEMU's mistake B35
// (tests/qemu/bdrv-drain-parallel.ts); `core/` does what 7.2 does.

import { blkInsertBs, blkNew, blkSetAllowAioContextChange, blkUnref } from "../../backend/index.ts";
import { assert, EBUSY, EINVAL, ENOTSUP, must } from "../../base/index.ts";
import { backingOf, edgeBs } from "../../graph/access.ts";
import { BlockError, settle, unwrap } from "../../graph/block-error.ts";
import { bdrvChainContains, bdrvSkipFilters } from "../../graph/chain.ts";
import { bdrvUnref } from "../../graph/node-life.ts";
import { bdrvOpenDriver } from "../../graph/open-node.ts";
import {
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
} from "../../graph/permission-bits.ts";
import { bdrvAppend, bdrvReplaceNode } from "../../graph/replace-node.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "../../io/drain.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { site } from "../../probe/index.ts";
import { globalStateCode, type Polls } from "../../sched/index.ts";
import { type BlockJob, type BlockJobDriver, blockJobCreate } from "../block-job.ts";
import { blockJobAddBdrv } from "../child-job.ts";
import type { Job, JobOptions } from "../job.ts";
import { withJobLock } from "../job-lock.ts";
import { jobEarlyFail } from "../life.ts";
import { jobEnterCondLocked, jobStart } from "../run.ts";
import { jobIsCancelledLocked, jobIsReady } from "../status.ts";
import { DirtyChunks } from "./dirty-chunks.ts";
import { mirrorExitCommon, refreshPermsOfStopped } from "./mirror-exit.ts";
import { mirrorRun, mirrorStateOf } from "./mirror-run.ts";
import { mirrorTopDriver, mirrorTopStateOf } from "./mirror-top.ts";
import { MirrorState, type MirrorSyncMode, MirrorTopState } from "./state.ts";

const SITE_START = site("mirror_start_job");

/** Bytes of a chunk (C: bdrv_get_default_bitmap_granularity for a target without clusters). */
const DEFAULT_GRANULARITY = 65_536;

const SHARED_WITH_GUESTS = BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED | BLK_PERM_WRITE;

/** How a mirror is started. */
export interface MirrorOptions extends Omit<JobOptions, "txn" | "opaque"> {
  readonly sync: MirrorSyncMode;
  /** Node-name of the filter; without one users do not see it. */
  readonly filterNodeName?: string;
  readonly granularity?: number;
  /** Bytes a second, 0 (the default) for no limit. */
  readonly speed?: number;
}

const mirrorJobDriver: BlockJobDriver = {
  jobType: "mirror",
  coRun: mirrorRun,
  prepare: mirrorExitCommon,
  *abort(job): Polls<void> {
    const ret = yield* mirrorExitCommon(job);
    assert(ret === 0, "a mirror that is given up replaces nothing");
  },
  requestCompletion: mirrorComplete,
  // Before it is ready, a cancel is one by force.
  cancel: (job, force) => force || !jobIsReady(job),
  drainedPoll: mirrorDrainedPoll,
};

/**
 * mirror_start (block/mirror.c:1888): start to mirror `bs` to `target`, which has the same length and is in no graph with it.
 * The caller holds the lock of the context of `bs` (lock regime aio). BlockError when the job's name, a permission or a
 * context is refused; the graph is as before then. Polls.
 */
export function* mirrorStart(
  name: string | null,
  bs: BlockDriverState,
  target: BlockDriverState,
  options: MirrorOptions,
): Polls<BlockJob> {
  globalStateCode(SITE_START);
  const { granularity = DEFAULT_GRANULARITY, filterNodeName = "" } = options;
  assert(Number.isInteger(Math.log2(granularity)), "a granularity is a power of 2");
  refuseTarget(bs, target);
  const length = bdrvGetlength(bs);
  if (length < 0) throw new BlockError(-length, "Could not inquire source image size");
  const topBs = yield* insertFilter(bs, length, filterNodeName);
  const created = yield* settle(() => createJob(name, topBs, bs, target, options, granularity));
  if (!created.ok) {
    yield* removeFilter(topBs);
    throw created.error;
  }
  // The job holds it.
  yield* bdrvUnref(topBs);
  jobStart(created.value.job);
  return created.value;
}

function refuseTarget(bs: BlockDriverState, target: BlockDriverState): void {
  if (bdrvSkipFilters(bs) === bdrvSkipFilters(target))
    throw new BlockError(EINVAL, "Can't mirror node into itself");
  // Differs from QEMU: there this is an active commit.
  if (bdrvChainContains(bs, target))
    throw new BlockError(ENOTSUP, "Cannot mirror to a node in the source's backing chain");
  if (bdrvChainContains(bs, bdrvSkipFilters(target))) {
    const what = "a filter on top of a node in the source's backing chain";
    throw new BlockError(EINVAL, `Cannot mirror to ${what}`);
  }
}

/** The filter above `bs`, with one reference, the caller's. Polls. */
function* insertFilter(
  bs: BlockDriverState,
  totalBytes: number,
  filterNodeName: string,
): Polls<BlockDriverState> {
  const topBs = yield* bdrvOpenDriver(mirrorTopDriver, filterNodeName, {
    totalBytes,
    requestAlignment: bs.requestAlignment,
    opaque: new MirrorTopState(),
  });
  topBs.implicit = filterNodeName === "";
  // It can always be dropped.
  topBs.neverFreeze = true;
  yield* bdrvDrainedBegin(bs, SITE_START);
  const appended = yield* settle(() => bdrvAppend(topBs, bs));
  yield* bdrvDrainedEnd(bs, SITE_START);
  if (!appended.ok) yield* bdrvUnref(topBs);
  unwrap(appended);
  return topBs;
}

/** The job with all its edges. Nobody else may resize the source, or do anything to the target, while it runs. Polls. */
function* createJob(
  name: string | null,
  topBs: BlockDriverState,
  bs: BlockDriverState,
  target: BlockDriverState,
  { sync, speed = 0, flags = 0, cb }: MirrorOptions,
  granularity: number,
): Polls<BlockJob> {
  const blockJob = yield* blockJobCreate(name, mirrorJobDriver, topBs, {
    perm: BLK_PERM_CONSISTENT_READ,
    sharedPerm: SHARED_WITH_GUESTS,
    speed,
    flags,
    ...(cb === undefined ? {} : { cb }),
  });
  const { job } = blockJob;
  const blk = blkNew(job.aioContext, {
    perm: BLK_PERM_WRITE,
    sharedPerm: BLK_PERM_WRITE_UNCHANGED,
  });
  const state = new MirrorState(sync, topBs, blk, new DirtyChunks(topBs.totalBytes, granularity));
  job.opaque = state;
  mirrorTopStateOf(topBs).job = state;
  const done = yield* settle(function* (): Polls<void> {
    yield* blkInsertBs(blk, target);
    blk.forceAllowInactivate = true;
    blkSetAllowAioContextChange(blk, true);
    blk.disableRequestQueuing = true;
    yield* blockJobAddBdrv(blockJob, "source", bs, { perm: 0, sharedPerm: SHARED_WITH_GUESTS });
    yield* blockJobAddBdrv(blockJob, "target", target);
  });
  if (!done.ok) {
    mirrorTopStateOf(topBs).job = null;
    yield* blkUnref(blk);
    yield* jobEarlyFail(job);
    throw done.error;
  }
  return blockJob;
}

/** The way back from insertFilter, with its reference. Polls. */
function* removeFilter(topBs: BlockDriverState): Polls<void> {
  yield* refreshPermsOfStopped(topBs);
  const edge = must(backingOf(topBs, SITE_START), "the filter has its source");
  yield* bdrvReplaceNode(topBs, must(edgeBs(edge, SITE_START), "the source is there"));
  yield* bdrvUnref(topBs);
}

/** mirror_complete (block/mirror.c:1127): end with the target in place of the source, as soon as they are the same. */
function mirrorComplete(job: Job): undefined {
  if (!jobIsReady(job))
    throw new BlockError(EBUSY, `The active block job '${job.name}' cannot be completed`);
  mirrorStateOf(job).shouldComplete = true;
  withJobLock(() => {
    // One that is paused looks when it is resumed.
    if (!job.paused) jobEnterCondLocked(job);
  });
}

/** mirror_drained_poll (block/mirror.c:1176); see the file comment. */
function mirrorDrainedPoll({ job }: BlockJob): boolean {
  const { inDrain, inFlight } = mirrorStateOf(job);
  const isAtWork = withJobLock(() => !job.paused && !jobIsCancelledLocked(job) && !inDrain);
  return isAtWork || inFlight > 0;
}
