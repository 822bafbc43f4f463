// Draining a node with everything below it (QEMU up to 7.2), and what an edge does that joins or leaves such a subtree.
//
// A subtree drain raises `recursiveQuiesceCounter` on each node that it reaches downwards. An edge that is attached to such a
// node drains its child as often (apply), an edge that is detached undoes that (unapply). Reference, section 2.4, has the
// arithmetic. The `…Unlocked` twins (patch 7) are for callers that do not hold the lock of the node's context.

import { assert, type SiteId } from "../base/index.ts";
import { edgeBs, edgeHome } from "../graph/access.ts";
import type { BdrvChild, BlockDriverState } from "../graph/state.ts";
import { Drain, site } from "../probe/index.ts";
import { ioOrGsCode, type Polls } from "../sched/index.ts";
import {
  bdrvDoDrainedBegin,
  bdrvDoDrainedEnd,
  type DrainOptions,
  drainedBegin,
  drainedEnd,
  drainWait,
} from "./drain.ts";
import { bdrvDrainPoll } from "./drain-poll.ts";
import { sectionPollEnded } from "./sections.ts";

const SITE_APPLY = site("bdrv_apply_subtree_drain");
const SITE_UNAPPLY = site("bdrv_unapply_subtree_drain");
const SITE_SUBTREE_DRAINED_BEGIN = site("bdrv_subtree_drained_begin");
const SITE_SUBTREE_DRAINED_END = site("bdrv_subtree_drained_end");
const SITE_SUBTREE_DRAINED_BEGIN_UNLOCKED = site("bdrv_subtree_drained_begin_unlocked");
const SITE_SUBTREE_DRAINED_END_UNLOCKED = site("bdrv_subtree_drained_end_unlocked");

const LOCKED: DrainOptions = { kind: Drain.subtree, unlocked: false };
const UNLOCKED: DrainOptions = { kind: Drain.subtree, unlocked: true };

/** bdrv_subtree_drained_begin (io.c:484): drain `bs` and everything below it. Polls. */
export function* bdrvSubtreeDrainedBegin(bs: BlockDriverState, siteId: SiteId): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_SUBTREE_DRAINED_BEGIN);
  yield* drainedBegin(bs, LOCKED, siteId);
}

/** bdrv_subtree_drained_end (io.c:566): undo one bdrv_subtree_drained_begin. Polls. */
export function* bdrvSubtreeDrainedEnd(bs: BlockDriverState, siteId: SiteId): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_SUBTREE_DRAINED_END);
  yield* drainedEnd(bs, LOCKED, siteId);
}

/** bdrv_subtree_drained_begin_unlocked (patch 7): for callers without the lock of the node's context. Polls. */
export function* bdrvSubtreeDrainedBeginUnlocked(
  bs: BlockDriverState,
  siteId: SiteId,
): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_SUBTREE_DRAINED_BEGIN_UNLOCKED);
  yield* drainedBegin(bs, UNLOCKED, siteId);
}

/** bdrv_subtree_drained_end_unlocked (patch 7): for callers without the lock of the node's context. Polls. */
export function* bdrvSubtreeDrainedEndUnlocked(bs: BlockDriverState, siteId: SiteId): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_SUBTREE_DRAINED_END_UNLOCKED);
  yield* drainedEnd(bs, UNLOCKED, siteId);
}

/**
 * bdrv_apply_subtree_drain (io.c:574): `child` was attached to `newParent`: drain the node behind it once for every subtree
 * drain that `newParent` is in, on behalf of that drain's section. Polls once a level.
 */
export function* bdrvApplySubtreeDrain(child: BdrvChild, newParent: BlockDriverState): Polls<void> {
  ioOrGsCode(edgeHome(child), SITE_APPLY);
  assert(child.opaque === newParent, "the edge belongs to the parent");
  for (let level = 0; level < newParent.recursiveQuiesceCounter; level++) {
    const bs = edgeBs(child, SITE_APPLY);
    assert(bs !== null, "an edge that is attached points at a node");
    const section = newParent.recursiveQuiescedFor[level];
    assert(section !== undefined, "each level of a subtree drain has a section");
    const walk = {
      section,
      through: child,
      ignore: child,
      ignoreBdsParents: false,
      recursive: true,
    };
    bdrvDoDrainedBegin(bs, walk);
    yield* drainWait(bs, () => bdrvDrainPoll(bs, walk), false, SITE_APPLY);
    sectionPollEnded(section);
  }
}

/**
 * bdrv_unapply_subtree_drain (io.c:584): `child` was detached from `oldParent`: undo what apply did. The levels are all
 * lowered before the one wait. Polls.
 */
export function* bdrvUnapplySubtreeDrain(
  child: BdrvChild,
  oldParent: BlockDriverState,
): Polls<void> {
  ioOrGsCode(edgeHome(child), SITE_UNAPPLY);
  assert(child.opaque === oldParent, "the edge belongs to the parent");
  const bs = edgeBs(child, SITE_UNAPPLY);
  assert(bs !== null, "an edge that is detached still points at its node");
  const counter = { pending: 0 };
  for (const section of oldParent.recursiveQuiescedFor) {
    const walk = {
      section,
      through: child,
      ignore: child,
      ignoreBdsParents: false,
      recursive: true,
    };
    bdrvDoDrainedEnd(bs, walk, counter);
  }
  yield* drainWait(bs, () => counter.pending > 0, false, SITE_UNAPPLY);
}
