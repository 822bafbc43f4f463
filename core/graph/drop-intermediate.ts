// Dropping the nodes between an overlay and a base: the last act of a commit job.
//
//      active --> top --> mid --> base        becomes        active --> base
//
// First all parents of `top` move to `base`, in a transaction; then each writes down what its child is called now, which may
// poll. Meanwhile everything in the subtree is drained, so that no job completes and takes an edge away that is still on the
// list. When a name cannot be written, the edges stay where they are now: QEMU cannot go back from there either.

import { assert, EIO } from "../base/index.ts";
import { bdrvSubtreeDrainedBegin, bdrvSubtreeDrainedEnd } from "../io/index.ts";
import { Ev, List, site } from "../probe/index.ts";
import { globalStateCode, machine, type Polls } from "../sched/index.ts";
import { parentsOf } from "./access.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import { bdrvChainContains, bdrvSkipImplicitFilters } from "./chain.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvInheritsFromRecursive } from "./inherits-from.ts";
import { bdrvRef, bdrvUnref } from "./node-life.ts";
import { bdrvReplaceNodeCommon } from "./replace-node.ts";
import type { BdrvChild, BlockDriverState } from "./state.ts";

const SITE_DROP = site("bdrv_drop_intermediate");
const SITE_PARENTS = site("bdrv_drop_intermediate/parents");

/**
 * bdrv_drop_intermediate (block.c:5584): the parents of `top` take `base`, which is below it, in its place; images name it
 * `backingFile` (default: by its node-name). BlockError EIO when `base` is not below `top`, and what an edge is refused with;
 * then no edge has moved. BlockError when an image cannot be written: then all have. Polls.
 */
export function* bdrvDropIntermediate(
  top: BlockDriverState,
  base: BlockDriverState,
  backingFile: string | null = null,
): Polls<void> {
  globalStateCode(SITE_DROP);
  assert(top !== base, "something is to be dropped");
  assert(!top.closed, "the top is open");
  bdrvRef(top);
  yield* graphOp(SITE_DROP, function* (): Polls<void> {
    yield* bdrvSubtreeDrainedBegin(top, SITE_DROP);
    const outcome = yield* settle(() => dropDrained(top, base, backingFile ?? base.nodeName));
    yield* bdrvSubtreeDrainedEnd(top, SITE_DROP);
    yield* bdrvUnref(top);
    unwrap(outcome);
  });
}

function* dropDrained(
  top: BlockDriverState,
  base: BlockDriverState,
  backingFile: string,
): Polls<void> {
  if (!bdrvChainContains(top, base)) {
    const chain = `'${base.nodeName}' is not in the backing chain of '${top.nodeName}'`;
    throw new BlockError(EIO, chain);
  }
  // Nobody inherits from an implicit node: what was made by the options of `top` was made by those of the node it hides.
  const explicitTop = bdrvSkipImplicitFilters(top);
  const updateInheritsFrom = bdrvInheritsFromRecursive(base, explicitTop);
  // The list of parents itself is emptied by the replacement. QEMU collects it backwards.
  const updated = parentsOf(top, SITE_PARENTS).snapshot().reverse();
  yield* bdrvReplaceNodeCommon(top, base, { autoSkip: false, detachSubchain: false });
  yield* writeNames(updated, base, backingFile);
  if (updateInheritsFrom) base.inheritsFrom = explicitTop.inheritsFrom;
}

function* writeNames(
  updated: readonly BdrvChild[],
  base: BlockDriverState,
  backingFile: string,
): Polls<void> {
  machine.probe.emit(Ev.iter_begin, List.parents, base.id, SITE_PARENTS);
  const outcome = yield* settle(function* (): Polls<void> {
    for (const edge of updated) {
      const polls = edge.klass.updateFilename?.(edge, base, backingFile);
      if (polls !== undefined) yield* polls;
    }
  });
  machine.probe.emit(Ev.iter_end, List.parents, base.id, SITE_PARENTS);
  unwrap(outcome);
}
