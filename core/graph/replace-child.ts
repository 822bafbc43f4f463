// Replacing the node behind one edge: the one function through which every edit of `children` and `parents` goes.
//
// The edge keeps its own drain count (`parentQuiesceCounter`). Whatever happens here, the parent must stay quiesced exactly
// as often as the node that the edge now points at: one begin too few lets a request slip through, one end too few stops
// the guest for ever. The move may poll in up to four places (begin, detach, attach, end), and anything can run there.
//
// Patch 3: unlink from the old node's parents while its subtree drain still holds, not after `detach` has un-applied it.
// Patch 4: the mirror image, `attach` applies the subtree drain before the new node's parents are edited. Its price: the
// edge misses what begins or ends on the new node while `attach` polls. Who may call: attach.ts, detach.ts,
// replace-node.ts, and rollbacks. No drains are begun here: the operation that runs the transaction holds them.

import { bdrvParentDrainedBeginSingle, bdrvParentDrainedEndSingle } from "../io/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, modelAssert, type Polls, patchOn } from "../sched/index.ts";
import { edgeBs } from "./access.ts";
import { insertIntoParents, removeFromParents, setEdgeBs } from "./edge-lists.ts";
import { levelsNotIn, retargetLevels } from "./quiesce-ledger.ts";
import type { BdrvChild, BlockDriverState, EdgePlace } from "./state.ts";
import { assertBdrvGraphWritable } from "./writable.ts";

const SITE = site("bdrv_replace_child_noperm");
const SITE_UNLINK = site("bdrv_replace_child_noperm/unlink");
const SITE_LINK = site("bdrv_replace_child_noperm/link");

/**
 * bdrv_replace_child_noperm (block.c:2829): point `child` at `newBs`, or at nothing.
 * Contract: global state; both nodes in one AioContext; the edge is not frozen; permissions are the caller's business.
 * Polls. Patches 3, 4 and 11 show here. Differs from QEMU: a rollback says in which `place` of both lists the edge was, where
 * C links it at their heads.
 */
export function* bdrvReplaceChildNoperm(
  child: BdrvChild,
  newBs: BlockDriverState | null,
  place: EdgePlace | null = null,
): Polls<void> {
  globalStateCode(SITE);
  const oldBs = edgeBs(child, SITE);
  modelAssert(!child.frozen, "!child->frozen", SITE);
  modelAssert(oldBs !== newBs, "old_bs != new_bs", SITE);
  if (oldBs !== null && newBs !== null) {
    const sameContext = oldBs.aioContext === newBs.aioContext;
    modelAssert(sameContext, "bdrv_get_aio_context(old_bs) == bdrv_get_aio_context(new_bs)", SITE);
  }
  const newQuiesceCounter = newBs === null ? 0 : newBs.quiesceCounter;
  let drainSaldo = newQuiesceCounter - child.parentQuiesceCounter;

  // The new node is drained more often: stop the parent, and let what it sent to the old node finish.
  if (newBs !== null && drainSaldo > 0) {
    yield* quiesceParent(child, newBs, drainSaldo);
    drainSaldo = 0;
  }
  if (oldBs !== null) yield* leave(child, oldBs);
  setEdgeBs(child, newBs, SITE);
  if (newBs !== null) {
    yield* enter(child, newBs, place, () => {
      // Leaving may have un-applied a subtree drain that reached the new node too.
      modelAssert(
        newBs.quiesceCounter <= newQuiesceCounter,
        "new_bs->quiesce_counter <= new_bs_quiesce_counter",
        SITE,
      );
      drainSaldo += newBs.quiesceCounter - newQuiesceCounter;
    });
  }
  // The new node is drained less often: let the parent send again, now that it reaches the new node.
  for (; drainSaldo < 0; drainSaldo++) yield* bdrvParentDrainedEndSingle(child);
}

/** Raise the parent's levels that `newBs` has and `child` lacks, one poll each. Polls. */
function* quiesceParent(child: BdrvChild, newBs: BlockDriverState, count: number): Polls<void> {
  const missing = levelsNotIn(newBs.quiescedFor, child.quiescedFor);
  for (const section of missing.slice(-count))
    yield* bdrvParentDrainedBeginSingle(child, section, true);
}

/** Take `child` out of its parent's children and out of `oldBs`'s parents, in the order that patch 3 says. Polls. */
function* leave(child: BdrvChild, oldBs: BlockDriverState): Polls<void> {
  const unlinkFirst = patchOn(3);
  if (unlinkFirst) unlink(child, oldBs);
  if (child.klass.detach !== undefined) yield* child.klass.detach(child);
  if (!unlinkFirst) unlink(child, oldBs);
}

/** Put `child` into `newBs`'s parents and its parent's children, in the order that patch 4 says. Polls. */
function* enter(
  child: BdrvChild,
  newBs: BlockDriverState,
  place: EdgePlace | null,
  settleSaldo: () => void,
): Polls<void> {
  const attachFirst = patchOn(4);
  if (!attachFirst) link(child, newBs, place);
  settleSaldo();
  retargetLevels(child, newBs);
  if (child.klass.attach !== undefined) yield* child.klass.attach(child, place);
  if (attachFirst) link(child, newBs, place);
}

function unlink(child: BdrvChild, oldBs: BlockDriverState): void {
  assertBdrvGraphWritable(oldBs, SITE_UNLINK);
  removeFromParents(oldBs, child, SITE_UNLINK);
}

function link(child: BdrvChild, newBs: BlockDriverState, place: EdgePlace | null): void {
  assertBdrvGraphWritable(newBs, SITE_LINK);
  insertIntoParents(newBs, child, SITE_LINK, place);
}
