// Attaching a node below a parent: a new edge, made to agree with its parent about the AioContext, then pointed at the node.
//
// bdrv_attach_child serves node parents, bdrv_root_attach_child BlockBackends and jobs. Both take over the caller's
// reference to the child: it is dropped when the edge is detached, or here on failure. Patch 10 drains the subtrees of both
// sides; the context move drains on its own (aio-context.ts). The last that can fail is the refresh of permissions
// (permissions.ts), when the edge is there. The way back is detach.ts.

import { assert, type EdgeId, EINVAL } from "../base/index.ts";
import { Ev, site } from "../probe/index.ts";
import { type AioContext, globalStateCode, machine, nextId, type Polls } from "../sched/index.ts";
import { edgeBs } from "./access.ts";
import { bdrvTryChangeAioContext, changeParentAioContext } from "./aio-context.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import { bdrvRecurseHasChild } from "./chain.ts";
import { childOfBds } from "./child-of-bds.ts";
import { bdrvChildFree } from "./detach.ts";
import { withSubtreeDrained } from "./edit-drains.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvRef, bdrvUnref } from "./node-life.ts";
import { BLK_PERM_ALL } from "./permission-bits.ts";
import { bdrvChildPerm, bdrvGetCumulativePerm, bdrvRefreshPerms } from "./permissions.ts";
import { bdrvReplaceChildNoperm } from "./replace-child.ts";
import { BdrvChild, type BdrvChildClass, type BlockDriverState, type EdgeParent } from "./state.ts";
import { inTransaction, type Transaction, tranAdd, tranFaultPoint } from "./transaction.ts";

const SITE_ATTACH = site("bdrv_attach_child");
const SITE_ROOT_ATTACH = site("bdrv_root_attach_child");
const SITE_COMMON = site("bdrv_attach_child_common");
const SITE_COMMON_ABORT = site("bdrv_attach_child_common_abort");
const SITE_NOPERM = site("bdrv_attach_child_noperm");

/** What an edge to be is called and whom it belongs to. */
export interface EdgeSpec {
  readonly name: string;
  readonly klass: BdrvChildClass;
  readonly role: number;
  /** The parent, and its number among its kind. */
  readonly opaque: EdgeParent;
  readonly parentId: number;
  /** What the parent needs of the node (default nothing), and lets others have (default all): BLK_PERM_*. */
  readonly perm?: number;
  readonly sharedPerm?: number;
}

/**
 * bdrv_attach_child (block.c:3149): `childBs` becomes the child `name` of the node `parentBs`, which takes over the caller's
 * reference. BlockError when that would be a cycle, the AioContexts cannot be made equal, or a permission cannot be had.
 * `klass` is child_of_bds, or a variation of it. Polls.
 */
export function* bdrvAttachChild(
  parentBs: BlockDriverState,
  childBs: BlockDriverState,
  name: string,
  role: number,
  klass: BdrvChildClass = childOfBds,
): Polls<BdrvChild> {
  globalStateCode(SITE_ATTACH);
  assert(name.length > 0, "an edge has a name");
  assert(klass.parentIsBds, "the parent is a node");
  assert(childBs.refcnt > 0, "the caller gives a reference");
  const attach = function* (tran: Transaction): Polls<BdrvChild> {
    const child = yield* bdrvAttachChildNoperm(parentBs, childBs, name, role, tran, klass);
    yield* bdrvRefreshPerms(parentBs, tran);
    return child;
  };
  return yield* graphOp(SITE_ATTACH, function* (): Polls<BdrvChild> {
    const outcome = yield* settle(() =>
      withSubtreeDrained([parentBs, childBs], "unlocked", SITE_ATTACH, () => inTransaction(attach)),
    );
    yield* bdrvUnref(childBs);
    return unwrap(outcome);
  });
}

/** bdrv_root_attach_child (block.c:3107): as bdrvAttachChild, below a BlockBackend or a job. Polls. */
export function* bdrvRootAttachChild(childBs: BlockDriverState, spec: EdgeSpec): Polls<BdrvChild> {
  globalStateCode(SITE_ROOT_ATTACH);
  assert(!spec.klass.parentIsBds, "the parent is not a node");
  assert(childBs.refcnt > 0, "the caller gives a reference");
  const attach = function* (tran: Transaction): Polls<BdrvChild> {
    const child = yield* bdrvAttachChildCommon(childBs, spec, tran);
    yield* bdrvRefreshPerms(childBs, tran);
    return child;
  };
  return yield* graphOp(SITE_ROOT_ATTACH, function* (): Polls<BdrvChild> {
    const outcome = yield* settle(() =>
      withSubtreeDrained([childBs], "unlocked", SITE_ROOT_ATTACH, () => inTransaction(attach)),
    );
    yield* bdrvUnref(childBs);
    return unwrap(outcome);
  });
}

/** bdrv_attach_child_noperm (block.c:3045): the part of bdrv_attach_child inside the transaction. Polls. */
export function* bdrvAttachChildNoperm(
  parentBs: BlockDriverState,
  childBs: BlockDriverState,
  name: string,
  role: number,
  tran: Transaction,
  klass: BdrvChildClass = childOfBds,
): Polls<BdrvChild> {
  globalStateCode(SITE_NOPERM);
  assert(!parentBs.closed, "the parent has a driver");
  assert(!childBs.closed, "the child has a driver");
  if (bdrvRecurseHasChild(childBs, parentBs)) {
    const edge = `Making '${childBs.nodeName}' a ${name} child of '${parentBs.nodeName}'`;
    throw new BlockError(EINVAL, `${edge} would create a cycle`);
  }
  const asked = bdrvChildPerm(parentBs, childBs, null, role, bdrvGetCumulativePerm(parentBs));
  const spec = { name, klass, role, opaque: parentBs, parentId: parentBs.id, ...asked };
  return yield* bdrvAttachChildCommon(childBs, spec, tran);
}

/** bdrv_attach_child_common (block.c:2968): make the edge and point it at `childBs`. Polls. */
export function* bdrvAttachChildCommon(
  childBs: BlockDriverState,
  spec: EdgeSpec,
  tran: Transaction,
): Polls<BdrvChild> {
  globalStateCode(SITE_COMMON);
  assert(Array.isArray(spec.opaque.quiescedFor), "a parent knows whom it is quiesced for");
  assert(spec.parentId > 0, "a parent has a number");
  const { name, klass, role, opaque, parentId } = spec;
  const id = nextId(machine, "edge") as EdgeId;
  const child = new BdrvChild(id, name, klass, role, opaque, parentId);
  child.perm = spec.perm ?? 0;
  child.sharedPerm = spec.sharedPerm ?? BLK_PERM_ALL;
  machine.probe.emit(Ev.edge_new, id, klass.klass, parentId, machine.probe.intern(name));
  const oldParentCtx = klass.getParentAioContext(child);
  const oldChildCtx = childBs.aioContext;
  if (oldChildCtx !== oldParentCtx) yield* agreeOnContext(child, childBs, oldParentCtx);
  bdrvRef(childBs);
  yield* bdrvReplaceChildNoperm(child, childBs);
  tranAdd(tran, {
    name: "bdrv_attach_child_common",
    abort: () => attachChildCommonAbort(child, oldParentCtx, oldChildCtx),
  });
  tranFaultPoint("bdrv_attach_child_common");
  return child;
}

/** Move the child to the parent's context; if that is impossible, the parent to the child's. Polls. */
function* agreeOnContext(
  child: BdrvChild,
  childBs: BlockDriverState,
  parentCtx: AioContext,
): Polls<void> {
  const moved = yield* settle(() => bdrvTryChangeAioContext(childBs, parentCtx, null));
  if (moved.ok) return;
  if (yield* changeParentAioContext(child, childBs.aioContext)) return;
  bdrvChildFree(child);
  throw moved.error;
}

/** bdrv_attach_child_common_abort (block.c:2921): take the edge away again, and restore both contexts. Polls. */
function* attachChildCommonAbort(
  child: BdrvChild,
  oldParentCtx: AioContext,
  oldChildCtx: AioContext,
): Polls<void> {
  globalStateCode(SITE_COMMON_ABORT);
  const bs = edgeBs(child, SITE_COMMON_ABORT);
  assert(bs !== null, "the edge that is taken back points at its node");
  yield* bdrvReplaceChildNoperm(child, null);
  if (bs.aioContext !== oldChildCtx) yield* bdrvTryChangeAioContext(bs, oldChildCtx, null);
  if (child.klass.getParentAioContext(child) !== oldParentCtx) {
    const restored = yield* changeParentAioContext(child, oldParentCtx);
    assert(restored, "a parent can go back to where it was");
  }
  yield* bdrvUnref(bs);
  bdrvChildFree(child);
}
