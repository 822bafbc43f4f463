// Refreshing permissions after an edit of the graph: every edge below the nodes that changed gets what its parent now needs,
// parents before children, and a conflict undoes the whole edit.
//
// A node's cumulative permissions are those of all edges above it; its driver derives from them what it asks of each child
// (`childPerm`). The order is topological, because a node below two parents may only be judged when both have their new
// permissions: a writer that changes branch would else conflict with its own past. All changes are actions of the edit's
// transaction. Edits themselves (the files that end in _noperm functions) come first, the refresh last.

import { assert, EINVAL, EPERM } from "../base/index.ts";
import { alignUp, BDRV_SECTOR_SIZE } from "../io/limits.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, modelAssert, type Polls } from "../sched/index.ts";
import { childrenOf, edgeBs, parentsOf } from "./access.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import { bdrvDefaultPerms, bdrvIsWritableAfterReopen } from "./default-perms.ts";
import {
  BLK_PERM_ALL,
  BLK_PERM_ANY_WRITE,
  BLK_PERM_RESIZE,
  bdrvPermNames,
  type Permissions,
} from "./permission-bits.ts";
import type { BdrvChild, BlockDriverState, WritableAfterReopen } from "./state.ts";
import {
  type Transaction,
  tranAbort,
  tranAdd,
  tranCommit,
  tranFaultPoint,
  tranNew,
} from "./transaction.ts";

const SITE_LIST = site("bdrv_list_refresh_perms");
const SITE_NODE = site("bdrv_node_refresh_perm");
const SITE_CUMULATIVE = site("bdrv_get_cumulative_perm");
const SITE_CONFLICT = site("bdrv_parent_perms_conflict");
const SITE_ALLOW = site("bdrv_a_allow_b");
const SITE_DFS = site("bdrv_topological_dfs");
const SITE_REFRESH = site("bdrv_refresh_perms");
const SITE_TRY_SET = site("bdrv_child_try_set_perm");
const SITE_CHILD_REFRESH = site("bdrv_child_refresh_perms");
const SITE_CHILD_PERM = site("bdrv_child_perm");
const SITE_CHILD_SET_PERM = site("bdrv_child_set_perm");

/**
 * bdrv_refresh_perms (block.c:2596): refresh `bs` and everything below it, as part of `tran`; with null, in a transaction of
 * its own, which is over on return. BlockError when a permission cannot be had; then `tran` is to be aborted. Polls.
 * Differs from QEMU 7.2, where it always has its own: the caller's can still be aborted after a refresh that succeeded.
 */
export function* bdrvRefreshPerms(bs: BlockDriverState, tran: Transaction | null): Polls<void> {
  globalStateCode(SITE_REFRESH);
  assert(!bs.closed, "a closed node has no permissions");
  const list = bdrvTopologicalDfs([bs]);
  if (tran !== null) {
    assert(!tran.finalised, "the transaction is open");
    return yield* bdrvListRefreshPerms(list, tran);
  }
  const own = tranNew();
  const outcome = yield* settle(() => refreshList(list, own, null));
  if (outcome.ok) yield* tranCommit(own);
  else yield* tranAbort(own);
  unwrap(outcome);
}

/**
 * bdrv_list_refresh_perms (block.c:2526): refresh the nodes of `list`, a result of bdrvTopologicalDfs, as part of `tran`.
 * `reopen` says which nodes will be writable when reopens under way are done. BlockError as bdrvRefreshPerms. Polls.
 */
export function* bdrvListRefreshPerms(
  list: readonly BlockDriverState[],
  tran: Transaction,
  reopen: WritableAfterReopen | null = null,
): Polls<void> {
  globalStateCode(SITE_LIST);
  assert(list.length > 0, "there is something to refresh");
  assert(!tran.finalised, "the transaction is open");
  yield* refreshList(list, tran, reopen);
  tranFaultPoint("bdrv_list_refresh_perms");
}

function* refreshList(
  list: readonly BlockDriverState[],
  tran: Transaction,
  reopen: WritableAfterReopen | null,
): Polls<void> {
  for (const bs of list) {
    refuseParentPermsConflict(bs);
    yield* bdrvNodeRefreshPerm(bs, reopen, tran);
  }
}

/**
 * bdrv_topological_dfs (block.c:2300): `roots` and everything below them, each node once and before all of its children; the
 * last root comes first, unless it is below another.
 */
export function bdrvTopologicalDfs(roots: readonly BlockDriverState[]): BlockDriverState[] {
  globalStateCode(SITE_DFS);
  assert(roots.length > 0, "there is a root");
  const found = new Set<BlockDriverState>();
  const upwards: BlockDriverState[] = [];
  for (const root of roots) descend(root, found, upwards);
  assert(upwards.length === found.size, "each node is listed once");
  return upwards.reverse();
}

function descend(
  bs: BlockDriverState,
  found: Set<BlockDriverState>,
  upwards: BlockDriverState[],
): void {
  if (found.has(bs)) return;
  found.add(bs);
  const children = childrenOf(bs, SITE_DFS);
  for (let child = children.first; child !== null; child = children.next(child))
    descend(nodeOf(child, SITE_DFS), found, upwards);
  upwards.push(bs);
}

/** bdrv_get_cumulative_perm (block.c:2549): what the parents of `bs` ask together, and what all of them share. */
export function bdrvGetCumulativePerm(bs: BlockDriverState): Permissions {
  globalStateCode(SITE_CUMULATIVE);
  let perm = 0;
  let sharedPerm = BLK_PERM_ALL;
  const parents = parentsOf(bs, SITE_CUMULATIVE);
  for (let edge = parents.first; edge !== null; edge = parents.next(edge)) {
    perm |= edge.perm;
    sharedPerm &= edge.sharedPerm;
  }
  assert((perm & ~BLK_PERM_ALL) === 0, "there are four permissions to ask for");
  assert((sharedPerm & ~BLK_PERM_ALL) === 0, "there are four permissions to share");
  return { perm, sharedPerm };
}

/**
 * bdrv_child_perm (block.c:2254): what the driver of `bs` asks of `child`, or of a child to be (null) that points at
 * `childBs`, when the parents of `bs` ask `parent`. Differs from QEMU: a driver without an answer has the default one.
 */
export function bdrvChildPerm(
  bs: BlockDriverState,
  childBs: BlockDriverState | null,
  child: BdrvChild | null,
  role: number,
  parent: Permissions,
  reopen: WritableAfterReopen | null = null,
): Permissions {
  globalStateCode(SITE_CHILD_PERM);
  modelAssert(!bs.closed, "bs->drv && bs->drv->bdrv_child_perm");
  const childPerm = bs.drv.childPerm ?? bdrvDefaultPerms;
  const { perm, sharedPerm } = childPerm(bs, child, role, reopen, parent);
  assert((perm & ~BLK_PERM_ALL) === 0, "there are four permissions to ask for");
  assert((sharedPerm & ~BLK_PERM_ALL) === 0, "there are four permissions to share");
  return { perm, sharedPerm: childBs?.forceShare === true ? BLK_PERM_ALL : sharedPerm };
}

/** bdrv_child_set_perm (block.c:2328): written at once, and back again when `tran` is aborted. */
export function bdrvChildSetPerm(
  child: BdrvChild,
  { perm, sharedPerm }: Permissions,
  tran: Transaction,
): void {
  globalStateCode(SITE_CHILD_SET_PERM);
  assert((perm & ~BLK_PERM_ALL) === 0, "there are four permissions to ask for");
  assert((sharedPerm & ~BLK_PERM_ALL) === 0, "there are four permissions to share");
  const { perm: oldPerm, sharedPerm: oldSharedPerm } = child;
  if (perm === oldPerm && sharedPerm === oldSharedPerm) return;
  child.perm = perm;
  child.sharedPerm = sharedPerm;
  tranAdd(tran, {
    name: "bdrv_child_set_perm",
    abort: () => {
      child.perm = oldPerm;
      child.sharedPerm = oldSharedPerm;
      return undefined;
    },
  });
}

/**
 * bdrv_child_try_set_perm (block.c:2609): let `child` have these permissions, and everything below it what follows. BlockError
 * when they cannot be had; but a refusal of permissions that are only loosened changes nothing and is no error. Polls.
 */
export function* bdrvChildTrySetPerm(child: BdrvChild, wanted: Permissions): Polls<void> {
  globalStateCode(SITE_TRY_SET);
  const bs = nodeOf(child, SITE_TRY_SET);
  assert(!bs.closed, "an edge points at an open node");
  const tran = tranNew();
  bdrvChildSetPerm(child, wanted, tran);
  const outcome = yield* settle(() => bdrvRefreshPerms(bs, tran));
  if (outcome.ok) return yield* tranCommit(tran);
  yield* tranAbort(tran);
  const tightened = (wanted.perm & ~child.perm) | (child.sharedPerm & ~wanted.sharedPerm);
  if (tightened !== 0) throw outcome.error;
}

/** bdrv_child_refresh_perms (block.c:2643): ask the driver of `bs` again what it needs of its `child`. Polls. */
export function* bdrvChildRefreshPerms(bs: BlockDriverState, child: BdrvChild): Polls<void> {
  globalStateCode(SITE_CHILD_REFRESH);
  assert(child.opaque === bs, "a node asks for its own children");
  assert(!bs.closed, "a closed node asks for nothing");
  const parent = bdrvGetCumulativePerm(bs);
  const childBs = edgeBs(child, SITE_CHILD_REFRESH);
  const wanted = bdrvChildPerm(bs, childBs, child, child.role, parent);
  yield* bdrvChildTrySetPerm(child, wanted);
}

/** bdrv_node_refresh_perm (block.c:2455): check what is asked of `bs`, then set what it asks of its children. Polls. */
function* bdrvNodeRefreshPerm(
  bs: BlockDriverState,
  reopen: WritableAfterReopen | null,
  tran: Transaction,
): Polls<void> {
  const cumulative = bdrvGetCumulativePerm(bs);
  refuseWhatCannotBe(bs, cumulative, reopen);
  if (bs.closed) return;
  yield* bdrvDrvSetPerm(bs, cumulative, tran);
  const children = childrenOf(bs, SITE_NODE);
  for (let child = children.first; child !== null; child = children.next(child)) {
    const childBs = edgeBs(child, SITE_NODE);
    const wanted = bdrvChildPerm(bs, childBs, child, child.role, cumulative, reopen);
    bdrvChildSetPerm(child, wanted, tran);
  }
}

/** Writers need a writable node; and without RESIZE, one whose last block is whole. */
function refuseWhatCannotBe(
  bs: BlockDriverState,
  { perm }: Permissions,
  reopen: WritableAfterReopen | null,
): void {
  if ((perm & BLK_PERM_ANY_WRITE) === 0) return;
  if (!bdrvIsWritableAfterReopen(bs, reopen)) {
    const message = bdrvIsWritableAfterReopen(bs, null)
      ? `Read-only block node '${bs.nodeName}' cannot support read-write users`
      : "Block node is read-only";
    throw new BlockError(EPERM, message);
  }
  const size = alignUp(bs.totalBytes, BDRV_SECTOR_SIZE);
  if ((perm & BLK_PERM_RESIZE) === 0 && size % bs.requestAlignment !== 0) {
    throw new BlockError(
      EPERM,
      "Cannot get 'write' permission without 'resize': Image size is not a multiple of request alignment",
    );
  }
}

/** bdrv_drv_set_perm (block.c:2374): the driver checks now, and is told what came of it when `tran` is over. Polls. */
function* bdrvDrvSetPerm(bs: BlockDriverState, asked: Permissions, tran: Transaction): Polls<void> {
  const { checkPerm, setPerm, abortPermUpdate } = bs.drv;
  const checking = checkPerm?.(bs, asked);
  if (checking !== undefined) yield* checking;
  if (setPerm === undefined && abortPermUpdate === undefined) return;
  tranAdd(tran, {
    name: "bdrv_drv_set_perm",
    commit: () => setPerm?.(bs, bdrvGetCumulativePerm(bs)),
    abort: () => abortPermUpdate?.(bs),
  });
}

/** bdrv_parent_perms_conflict (block.c:2229): each pair of edges above `bs`, in both directions; BlockError for the first. */
function refuseParentPermsConflict(bs: BlockDriverState): void {
  const outer = parentsOf(bs, SITE_CONFLICT);
  for (let a = outer.first; a !== null; a = outer.next(a)) {
    const inner = parentsOf(bs, SITE_CONFLICT);
    for (let b = inner.first; b !== null; b = inner.next(b)) if (a !== b) refuseUnshared(a, b);
  }
}

/** bdrv_a_allow_b (block.c:2198): `a` shares what `b` asks of the node that they both point at. */
function refuseUnshared(a: BdrvChild, b: BdrvChild): void {
  const bs = nodeOf(a, SITE_ALLOW);
  modelAssert(nodeOf(b, SITE_ALLOW) === bs, "a->bs == b->bs", SITE_ALLOW);
  const unshared = b.perm & ~a.sharedPerm;
  if (unshared === 0) return;
  const uses = (edge: BdrvChild): string =>
    `${edge.klass.getParentDesc(edge)} (uses node '${bs.nodeName}' as '${edge.name}' child)`;
  const conflict = `Permission conflict on node '${bs.nodeName}': permissions '${bdrvPermNames(unshared)}'`;
  throw new BlockError(
    EINVAL,
    `${conflict} are both required by ${uses(b)} and unshared by ${uses(a)}.`,
  );
}

function nodeOf(edge: BdrvChild, siteId: typeof SITE_DFS): BlockDriverState {
  const bs = edgeBs(edge, siteId);
  modelAssert(bs !== null, "child->bs", siteId);
  return bs;
}
