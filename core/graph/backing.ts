// Setting the backing file of a node, or its main child: the old edge is emptied and a new one attached, in one transaction.
//
// The window that the series is about is here: when the old edge has gone, the old backing node has lost the subtree drain
// that reached it through that edge. Patch 3 edits its `parents` before that moment; should the transaction be aborted
// afterwards, patch 4 restores the drain before the edge is linked again.

import { assert, EINVAL, EPERM } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, type Polls } from "../sched/index.ts";
import { backingOf, edgeBs, fileOf } from "./access.ts";
import { bdrvAttachChildNoperm } from "./attach.ts";
import { BlockError } from "./block-error.ts";
import { bdrvChildFree } from "./detach.ts";
import { withDrained, withSubtreeDrained } from "./edit-drains.ts";
import { graphOp } from "./graph-op.ts";
import {
  bdrvInheritsFromRecursive,
  bdrvSetInheritsFrom,
  bdrvUnsetInheritsFrom,
} from "./inherits-from.ts";
import { bdrvListRefreshPerms, bdrvTopologicalDfs } from "./permissions.ts";
import { bdrvReplaceChildTran } from "./replace-node.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriverState,
} from "./state.ts";
import { inTransaction, type Transaction, tranAdd, tranFaultPoint } from "./transaction.ts";

const SITE_SET_BACKING = site("bdrv_set_backing_hd");
const SITE_NOPERM = site("bdrv_set_file_or_backing_noperm");
const SITE_REMOVE = site("bdrv_remove_child");
const SITE_BACKING_ROLE = site("bdrv_backing_role");

/** Called inside the transaction, when permissions are refreshed: a BlockError thrown here rolls the edit back. */
export type BeforeCommit = (tran: Transaction) => void;

/**
 * bdrv_set_backing_hd (block.c:3409): `backingHd`, or nothing, is what `bs` overlays from now on. Takes its own reference.
 * BlockError when the edge is frozen, the driver takes no backing file, it would be a cycle, or a permission cannot be had;
 * then nothing has changed. Polls. Differs from QEMU 7.2: the old backing file is refreshed too; there its edges keep what
 * `bs` needed of them until something else refreshes it, and may refuse a writer below for no reason.
 */
export function* bdrvSetBackingHd(
  bs: BlockDriverState,
  backingHd: BlockDriverState | null,
  beforeCommit: BeforeCommit = () => undefined,
): Polls<void> {
  globalStateCode(SITE_SET_BACKING);
  assert(!bs.closed, "the overlay has a driver");
  assert(backingHd === null || !backingHd.closed, "the backing file has a driver");
  const edit = function* (tran: Transaction): Polls<void> {
    const old = backingOf(bs, SITE_SET_BACKING);
    const oldBs = old === null ? null : edgeBs(old, SITE_SET_BACKING);
    yield* bdrvSetFileOrBackingNoperm(bs, backingHd, true, tran);
    const list = bdrvTopologicalDfs(oldBs === null ? [bs] : [oldBs, bs]);
    yield* bdrvListRefreshPerms(list, tran);
    beforeCommit(tran);
  };
  const nodes = backingHd === null ? [bs] : [bs, backingHd];
  yield* graphOp(SITE_SET_BACKING, () =>
    withDrained([bs], SITE_SET_BACKING, () =>
      withSubtreeDrained(nodes, "unlocked", SITE_SET_BACKING, () => inTransaction(edit)),
    ),
  );
}

/** bdrv_set_file_or_backing_noperm (block.c:3316): exchange the file or backing child of `parentBs`. Polls. */
export function* bdrvSetFileOrBackingNoperm(
  parentBs: BlockDriverState,
  childBs: BlockDriverState | null,
  isBacking: boolean,
  tran: Transaction,
): Polls<void> {
  globalStateCode(SITE_NOPERM);
  assert(!parentBs.closed, "the parent has a driver");
  assert(!tran.finalised, "the transaction is open");
  const old = isBacking ? backingOf(parentBs, SITE_NOPERM) : fileOf(parentBs, SITE_NOPERM);
  const role = roleOfNewChild(parentBs, old, isBacking);
  const inherits = bdrvInheritsFromRecursive(childBs, parentBs);
  if (old !== null) {
    bdrvUnsetInheritsFrom(parentBs, old, tran);
    yield* bdrvRemoveChild(old, tran);
    tranFaultPoint("bdrv_remove_child");
  }
  if (childBs === null) return;
  yield* bdrvAttachChildNoperm(parentBs, childBs, isBacking ? "backing" : "file", role, tran);
  // What was between the two is gone: it was made by the options of `parentBs` all the same.
  if (inherits) bdrvSetInheritsFrom(childBs, parentBs, tran);
  tranFaultPoint("bdrv_attach_child_noperm");
}

/** The role of the edge to be; BlockError where there cannot be one. */
function roleOfNewChild(
  parentBs: BlockDriverState,
  old: BdrvChild | null,
  isBacking: boolean,
): number {
  const { drv, nodeName } = parentBs;
  if (old?.frozen === true) {
    const to = edgeBs(old, SITE_NOPERM)?.nodeName ?? "";
    throw new BlockError(
      EPERM,
      `Cannot change frozen '${old.name}' link from '${nodeName}' to '${to}'`,
    );
  }
  if (drv.isFilter) return BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;
  if (isBacking) {
    if (drv.supportsBacking === true) return BDRV_CHILD_COW;
    const node = `Driver '${drv.formatName}' of node '${nodeName}'`;
    throw new BlockError(EINVAL, `${node} does not support backing files`);
  }
  if (old === null)
    throw new BlockError(EINVAL, "Cannot set file child to format node without file child");
  return old.role;
}

/** bdrv_backing_role (block.c:3297): the role of the child below `bs` that it filters or overlays. */
export function bdrvBackingRole(bs: BlockDriverState): number {
  globalStateCode(SITE_BACKING_ROLE);
  assert(!bs.closed, "the node has a driver");
  return bs.drv.isFilter ? BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY : BDRV_CHILD_COW;
}

/** bdrv_remove_child (block.c:5063): empty `child` now, free it when `tran` is committed. Polls. */
export function* bdrvRemoveChild(child: BdrvChild, tran: Transaction): Polls<void> {
  globalStateCode(SITE_REMOVE);
  assert(!child.frozen, "an edge is thawed before it is removed");
  assert(!tran.finalised, "the transaction is open");
  if (edgeBs(child, SITE_REMOVE) !== null) yield* bdrvReplaceChildTran(child, null, tran);
  tranAdd(tran, {
    name: "bdrv_remove_child",
    commit: () => {
      bdrvChildFree(child);
      return undefined;
    },
  });
}
