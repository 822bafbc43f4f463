// What a mirror does in its coroutine: it copies dirty chunks, one after the other, until none is left, and then is ready: from
// there on it follows the guest's writes, until it is told to end or cancelled. It ends inside of a drained section of the
// source, which main ends when the graph is as it shall be (mirror-exit.ts).
//
// Where this ends: QEMU copies many chunks at a time and as wide as they are dirty, skips what reads as zero, writes to the
// target in the guest's request if asked to (write-blocking), and has a policy for errors. Here an error ends the job.

import { blkCoFlush, blkCoPwritev, blkGetlength } from "../../backend/index.ts";
import { assert, EINVAL } from "../../base/index.ts";
import { backingOf, edgeBs } from "../../graph/access.ts";
import type { BdrvChild, BlockDriverState, Qiov } from "../../graph/state.ts";
import { bdrvCoDrainedBegin, bdrvCoDrainedEnd } from "../../io/co-drain.ts";
import { qiovOf } from "../../io/guest-copy.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { site } from "../../probe/index.ts";
import { type Co, hostAllocate, ioCode, modelAssert } from "../../sched/index.ts";
import { BLOCK_JOB_SLICE_TIME_NS, blockJobRatelimitGetDelay } from "../block-job.ts";
import type { Job } from "../job.ts";
import { jobPausePoint } from "../pause.ts";
import { jobProgressSetRemaining, jobProgressUpdate } from "../progress.ts";
import { jobSleepNs, jobTransitionToReady, jobYield } from "../run.ts";
import { jobCancelRequested, jobIsCancelled, jobIsReady } from "../status.ts";
import { MirrorState } from "./state.ts";

const SITE_RUN = site("mirror_run");

/** The state of a mirror job. Common. */
export function mirrorStateOf(job: Job): MirrorState {
  assert(job.opaque instanceof MirrorState, "the job is a mirror");
  return job.opaque;
}

/** mirror_run (block/mirror.c:894): 0 or a negated errno; the source is drained on return. */
export function* mirrorRun(job: Job): Co<number> {
  ioCode(job.aioContext, SITE_RUN);
  const state = mirrorStateOf(job);
  const { bs } = sourceOf(state);
  const ret = yield* mirror(job, state, bs);
  assert(state.inFlight === 0, "nothing of the job is in flight at its end");
  if (!state.inDrain) {
    state.inDrain = true;
    yield* bdrvCoDrainedBegin(bs, SITE_RUN);
  }
  return ret;
}

function* mirror(job: Job, state: MirrorState, bs: BlockDriverState): Co<number> {
  const { target } = state;
  modelAssert(target !== null, "s->target", SITE_RUN);
  if (jobIsCancelled(job)) return 0;
  const length = bdrvGetlength(bs);
  if (length < 0) return length;
  const targetLength = blkGetlength(target);
  if (targetLength < 0) return targetLength;
  if (length !== targetLength) {
    job.err = "Source and target image have different sizes";
    return -EINVAL;
  }
  if (length === 0) return yield* waitForCompletion(job, state);
  if (state.sync === "full") state.dirty.set(0, length);
  return yield* copyUntilTold(job, state, bs);
}

/** There is nothing to copy, and never will be. */
function* waitForCompletion(job: Job, state: MirrorState): Co<number> {
  jobTransitionToReady(job);
  while (!jobCancelRequested(job) && !state.shouldComplete) yield* jobYield(job);
  return 0;
}

function* copyUntilTold(job: Job, state: MirrorState, bs: BlockDriverState): Co<number> {
  const { dirty } = state;
  const buffer = qiovOf(hostAllocate(dirty.granularity));
  for (;;) {
    yield* jobPausePoint(job);
    if (jobIsCancelled(job)) return 0;
    jobProgressSetRemaining(job, dirty.dirtyBytes);
    let delayNs = 0;
    if (dirty.dirtyBytes > 0) {
      const copied = yield* copyChunk(job, state, buffer);
      if (copied < 0) return copied;
      assert(job.blockJob !== null, "a mirror is a block job");
      delayNs = blockJobRatelimitGetDelay(job.blockJob, copied);
    } else {
      const ret = yield* beReady(job, state);
      if (ret < 0) return ret;
      if (state.shouldComplete || jobCancelRequested(job)) {
        const done = yield* endInStep(state, bs);
        if (done !== "not yet") return done;
        continue;
      }
      delayNs = BLOCK_JOB_SLICE_TIME_NS;
    }
    yield* jobSleepNs(job, delayNs);
  }
}

/** mirror_iteration and mirror_read_complete: one chunk. Bytes, or a negated errno; then the chunk is dirty again. */
function* copyChunk(job: Job, state: MirrorState, buffer: Qiov): Co<number> {
  const { dirty, target } = state;
  // Clean from before the read: a write that ends from here on marks it once more.
  const chunk = dirty.take();
  assert(chunk !== null, "there is something to copy");
  assert(target !== null, "a mirror at work has its target");
  const { offset, bytes } = chunk;
  state.inFlight++;
  let ret = yield* bdrvCoPreadv(sourceOf(state).edge, offset, bytes, buffer);
  if (ret >= 0) ret = yield* blkCoPwritev(target, offset, bytes, buffer);
  state.inFlight--;
  if (ret < 0) {
    dirty.set(offset, bytes);
    return ret;
  }
  jobProgressUpdate(job, bytes);
  return bytes;
}

/** All is copied for the first time: from now on a cancel leaves the target as good as the source. */
function* beReady(job: Job, state: MirrorState): Co<number> {
  if (jobIsReady(job)) return 0;
  const ret = yield* flushTarget(state);
  if (ret >= 0) jobTransitionToReady(job);
  return ret;
}

/** Drain the source: if nothing is dirty then, both are the same, and stay so; else there is more to copy first. */
function* endInStep(state: MirrorState, bs: BlockDriverState): Co<number | "not yet"> {
  state.inDrain = true;
  yield* bdrvCoDrainedBegin(bs, SITE_RUN);
  if (state.dirty.dirtyBytes === 0) {
    const ret = yield* flushTarget(state);
    modelAssert(bs.trackedRequests.length === 0, "QLIST_EMPTY(&bs->tracked_requests)", SITE_RUN);
    return Math.min(ret, 0);
  }
  yield* bdrvCoDrainedEnd(bs, SITE_RUN);
  state.inDrain = false;
  return "not yet";
}

/** mirror_flush (block/mirror.c:883). */
function* flushTarget({ target }: MirrorState): Co<number> {
  assert(target !== null, "a mirror at work has its target");
  return yield* blkCoFlush(target);
}

function sourceOf({ topBs }: MirrorState): {
  readonly edge: BdrvChild;
  readonly bs: BlockDriverState;
} {
  const edge = backingOf(topBs, SITE_RUN);
  modelAssert(edge !== null, "s->mirror_top_bs->backing", SITE_RUN);
  const bs = edgeBs(edge, SITE_RUN);
  modelAssert(bs !== null, "s->mirror_top_bs->backing->bs", SITE_RUN);
  return { edge, bs };
}
