// The drained callbacks of edges whose parent is a node (C: child_of_bds). A drain of the child quiesces the parent node,
// which tells its own parents, up to the BlockBackends and jobs. Called through `BdrvChildClass`, never polls.

import { assert, type SectionId } from "../base/index.ts";
import { edgeHome } from "../graph/access.ts";
import { type BdrvChild, BlockDriverState, type DrainedEndCounter } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioOrGsCode, modelAssert, patchOn, qemuInCoroutine } from "../sched/index.ts";
import { bdrvDoDrainedBeginQuiesce, bdrvDoDrainedEnd, type DrainWalk } from "./drain.ts";
import { bdrvDrainPoll } from "./drain-poll.ts";

const SITE_CHILD_CB_DRAINED_BEGIN = site("bdrv_child_cb_drained_begin");
const SITE_CHILD_CB_DRAINED_POLL = site("bdrv_child_cb_drained_poll");
const SITE_CHILD_CB_DRAINED_END = site("bdrv_child_cb_drained_end");

/**
 * bdrv_child_cb_drained_begin (block.c:1228): the node above this edge sends no more requests.
 * Patch 2: bdrv_drained_begin_no_poll in place of quiescing directly. Differs from QEMU: a coroutine has handed off before it
 * comes here with that patch on (bdrvCoParentDrainedBeginSingle), as this callback runs straight through.
 */
export function bdrvChildCbDrainedBegin(child: BdrvChild, section: SectionId): undefined {
  ioOrGsCode(edgeHome(child), SITE_CHILD_CB_DRAINED_BEGIN);
  if (patchOn(2)) assert(!qemuInCoroutine(), "a coroutine hands off before it quiesces a parent");
  bdrvDoDrainedBeginQuiesce(parentNode(child), upwards(child, section));
}

/** bdrv_child_cb_drained_poll (block.c:1234): whether the node above this edge, or anything above that, is busy. */
export function bdrvChildCbDrainedPoll(child: BdrvChild, section: SectionId): boolean {
  ioOrGsCode(edgeHome(child), SITE_CHILD_CB_DRAINED_POLL);
  return bdrvDrainPoll(parentNode(child), upwards(child, section));
}

/** bdrv_child_cb_drained_end (block.c:1240): undo one level, as bdrv_drained_end_no_poll. */
export function bdrvChildCbDrainedEnd(
  child: BdrvChild,
  section: SectionId,
  counter: DrainedEndCounter,
): undefined {
  ioOrGsCode(edgeHome(child), SITE_CHILD_CB_DRAINED_END);
  modelAssert(!qemuInCoroutine(), "!qemu_in_coroutine()");
  bdrvDoDrainedEnd(parentNode(child), upwards(child, section), counter);
}

function upwards(child: BdrvChild, section: SectionId): DrainWalk {
  return { section, through: child, ignore: null, ignoreBdsParents: false, recursive: false };
}

function parentNode(child: BdrvChild): BlockDriverState {
  assert(child.klass.parentIsBds, "the parent of this edge is a node");
  const bs = child.opaque;
  assert(bs instanceof BlockDriverState, "the parent of this edge is a node");
  return bs;
}
