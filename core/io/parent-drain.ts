// Drains travel upwards: an edge tells its parent (a node, a BlockBackend, a job) to send no requests, and asks whether it
// still has some in flight. Each edge counts how often it has told so (`parentQuiesceCounter`), for the balance that
// bdrv_replace_child_noperm keeps when the edge moves.

import { assert, type SectionId } from "../base/index.ts";
import { edgeHome, parentsOf } from "../graph/access.ts";
import type { BdrvChild, BlockDriverState, DrainedEndCounter } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import {
  aioWaitWhile,
  type Co,
  coRunOutside,
  ioOrGsCode,
  machine,
  modelAssert,
  type Polls,
  patchOn,
  qemuInCoroutine,
} from "../sched/index.ts";
import type { DrainWalk } from "./drain.ts";
import { levelFor, removeLevel } from "./sections.ts";

const SITE_BEGIN = site("bdrv_parent_drained_begin");
const SITE_END = site("bdrv_parent_drained_end");
const SITE_POLL = site("bdrv_parent_drained_poll");
const SITE_BEGIN_SINGLE = site("bdrv_parent_drained_begin_single");
const SITE_END_SINGLE = site("bdrv_parent_drained_end_single");
const SITE_PARENT_DRAINED_POLL_SINGLE = site("bdrv_parent_drained_poll_single");

/** bdrv_parent_drained_begin (io.c:47): tell every parent of `bs` that `walk` does not leave out. Does not poll. */
export function bdrvParentDrainedBegin(bs: BlockDriverState, walk: DrainWalk): void {
  ioOrGsCode(bs.aioContext, SITE_BEGIN);
  for (const child of parentsOf(bs, SITE_BEGIN).snapshot()) {
    if (leftOut(child, walk)) continue;
    beginSingleNoPoll(child, walk.section);
  }
}

/** bdrv_parent_drained_end (io.c:80): the mirror image, as a plain loop. Does not poll. */
export function bdrvParentDrainedEnd(
  bs: BlockDriverState,
  walk: DrainWalk,
  counter: DrainedEndCounter,
): void {
  ioOrGsCode(bs.aioContext, SITE_END);
  const parents = parentsOf(bs, SITE_END);
  for (let child = parents.first; child !== null; child = parents.next(child)) {
    if (leftOut(child, walk)) continue;
    endSingleNoPoll(child, walk.section, counter);
  }
}

/**
 * bdrv_parent_drained_poll (io.c:102): whether a parent still has requests in flight.
 * Differs from QEMU: the first busy parent ends the walk.
 */
export function bdrvParentDrainedPoll(bs: BlockDriverState, walk: DrainWalk): boolean {
  ioOrGsCode(bs.aioContext, SITE_POLL);
  for (const child of parentsOf(bs, SITE_POLL).snapshot()) {
    if (leftOut(child, walk)) continue;
    if (bdrvParentDrainedPollSingle(child, walk.section)) return true;
  }
  return false;
}

/** bdrv_parent_drained_poll_single (io.c:94): whether the parent of this edge still has requests in flight. */
export function bdrvParentDrainedPollSingle(child: BdrvChild, section: SectionId): boolean {
  ioOrGsCode(edgeHome(child), SITE_PARENT_DRAINED_POLL_SINGLE);
  assert(child.parentQuiesceCounter >= 0, "a counter of levels is not negative");
  return child.klass.drainedPoll?.(child, section) ?? false;
}

/**
 * bdrv_parent_drained_begin_single (io.c:119): quiesce the parent of one edge, on behalf of `section`, and, with `poll`, wait
 * until it is idle. An edge that comes to a drained node needs it once a level. Polls.
 */
export function* bdrvParentDrainedBeginSingle(
  child: BdrvChild,
  section: SectionId,
  poll: boolean,
): Polls<void> {
  ioOrGsCode(edgeHome(child), SITE_BEGIN_SINGLE);
  const ctx = child.klass.getParentAioContext(child);
  beginSingleNoPoll(child, section);
  assert(child.parentQuiesceCounter > 0, "the edge has quiesced its parent");
  if (!poll) return;
  yield* aioWaitWhile(ctx, () => bdrvParentDrainedPollSingle(child, section), SITE_BEGIN_SINGLE);
}

/** bdrv_parent_drained_end_single (io.c:70): undo the newest level of one edge. Polls, for the drivers' end hooks. */
export function* bdrvParentDrainedEndSingle(child: BdrvChild): Polls<void> {
  ioOrGsCode(edgeHome(child), SITE_END_SINGLE);
  modelAssert(child.parentQuiesceCounter > 0, "c->parent_quiesce_counter > 0", SITE_END_SINGLE);
  const counter = { pending: 0 };
  const ctx = child.klass.getParentAioContext(child);
  const newest = child.quiescedFor[child.quiescedFor.length - 1];
  assert(newest !== undefined, "a quiesced edge has a level");
  endSingleNoPoll(child, newest, counter);
  yield* aioWaitWhile(ctx, () => counter.pending > 0, SITE_END_SINGLE);
}

/**
 * bdrv_parent_drained_begin_single called in a coroutine, without waiting. With patch 2 a parent that is a node is quiesced
 * from outside (bdrv_drained_begin_no_poll); without it QEMU's assertion in bdrv_do_drained_begin_quiesce speaks.
 */
export function* bdrvCoParentDrainedBeginSingle(child: BdrvChild, section: SectionId): Co<void> {
  ioOrGsCode(null, SITE_BEGIN_SINGLE);
  assert(qemuInCoroutine(), "at thread level use bdrvParentDrainedBeginSingle");
  if (!patchOn(2)) {
    beginSingleNoPoll(child, section);
    return;
  }
  yield* coRunOutside(child.klass.getParentAioContext(child), function* (): Polls<void> {
    beginSingleNoPoll(child, section);
  });
}

function beginSingleNoPoll(child: BdrvChild, section: SectionId): void {
  child.quiescedFor.push(section);
  machine.probe.emit(Ev.edge_quiesce, child.id, child.parentQuiesceCounter);
  const polls = child.klass.drainedBegin?.(child, section);
  assert(polls === undefined, "the quiesce phase never polls");
}

/** bdrv_parent_drained_end_single_no_poll (io.c:60). */
function endSingleNoPoll(child: BdrvChild, section: SectionId, counter: DrainedEndCounter): void {
  modelAssert(child.parentQuiesceCounter > 0, "c->parent_quiesce_counter > 0", SITE_END);
  const level = levelFor(child.quiescedFor, section);
  removeLevel(child.quiescedFor, level);
  machine.probe.emit(Ev.edge_quiesce, child.id, child.parentQuiesceCounter);
  const polls = child.klass.drainedEnd?.(child, level, counter);
  assert(polls === undefined, "an end callback never polls");
}

/** The edge that the walk came through, and, in a drain of everything, every parent that is a node. */
function leftOut(child: BdrvChild, walk: DrainWalk): boolean {
  return child === walk.ignore || (walk.ignoreBdsParents && child.klass.parentIsBds);
}
