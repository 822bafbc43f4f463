// What a mirror leaves behind, in the main context: the filter goes, and the target is in place of the source if it was told to
// complete. The source is drained, by the job's coroutine at its end, and stays so until the graph is as it shall be.

import { blkBs, blkUnref } from "../../backend/index.ts";
import { assert, EPERM, must } from "../../base/index.ts";
import { backingOf, edgeBs } from "../../graph/access.ts";
import { settle, unwrap } from "../../graph/block-error.ts";
import { bdrvRef, bdrvUnref } from "../../graph/node-life.ts";
import { bdrvChildRefreshPerms } from "../../graph/permissions.ts";
import { bdrvReopenSetReadOnly } from "../../graph/reopen.ts";
import { bdrvReplaceNode } from "../../graph/replace-node.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "../../io/drain.ts";
import { site } from "../../probe/index.ts";
import { globalStateCode, modelAssert, type Polls } from "../../sched/index.ts";
import { blockJobRemoveAllBdrv } from "../child-job.ts";
import type { Job } from "../job.ts";
import { mirrorStateOf } from "./mirror-run.ts";
import { mirrorTopStateOf } from "./mirror-top.ts";
import type { MirrorState } from "./state.ts";

const SITE_EXIT = site("mirror_exit_common");

/**
 * mirror_exit_common (block/mirror.c:650): from `prepare` and from `abort`, whichever comes first. 0, or -EPERM when the target
 * could not take the place of the source. Polls.
 */
export function* mirrorExitCommon(job: Job): Polls<number> {
  globalStateCode(SITE_EXIT);
  const state = mirrorStateOf(job);
  if (state.prepared) return 0;
  state.prepared = true;
  const { topBs, target } = state;
  assert(target !== null, "a mirror that ends has its target");
  const src = below(topBs);
  const targetBs = must(blkBs(target, SITE_EXIT), "the target has its node");
  // They must outlive the edits below, which take away all that holds them.
  for (const bs of [src, topBs, targetBs]) bdrvRef(bs);
  yield* letGo(state);
  const swaps = state.shouldComplete && job.ret >= 0;
  const ret = swaps ? yield* takePlaceOf(state, src, targetBs) : 0;
  yield* bdrvUnref(targetBs);
  yield* dropFilter(job, topBs);
  mirrorTopStateOf(topBs).job = null;
  yield* bdrvDrainedEnd(src, SITE_EXIT);
  yield* bdrvDrainedEnd(topBs, SITE_EXIT);
  state.inDrain = false;
  yield* bdrvUnref(topBs);
  yield* bdrvUnref(src);
  return ret;
}

/**
 * Give up every permission: that of writing the target, in the way of those who take it over, and those on the source, which
 * the filter's parents have no use for from now on. So the filter stays drained. Polls.
 */
function* letGo(state: MirrorState): Polls<void> {
  const { topBs, target } = state;
  state.target = null;
  if (target !== null) yield* blkUnref(target);
  yield* bdrvDrainedBegin(topBs, SITE_EXIT);
  yield* refreshPermsOfStopped(topBs);
}

/** The filter at `topBs` asks nothing of the node below any more. Polls. */
export function* refreshPermsOfStopped(topBs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_EXIT);
  mirrorTopStateOf(topBs).stop = true;
  const edge = must(backingOf(topBs, SITE_EXIT), "the filter has its source");
  yield* bdrvChildRefreshPerms(topBs, edge);
}

/** The parents of the source get the target. Polls. */
function* takePlaceOf(
  state: MirrorState,
  src: BlockDriverState,
  targetBs: BlockDriverState,
): Polls<number> {
  const done = yield* settle(function* (): Polls<void> {
    if (targetBs.readOnly !== src.readOnly) yield* bdrvReopenSetReadOnly(targetBs, src.readOnly);
    modelAssert(state.inDrain, "s->in_drain", SITE_EXIT);
    // The job's own requests are over; others may use the target.
    yield* bdrvDrainedBegin(targetBs, SITE_EXIT);
    const replaced = yield* settle(() => bdrvReplaceNode(src, targetBs));
    yield* bdrvDrainedEnd(targetBs, SITE_EXIT);
    unwrap(replaced);
  });
  return done.ok ? 0 : -EPERM;
}

/** The job lets go of its nodes, and the filter's parents get the node below it, which may be the target by now. Polls. */
function* dropFilter({ blockJob }: Job, topBs: BlockDriverState): Polls<void> {
  assert(blockJob !== null, "a mirror is a block job");
  yield* blockJobRemoveAllBdrv(blockJob);
  yield* bdrvReplaceNode(topBs, below(topBs));
}

function below(topBs: BlockDriverState): BlockDriverState {
  const edge = must(backingOf(topBs, SITE_EXIT), "the filter has its source");
  return must(edgeBs(edge, SITE_EXIT), "the source is there");
}
