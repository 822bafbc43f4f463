// The class of root edges (C: child_root): how a BlockBackend answers when the node below it is drained, resized or moved.

import { assert, EPERM, type SectionId } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import type { BdrvChild, BdrvChildClass, DrainedEndCounter } from "../graph/state.ts";
import { type Transaction, tranAdd } from "../graph/transaction.ts";
import { levelFor, removeLevel } from "../io/sections.ts";
import { Ev, Klass } from "../probe/index.ts";
import { type AioContext, machine, modelAssert } from "../sched/index.ts";
import { throttleGroupRestartTgm } from "../throttle/index.ts";
import { blkRootActivate, blkRootInactivate } from "./activate.ts";
import { BlockBackend } from "./block-backend.ts";
import { blkDoSetAioContext, blkGetAioContext } from "./context.ts";
import { blkDevChangeMediaCb } from "./device.ts";
import { wakeQueuedRequests } from "./gate.ts";
import { readBlkInFlight } from "./in-flight.ts";

/** C: child_root. */
export const childRoot: BdrvChildClass = {
  name: "child_root",
  klass: Klass.child_root,
  stayAtNode: false,
  parentIsBds: false,
  getParentDesc: blkRootGetParentDesc,
  getName: (child) => parentOf(child).name,
  getParentAioContext: (child) => blkGetAioContext(parentOf(child)),
  changeAioContext: (child, ctx, _visited, tran) => blkRootChangeAioCtx(child, ctx, tran),
  activate: (child) => blkRootActivate(parentOf(child)),
  inactivate: (child) => blkRootInactivate(parentOf(child)),
  changeMedia: blkRootChangeMedia,
  resize: (child) => parentOf(child).devOps?.resizeCb?.(),
  drainedBegin: blkRootDrainedBegin,
  drainedPoll: blkRootDrainedPoll,
  drainedEnd: blkRootDrainedEnd,
};

/** blk_root_drained_begin (block-backend.c:2528): one level more; the first closes the gate. */
function blkRootDrainedBegin(child: BdrvChild, section: SectionId): undefined {
  const blk = parentOf(child);
  blk.quiescedFor.push(section);
  machine.probe.emit(Ev.blk_quiesce, blk.id, blk.quiesceCounter, section, child.id);
  if (blk.quiesceCounter === 1) blk.devOps?.drainedBegin?.();
  // Requests that wait because of limits are in flight: let them all go on, or the drain would wait as long.
  const tgm = blk.throttleGroupMember;
  tgm.ioLimitsDisabled++;
  if (tgm.ioLimitsDisabled === 1) throttleGroupRestartTgm(tgm);
}

/** blk_root_drained_poll (block-backend.c:2547): whether its user, or itself, has requests in flight. */
function blkRootDrainedPoll(child: BdrvChild, section: SectionId): boolean {
  const blk = parentOf(child);
  modelAssert(blk.quiesceCounter > 0, "blk->quiesce_counter");
  const userBusy = blk.devOps?.drainedPoll?.() ?? false;
  return userBusy || readBlkInFlight(blk, section) > 0;
}

/** blk_root_drained_end (block-backend.c:2559): one level less; the last opens the gate. */
function blkRootDrainedEnd(
  child: BdrvChild,
  section: SectionId,
  _counter: DrainedEndCounter,
): undefined {
  const blk = parentOf(child);
  modelAssert(blk.quiesceCounter > 0, "blk->quiesce_counter");
  const tgm = blk.throttleGroupMember;
  modelAssert(tgm.ioLimitsDisabled > 0, "blk->public.throttle_group_member.io_limits_disabled");
  tgm.ioLimitsDisabled--;
  const level = levelFor(blk.quiescedFor, section);
  removeLevel(blk.quiescedFor, level);
  machine.probe.emit(Ev.blk_unquiesce, blk.id, blk.quiesceCounter, level, child.id);
  if (blk.quiesceCounter > 0) return;
  blk.devOps?.drainedEnd?.();
  wakeQueuedRequests(blk);
}

/** blk_root_change_media (block-backend.c:1099): a device that refuses the medium has it all the same. */
function blkRootChangeMedia(child: BdrvChild, load: boolean): undefined {
  try {
    blkDevChangeMediaCb(parentOf(child), load);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

/** blk_root_change_aio_ctx (block-backend.c:2206): one with a user that does not expect it stays, and so does its graph. */
function blkRootChangeAioCtx(child: BdrvChild, ctx: AioContext, tran: Transaction): undefined {
  const blk = parentOf(child);
  const idle = blk.name !== "" && blk.dev === null;
  if (!blk.allowAioContextChange && !idle)
    throw new BlockError(EPERM, "Cannot change iothread of active block backend");
  tranAdd(tran, {
    name: "blk_root_set_aio_ctx",
    commit: () => blkDoSetAioContext(blk, ctx),
  });
}

/** blk_root_get_parent_desc (block-backend.c:141). */
function blkRootGetParentDesc(child: BdrvChild): string {
  const { name } = parentOf(child);
  return name === "" ? "an unnamed block device" : `block device '${name}'`;
}

function parentOf(child: BdrvChild): BlockBackend {
  const blk = child.opaque;
  assert(blk instanceof BlockBackend, "the parent of a root edge is a BlockBackend");
  return blk;
}
