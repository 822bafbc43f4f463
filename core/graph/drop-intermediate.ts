// Dropping the nodes between an overlay and a base: the last act of a commit job.
//
//      active --> top --> mid --> base        becomes        active --> base
//
// First all parents of `top` move to `base`, in a transaction; then each writes down what its child is called now, which may
// poll. Meanwhile everything in the subtree is drained, so that no job completes and takes an edge away that is still on the
// list. When a name cannot be written, the names that were are written back, and the edges return: QEMU leaves both as they are
// by then (its comment wishes for the way back; docs/rollback.md).

import { assert, EIO } from "../base/index.ts";
import { bdrvSubtreeDrainedBegin, bdrvSubtreeDrainedEnd } from "../io/index.ts";
import { Ev, List, site } from "../probe/index.ts";
import { globalStateCode, machine, type Polls } from "../sched/index.ts";
import { edgeBs, parentsOf } from "./access.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import { bdrvChainContains, bdrvSkipImplicitFilters } from "./chain.ts";
import { placeOf } from "./edge-lists.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvInheritsFromRecursive } from "./inherits-from.ts";
import { bdrvRef, bdrvUnref } from "./node-life.ts";
import { bdrvListRefreshPerms, bdrvTopologicalDfs } from "./permissions.ts";
import { bdrvReplaceChildTran, bdrvReplaceNodeCommon } from "./replace-node.ts";
import { type BdrvChild, BlockDriverState, type EdgePlace } from "./state.ts";
import { inTransaction } from "./transaction.ts";
import { bdrvBackingUpdateFilename } from "./update-filename.ts";

const SITE_DROP = site("bdrv_drop_intermediate");
const SITE_PARENTS = site("bdrv_drop_intermediate/parents");

/** A parent edge of the top as it was before it moved: where, and what its image calls its backing file. */
interface Before {
  readonly edge: BdrvChild;
  readonly place: EdgePlace;
  readonly backingFile: string;
  readonly backingFormat: string;
}

/**
 * bdrv_drop_intermediate (block.c:5584): the parents of `top` take `base`, which is below it, in its place; images name it
 * `backingFile` (default: by its node-name). BlockError EIO when `base` is not below `top`, what an edge is refused with, and
 * what keeps an image from being written; then nothing has changed. Polls.
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
  const moved = parentsOf(top, SITE_PARENTS).snapshot().reverse().map(asItIs);
  yield* bdrvReplaceNodeCommon(top, base, { autoSkip: false, detachSubchain: false });
  const named: Before[] = [];
  const outcome = yield* settle(() => writeNames(moved, named, base, backingFile));
  if (!outcome.ok) yield* goBack(moved, named, top, base);
  unwrap(outcome);
  if (updateInheritsFrom) base.inheritsFrom = explicitTop.inheritsFrom;
}

function asItIs(edge: BdrvChild): Before {
  const image = edge.opaque instanceof BlockDriverState ? edge.opaque : null;
  return {
    edge,
    place: placeOf(edge, SITE_PARENTS),
    backingFile: image?.backingFile ?? "",
    backingFormat: image?.backingFormat ?? "",
  };
}

/** Have each image name `base`; `named` grows by those that do. */
function* writeNames(
  moved: readonly Before[],
  named: Before[],
  base: BlockDriverState,
  backingFile: string,
): Polls<void> {
  machine.probe.emit(Ev.iter_begin, List.parents, base.id, SITE_PARENTS);
  const outcome = yield* settle(function* (): Polls<void> {
    for (const before of moved) {
      const polls = before.edge.klass.updateFilename?.(before.edge, base, backingFile);
      if (polls === undefined) continue;
      yield* polls;
      named.push(before);
    }
  });
  machine.probe.emit(Ev.iter_end, List.parents, base.id, SITE_PARENTS);
  unwrap(outcome);
}

/**
 * The old names, then the edges, last moved first. An image that cannot be written again keeps its new name and its new place:
 * the two agree, as they do when all goes well.
 */
function* goBack(
  moved: readonly Before[],
  named: readonly Before[],
  top: BlockDriverState,
  base: BlockDriverState,
): Polls<void> {
  const staying = new Set<BdrvChild>();
  for (const { edge, backingFile, backingFormat } of [...named].reverse()) {
    const image = edge.opaque as BlockDriverState;
    const outcome = yield* settle(() =>
      bdrvBackingUpdateFilename(image, backingFile, backingFormat),
    );
    if (!outcome.ok) staying.add(edge);
  }
  yield* inTransaction(function* (tran): Polls<void> {
    for (const { edge, place } of moved) {
      // While names were written, which polls, an edge may have gone elsewhere.
      if (staying.has(edge) || edgeBs(edge, SITE_PARENTS) !== base) continue;
      yield* bdrvReplaceChildTran(edge, top, tran, place);
    }
    yield* bdrvListRefreshPerms(bdrvTopologicalDfs([base, top]), tran);
  });
}
