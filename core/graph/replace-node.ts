// Replacing a node by another in all its parents, as one transaction: bdrv_replace_node, bdrv_drop_filter, bdrv_append,
// and the replacement behind one edge that BlockBackends use.
//
// Edges that stay where they are: a job's (stay_at_node), and any that leads back to the node from below its replacement,
// which would close a cycle. With `autoSkip` they are left out, else the operation is refused. Permissions are refreshed when
// all edges have moved: on the way there may be two writers where in the end there is one.

import { assert, EINVAL, EPERM, must } from "../base/index.ts";
import { Ev, List, site } from "../probe/index.ts";
import { globalStateCode, machine, modelAssert, type Polls, patchOn } from "../sched/index.ts";
import { backingOf, childrenOf, edgeBs, parentsOf } from "./access.ts";
import { bdrvAttachChildNoperm } from "./attach.ts";
import { type BeforeCommit, bdrvBackingRole, bdrvRemoveChild } from "./backing.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import { bdrvChainContains, bdrvFilterOrCowBs, bdrvFilterOrCowChild } from "./chain.ts";
import { placeOf } from "./edge-lists.ts";
import { withDrained, withSubtreeDrained } from "./edit-drains.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvRef, bdrvUnref } from "./node-life.ts";
import { bdrvListRefreshPerms, bdrvRefreshPerms, bdrvTopologicalDfs } from "./permissions.ts";
import { bdrvReplaceChildNoperm } from "./replace-child.ts";
import type { BdrvChild, BlockDriverState, EdgePlace } from "./state.ts";
import { inTransaction, type Transaction, tranAdd, tranFaultPoint } from "./transaction.ts";

const SITE_REPLACE_NODE = site("bdrv_replace_node");
const SITE_DROP_FILTER = site("bdrv_drop_filter");
const SITE_APPEND = site("bdrv_append");
const SITE_REPLACE_CHILD_BS = site("bdrv_replace_child_bs");
const SITE_COMMON = site("bdrv_replace_node_common");
const SITE_NOPERM = site("bdrv_replace_node_noperm");
const SITE_SHOULD_UPDATE = site("should_update_child");
const SITE_TRAN = site("bdrv_replace_child_tran");
const SITE_ABORT = site("bdrv_replace_child_abort");
const SITE_COMMIT = site("bdrv_replace_child_commit");

/** bdrv_replace_node (block.c:5195): all parents of `from` but those that cannot point at `to` instead. Polls. */
export function* bdrvReplaceNode(from: BlockDriverState, to: BlockDriverState): Polls<void> {
  globalStateCode(SITE_REPLACE_NODE);
  assert(!from.closed, "the node that is replaced has a driver");
  assert(!to.closed, "the replacement has a driver");
  yield* graphOp(SITE_REPLACE_NODE, () =>
    bdrvReplaceNodeCommon(from, to, { autoSkip: true, detachSubchain: false }),
  );
}

/** bdrv_drop_filter (block.c:5203): take the filter `bs` out of the graph; it stays with who holds references. Polls. */
export function* bdrvDropFilter(bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_DROP_FILTER);
  assert(!bs.closed, "the filter has a driver");
  const filtered = must(bdrvFilterOrCowBs(bs), "a filter in a graph has a filtered child");
  assert(filtered !== bs, "a node does not filter itself");
  yield* graphOp(SITE_DROP_FILTER, () =>
    bdrvReplaceNodeCommon(bs, filtered, { autoSkip: true, detachSubchain: true }),
  );
}

/**
 * bdrv_append (block.c:5223): put `bsNew`, which has no backing file, above `bsTop`: it overlays or filters it, and takes its
 * parents. Polls.
 */
export function* bdrvAppend(
  bsNew: BlockDriverState,
  bsTop: BlockDriverState,
  beforeCommit: BeforeCommit = () => undefined,
): Polls<void> {
  globalStateCode(SITE_APPEND);
  assert(bsNew !== bsTop, "a node is not put above itself");
  assert(!bsTop.closed, "the node below has a driver");
  modelAssert(backingOf(bsNew, SITE_APPEND) === null, "!bs_new->backing", SITE_APPEND);
  const edit = function* (tran: Transaction): Polls<void> {
    yield* bdrvAttachChildNoperm(bsNew, bsTop, "backing", bdrvBackingRole(bsNew), tran);
    yield* bdrvReplaceNodeNoperm(bsTop, bsNew, true, tran);
    yield* bdrvRefreshPerms(bsNew, tran);
    beforeCommit(tran);
  };
  yield* graphOp(SITE_APPEND, () =>
    withSubtreeDrained([bsNew, bsTop], "unlocked", SITE_APPEND, () => inTransaction(edit)),
  );
}

/** bdrv_replace_child_bs (block.c:5257): point `child`, which is not empty, at `newBs` (blk_replace_bs). Polls. */
export function* bdrvReplaceChildBs(child: BdrvChild, newBs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_REPLACE_CHILD_BS);
  assert(!newBs.closed, "the replacement has a driver");
  const oldBs = must(edgeBs(child, SITE_REPLACE_CHILD_BS), "the edge is not empty");
  const nodes = [oldBs, newBs];
  const replace = function* (tran: Transaction): Polls<void> {
    yield* bdrvReplaceChildTran(child, newBs, tran);
    yield* bdrvListRefreshPerms(bdrvTopologicalDfs([oldBs, newBs]), tran);
  };
  const edit = (): Polls<void> => inTransaction(replace);
  bdrvRef(oldBs);
  const outcome = yield* settle(() =>
    graphOp(SITE_REPLACE_CHILD_BS, () =>
      patchOn(10)
        ? withSubtreeDrained(nodes, "unlocked", SITE_REPLACE_CHILD_BS, edit)
        : withDrained(nodes, SITE_REPLACE_CHILD_BS, edit),
    ),
  );
  yield* bdrvUnref(oldBs);
  unwrap(outcome);
}

/** How bdrv_replace_node_common goes about it. */
export interface ReplaceNodeOptions {
  /** Leave out edges that cannot be moved, instead of refusing. */
  readonly autoSkip: boolean;
  /** `to` is in the chain below `from`: cut the edge above it. */
  readonly detachSubchain: boolean;
}

/** bdrv_replace_node_common (block.c:5127): the parents of `from` go to `to`; BlockError when one cannot. Polls. */
export function* bdrvReplaceNodeCommon(
  from: BlockDriverState,
  to: BlockDriverState,
  { autoSkip, detachSubchain }: ReplaceNodeOptions,
): Polls<void> {
  globalStateCode(SITE_COMMON);
  const cowParent = detachSubchain ? parentInChain(from, to) : null;
  // `from` must not die when its last parent has gone to `to`.
  bdrvRef(from);
  modelAssert(
    from.aioContext === to.aioContext,
    "bdrv_get_aio_context(from) == bdrv_get_aio_context(to)",
    SITE_COMMON,
  );
  const edit = function* (tran: Transaction): Polls<void> {
    yield* bdrvReplaceNodeNoperm(from, to, autoSkip, tran);
    const link = cowParent === null ? null : bdrvFilterOrCowChild(cowParent);
    if (link !== null) yield* bdrvRemoveChild(link, tran);
    yield* bdrvListRefreshPerms(bdrvTopologicalDfs([to, from]), tran);
  };
  const outcome = yield* settle(() =>
    patchOn(10)
      ? withSubtreeDrained([from, to], "unlocked", SITE_COMMON, () => inTransaction(edit))
      : withDrained([from], SITE_COMMON, () => inTransaction(edit)),
  );
  yield* bdrvUnref(from);
  unwrap(outcome);
}

/** The node of the chain from `from` whose filtered or backing child is `to`. */
function parentInChain(from: BlockDriverState, to: BlockDriverState): BlockDriverState {
  modelAssert(bdrvChainContains(from, to), "bdrv_chain_contains(from, to)", SITE_COMMON);
  modelAssert(from !== to, "from != to", SITE_COMMON);
  let bs = from;
  for (;;) {
    const below = must(bdrvFilterOrCowBs(bs), "the chain leads to the node");
    if (below === to) return bs;
    bs = below;
  }
}

/** bdrv_replace_node_noperm (block.c:5087): move each edge above `from` to `to`, in the order of the list. Polls. */
function* bdrvReplaceNodeNoperm(
  from: BlockDriverState,
  to: BlockDriverState,
  autoSkip: boolean,
  tran: Transaction,
): Polls<void> {
  globalStateCode(SITE_NOPERM);
  const parents = parentsOf(from, SITE_NOPERM);
  machine.probe.emit(Ev.iter_begin, List.parents, from.id, SITE_NOPERM);
  const outcome = yield* settle(function* (): Polls<void> {
    // As QLIST_FOREACH_SAFE: the next edge is picked before this one moves, and the move polls.
    for (let edge = parents.first; edge !== null; ) {
      const next = parents.next(edge);
      modelAssert(edgeBs(edge, SITE_NOPERM) === from, "c->bs == from", SITE_NOPERM);
      if (mayMove(edge, from, to, autoSkip)) yield* bdrvReplaceChildTran(edge, to, tran);
      edge = next;
    }
  });
  machine.probe.emit(Ev.iter_end, List.parents, from.id, SITE_NOPERM);
  unwrap(outcome);
}

function mayMove(
  edge: BdrvChild,
  from: BlockDriverState,
  to: BlockDriverState,
  autoSkip: boolean,
): boolean {
  if (!shouldUpdateChild(edge, to)) {
    if (autoSkip) return false;
    throw new BlockError(EINVAL, `Should not change '${edge.name}' link to '${from.nodeName}'`);
  }
  if (edge.frozen)
    throw new BlockError(EPERM, `Cannot change '${edge.name}' link to '${from.nodeName}'`);
  return true;
}

/** should_update_child (block.c:4973): false for an edge that stays, or that is found below `to` (breadth first). */
function shouldUpdateChild(edge: BdrvChild, to: BlockDriverState): boolean {
  if (edge.klass.stayAtNode) return false;
  const found = new Set([to]);
  for (const bs of found) {
    const children = childrenOf(bs, SITE_SHOULD_UPDATE);
    for (let child = children.first; child !== null; child = children.next(child)) {
      if (child === edge) return false;
      const below = edgeBs(child, SITE_SHOULD_UPDATE);
      // A set that grows while it is walked is a queue without repetitions.
      if (below !== null) found.add(below);
    }
  }
  return true;
}

/**
 * bdrv_replace_child_tran (block.c:2431): point `child` at `newBs`, in its lists at `newPlace` when it had one there; `tran`
 * holds the old node until it knows. Polls.
 */
export function* bdrvReplaceChildTran(
  child: BdrvChild,
  newBs: BlockDriverState | null,
  tran: Transaction,
  newPlace: EdgePlace | null = null,
): Polls<void> {
  globalStateCode(SITE_TRAN);
  assert(!tran.finalised, "the transaction is open");
  const oldBs = must(edgeBs(child, SITE_TRAN), "the edge is not empty");
  const place = placeOf(child, SITE_TRAN);
  tranAdd(tran, {
    name: "bdrv_replace_child",
    commit: () => replaceChildCommit(oldBs),
    abort: () => replaceChildAbort(child, oldBs, place),
  });
  if (newBs !== null) bdrvRef(newBs);
  yield* bdrvReplaceChildNoperm(child, newBs, newPlace);
  assert(child.rawBs === newBs, "the edge points where it was asked to");
  tranFaultPoint("bdrv_replace_child_tran");
}

/** bdrv_replace_child_commit (block.c:2404): the edge's old reference goes. Polls. */
function* replaceChildCommit(oldBs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_COMMIT);
  yield* bdrvUnref(oldBs);
}

/** bdrv_replace_child_abort (block.c:2412): back to the old node, whose reference returns to the edge. Polls. */
function* replaceChildAbort(
  child: BdrvChild,
  oldBs: BlockDriverState,
  place: EdgePlace,
): Polls<void> {
  globalStateCode(SITE_ABORT);
  const newBs = edgeBs(child, SITE_ABORT);
  yield* bdrvReplaceChildNoperm(child, oldBs, place);
  yield* bdrvUnref(newBs);
}
