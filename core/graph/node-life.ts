// Life of a node: birth inside the drains of everything that are open, references, and death inside a drained section.
//
// A node dies when its last reference goes: each edge that points at it holds one, and so does whoever created it. Closing
// drains it, flushes it, and lets go of its children, which may die in turn. A node that dies inside drain_all sections has
// levels that no end will ever reach, as it is in no list any more; they are ended here. Lists of all nodes: all-states.ts.

import { assert, EINVAL, type NodeId } from "../base/index.ts";
import { bdrvReleaseNamedDirtyBitmaps } from "../bitmaps/life.ts";
import {
  bdrvDrain,
  bdrvDrainAllEndQuiesce,
  bdrvDrainAllNewNode,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvFlush,
} from "../io/index.ts";
import { Ev, List, site } from "../probe/index.ts";
import {
  CoMutex,
  CoQueue,
  globalStateCode,
  machine,
  modelAssert,
  nextId,
  type Polls,
  QemuMutex,
} from "../sched/index.ts";
import { backingOf, childrenOf, fileOf } from "./access.ts";
import { addToAllStates, bdrvAllStates, removeFromAllStates } from "./all-states.ts";
import { BlockError } from "./block-error.ts";
import { bdrvUnrefChild } from "./detach.ts";
import { graphOp } from "./graph-op.ts";
import { type BlockDriver, BlockDriverState } from "./state.ts";

const SITE_NEW = site("bdrv_new");
const SITE_REF = site("bdrv_ref");
const SITE_UNREF = site("bdrv_unref");
const SITE_CLOSE = site("bdrv_close");
const SITE_CHILDREN = site("bdrv_close/children");
const SITE_FIND_NODE = site("bdrv_find_node");

/** C: sizeof(bs->node_name), less the byte that ends it. */
const NAME_LENGTH_MAX = 31;

/** bdrv_assign_node_name (block.c:1571): BlockError for a name that no node can have, or that one has. */
export function checkNodeName(name: string): void {
  globalStateCode(SITE_NEW);
  if (!/^[A-Za-z][A-Za-z0-9._-]*$/.test(name))
    throw new BlockError(EINVAL, `Invalid node-name: '${name}'`);
  if (bdrvFindNode(name) !== null)
    throw new BlockError(EINVAL, `Duplicate nodes with node-name='${name}'`);
  if (name.length > NAME_LENGTH_MAX) throw new BlockError(EINVAL, "Node name too long");
}

/**
 * bdrv_new (block.c:407) with bdrv_assign_node_name: a node with one reference, in the main context, drained as often as
 * everything is. An empty name is generated. Differs from QEMU: the node has its driver from birth, so the drain hooks of
 * open drain_all sections start here, not in bdrv_open_driver.
 */
export function bdrvNew(
  drv: BlockDriver,
  nodeName: string,
  opaque: unknown,
  readOnly: boolean,
): BlockDriverState {
  globalStateCode(SITE_NEW);
  const id = nextId(machine, "node") as NodeId;
  if (nodeName !== "") checkNodeName(nodeName);
  const name = nodeName === "" ? `#block${String(id).padStart(3, "0")}` : nodeName;
  const bs = new BlockDriverState(id, name, drv, machine.mainContext, readOnly, {
    reqsLock: new CoMutex(),
    flushQueue: new CoQueue(),
    dirtyBitmapMutex: new QemuMutex("dirty_bitmap_mutex"),
  });
  bs.opaque = opaque;
  const { probe } = machine;
  probe.emit(Ev.bs_new, bs.id, probe.intern(name), probe.intern(drv.formatName));
  bdrvDrainAllNewNode(bs);
  addToAllStates(bs);
  assert(bs.refcnt === 1, "a node is born with the reference of its creator");
  assert(bs.rawParents.first === null, "a node is born without parents");
  return bs;
}

/** bdrv_find_node (block.c:6045): the node with that name, or null. */
export function bdrvFindNode(nodeName: string): BlockDriverState | null {
  globalStateCode(SITE_FIND_NODE);
  assert(nodeName.length > 0, "every node has a name");
  return bdrvAllStates().find((bs) => bs.nodeName === nodeName) ?? null;
}

/** bdrv_ref (block.c:6802): one more owner. */
export function bdrvRef(bs: BlockDriverState): void {
  globalStateCode(SITE_REF);
  assert(!bs.closed, "a closed node has no owners");
  bs.refcnt++;
  assert(bs.refcnt > 0, "a reference count is not negative");
  machine.probe.emit(Ev.bs_ref, bs.id, bs.refcnt);
}

/** bdrv_unref (block.c:6811): one owner less; the last one deletes the node. Nothing for null. Polls. */
export function* bdrvUnref(bs: BlockDriverState | null): Polls<void> {
  globalStateCode(SITE_UNREF);
  if (bs === null) return;
  modelAssert(bs.refcnt > 0, "bs->refcnt > 0", SITE_UNREF);
  assert(!bs.closed, "a closed node has no owners");
  bs.refcnt--;
  machine.probe.emit(Ev.bs_unref, bs.id, bs.refcnt);
  if (bs.refcnt === 0) yield* bdrvDelete(bs);
}

/** bdrv_delete (block.c:5289): out of all lists, then closed. Polls. */
function* bdrvDelete(bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_CLOSE);
  assert(bs.refcnt === 0, "a node that is deleted has no owner");
  removeFromAllStates(bs);
  yield* graphOp(SITE_CLOSE, () => bdrvClose(bs));
  assert(bs.rawParents.first === null, "nothing points at a node that is deleted");
  machine.probe.emit(Ev.bs_free, bs.id);
}

/** bdrv_close (block.c:4896): finish its requests, release what the driver holds, let go of the children. Polls. */
function* bdrvClose(bs: BlockDriverState): Polls<void> {
  machine.probe.emit(Ev.bs_close, bs.id);
  yield* bdrvDrainedBegin(bs, SITE_CLOSE);
  yield* bdrvFlush(bs);
  // The flush may have left requests of its own.
  yield* bdrvDrain(bs, SITE_CLOSE);
  const closing = bs.drv.drvClose?.(bs);
  if (closing !== undefined) yield* closing;
  bs.closed = true;
  const children = childrenOf(bs, SITE_CHILDREN);
  machine.probe.emit(Ev.iter_begin, List.children, bs.id, SITE_CHILDREN);
  for (let child = children.first; child !== null; ) {
    const next = children.next(child);
    yield* bdrvUnrefChild(bs, child);
    child = next;
  }
  machine.probe.emit(Ev.iter_end, List.children, bs.id, SITE_CHILDREN);
  modelAssert(backingOf(bs, SITE_CHILDREN) === null, "!bs->backing", SITE_CLOSE);
  modelAssert(fileOf(bs, SITE_CHILDREN) === null, "!bs->file", SITE_CLOSE);
  bs.opaque = null;
  bdrvReleaseNamedDirtyBitmaps(bs);
  modelAssert(bs.dirtyBitmaps.length === 0, "QLIST_EMPTY(&bs->dirty_bitmaps)", SITE_CLOSE);
  yield* bdrvDrainedEnd(bs, SITE_CLOSE);
  if (bs.quiesceCounter > 0) yield* bdrvDrainAllEndQuiesce(bs);
}
