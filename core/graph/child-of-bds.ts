// The class of edges whose parent is a node (C: child_of_bds): it keeps the parent's `children`, `file` and `backing`, and
// hands the parent's subtree drain down to a child that comes, and takes it back from one that goes.
//
// `attach` runs when the edge already points at its node, `detach` while it still does. Both may poll.

import { assert, type SiteId } from "../base/index.ts";
import {
  bdrvApplySubtreeDrain,
  bdrvChildCbDrainedBegin,
  bdrvChildCbDrainedEnd,
  bdrvChildCbDrainedPoll,
  bdrvUnapplySubtreeDrain,
} from "../io/index.ts";
import { Klass, site } from "../probe/index.ts";
import { globalStateCode, modelAssert, type Polls } from "../sched/index.ts";
import { backingOf, edgeBs, fileOf } from "./access.ts";
import { bdrvChangeAioContext } from "./aio-context.ts";
import { insertIntoChildren, removeFromChildren, setBacking, setFile } from "./edge-lists.ts";
import { bdrvBackingAttach, bdrvBackingDetach } from "./op-blockers.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BdrvChildClass,
  type BlockDriverState,
  type EdgePlace,
} from "./state.ts";
import { bdrvChildCbUpdateFilename } from "./update-filename.ts";
import { assertBdrvGraphWritable } from "./writable.ts";

const SITE_ATTACH = site("bdrv_child_cb_attach");
const SITE_DETACH = site("bdrv_child_cb_detach");

/** C: child_of_bds. The drained callbacks are core/io's. */
export const childOfBds: BdrvChildClass = {
  name: "child_of_bds",
  klass: Klass.child_of_bds,
  stayAtNode: false,
  parentIsBds: true,
  getParentDesc: (child) => `node '${parentOf(child).nodeName}'`,
  attach: bdrvChildCbAttach,
  detach: bdrvChildCbDetach,
  getParentAioContext: (child) => parentOf(child).aioContext,
  changeAioContext: (child, ctx, visited, tran) =>
    bdrvChangeAioContext(parentOf(child), ctx, visited, tran),
  updateFilename: bdrvChildCbUpdateFilename,
  drainedBegin: (child, section) => bdrvChildCbDrainedBegin(child, section),
  drainedPoll: (child, section) => bdrvChildCbDrainedPoll(child, section),
  drainedEnd: (child, section, counter) => bdrvChildCbDrainedEnd(child, section, counter),
};

/** bdrv_child_cb_attach (block.c:1448): `child` becomes one of its parent's children. Polls (subtree drain). */
function* bdrvChildCbAttach(child: BdrvChild, place: EdgePlace | null): Polls<void> {
  globalStateCode(SITE_ATTACH);
  const bs = parentOf(child);
  assertBdrvGraphWritable(bs, SITE_ATTACH);
  insertIntoChildren(bs, child, SITE_ATTACH, place);
  if (bs.drv.isFilter || (child.role & BDRV_CHILD_FILTERED) !== 0) attachToFilter(bs, child);
  else attachToFormat(bs, child, place);
  yield* bdrvApplySubtreeDrain(child, bs);
}

/** bdrv_child_cb_detach (block.c:1492): the mirror image. Polls (subtree drain). */
function* bdrvChildCbDetach(child: BdrvChild): Polls<void> {
  globalStateCode(SITE_DETACH);
  const bs = parentOf(child);
  if ((child.role & BDRV_CHILD_COW) !== 0) bdrvBackingDetach(child, nodeOf(child, SITE_DETACH));
  yield* bdrvUnapplySubtreeDrain(child, bs);
  assertBdrvGraphWritable(bs, SITE_DETACH);
  removeFromChildren(bs, child, SITE_DETACH);
  if (backingOf(bs, SITE_DETACH) === child) {
    modelAssert(fileOf(bs, SITE_DETACH) !== child, "child != bs->file", SITE_DETACH);
    setBacking(bs, null, SITE_DETACH);
  } else if (fileOf(bs, SITE_DETACH) === child) {
    setFile(bs, null, SITE_DETACH);
  }
}

/** A filter has one filtered child, its primary one; it sits in `file`, or in `backing` where the driver says so. */
function attachToFilter(bs: BlockDriverState, child: BdrvChild): void {
  const filtered = (child.role & BDRV_CHILD_FILTERED) !== 0;
  modelAssert((child.role & BDRV_CHILD_COW) === 0, "!(child->role & BDRV_CHILD_COW)", SITE_ATTACH);
  if ((child.role & BDRV_CHILD_PRIMARY) === 0) {
    modelAssert(!filtered, "!(child->role & BDRV_CHILD_FILTERED)", SITE_ATTACH);
    return;
  }
  modelAssert(filtered, "child->role & BDRV_CHILD_FILTERED", SITE_ATTACH);
  modelAssert(backingOf(bs, SITE_ATTACH) === null, "!bs->backing", SITE_ATTACH);
  modelAssert(fileOf(bs, SITE_ATTACH) === null, "!bs->file", SITE_ATTACH);
  if (bs.drv.filteredChildIsBacking === true) setBacking(bs, child, SITE_ATTACH);
  else setFile(bs, child, SITE_ATTACH);
}

/** Elsewhere a COW child is `backing`, the primary one is `file`, and all others are in the list alone. */
function attachToFormat(bs: BlockDriverState, child: BdrvChild, place: EdgePlace | null): void {
  const primary = (child.role & BDRV_CHILD_PRIMARY) !== 0;
  if ((child.role & BDRV_CHILD_COW) !== 0) {
    modelAssert(bs.drv.supportsBacking === true, "bs->drv->supports_backing", SITE_ATTACH);
    modelAssert(!primary, "!(child->role & BDRV_CHILD_PRIMARY)", SITE_ATTACH);
    modelAssert(backingOf(bs, SITE_ATTACH) === null, "!bs->backing", SITE_ATTACH);
    setBacking(bs, child, SITE_ATTACH);
    bdrvBackingAttach(child, nodeOf(child, SITE_ATTACH), place?.backingBlocker ?? null);
  } else if (primary) {
    modelAssert(fileOf(bs, SITE_ATTACH) === null, "!bs->file", SITE_ATTACH);
    setFile(bs, child, SITE_ATTACH);
  }
}

function nodeOf(child: BdrvChild, siteId: SiteId): BlockDriverState {
  const bs = edgeBs(child, siteId);
  assert(bs !== null, "an edge that comes or goes points at its node");
  return bs;
}

function parentOf(child: BdrvChild): BlockDriverState {
  return child.opaque as BlockDriverState;
}
