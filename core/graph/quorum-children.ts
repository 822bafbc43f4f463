// Adding and deleting children of a node whose driver allows it (QMP: x-blockdev-change), and how quorum does it.
//
// The block layer only asks the driver. Quorum's two functions, which any driver of that kind can put into its table, drain
// the node, so that no request of its own walks the children meanwhile, and then attach or detach.

import { assert, EINVAL, ENOTSUP } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, type Polls } from "../sched/index.ts";
import { childrenOf, parentsOf } from "./access.ts";
import { bdrvAttachChild } from "./attach.ts";
import { BlockError } from "./block-error.ts";
import { bdrvUnrefChild } from "./detach.ts";
import { withDrained } from "./edit-drains.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvRef } from "./node-life.ts";
import { BDRV_CHILD_DATA, type BdrvChild, type BlockDriverState } from "./state.ts";

const SITE_ADD = site("bdrv_add_child");
const SITE_DEL = site("bdrv_del_child");
const SITE_QUORUM_ADD = site("quorum_add_child");
const SITE_QUORUM_DEL = site("quorum_del_child");

/** bdrv_add_child (block.c:7873): `childBs`, which has no parent yet, becomes a child of `parentBs`. Polls. */
export function* bdrvAddChild(parentBs: BlockDriverState, childBs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_ADD);
  assert(!parentBs.closed, "the parent has a driver");
  assert(!childBs.closed, "the child has a driver");
  const add = parentBs.drv.addChild;
  if (add === undefined)
    throw new BlockError(ENOTSUP, `The node ${parentBs.nodeName} does not support adding a child`);
  if (parentsOf(childBs, SITE_ADD).first !== null)
    throw new BlockError(EINVAL, `The node ${childBs.nodeName} already has a parent`);
  yield* graphOp(SITE_ADD, () => add(parentBs, childBs));
}

/** bdrv_del_child (block.c:7892): `child` of `parentBs` goes. Polls. */
export function* bdrvDelChild(parentBs: BlockDriverState, child: BdrvChild): Polls<void> {
  globalStateCode(SITE_DEL);
  assert(!parentBs.closed, "the parent has a driver");
  assert(child.klass.parentIsBds, "the edge is a node's");
  const del = parentBs.drv.delChild;
  if (del === undefined)
    throw new BlockError(
      ENOTSUP,
      `The node ${parentBs.nodeName} does not support removing a child`,
    );
  const children = childrenOf(parentBs, SITE_DEL);
  let found = children.first;
  while (found !== null && found !== child) found = children.next(found);
  if (found === null)
    throw new BlockError(
      EINVAL,
      `The node ${parentBs.nodeName} does not have a child named ${child.name}`,
    );
  yield* graphOp(SITE_DEL, () => del(parentBs, child));
}

/** quorum_add_child (block/quorum.c:1055): attach `childBs` as the next of the children. Polls. */
export function* quorumAddChild(bs: BlockDriverState, childBs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_QUORUM_ADD);
  assert(!bs.closed, "the parent has a driver");
  const name = `children.${nextChildIndex(bs)}`;
  assert(name.length > 0, "an edge has a name");
  yield* withDrained([bs], SITE_QUORUM_ADD, function* (): Polls<void> {
    bdrvRef(childBs);
    yield* bdrvAttachChild(bs, childBs, name, BDRV_CHILD_DATA);
  });
}

/** quorum_del_child (block/quorum.c:1100): detach `child`. Polls. */
export function* quorumDelChild(bs: BlockDriverState, child: BdrvChild): Polls<void> {
  globalStateCode(SITE_QUORUM_DEL);
  assert(child.opaque === bs, "a node deletes its own children");
  if (childrenOf(bs, SITE_QUORUM_DEL).length <= 1)
    throw new BlockError(
      EINVAL,
      "The number of children cannot be lower than the vote threshold 1",
    );
  yield* withDrained([bs], SITE_QUORUM_DEL, () => bdrvUnrefChild(bs, child));
}

/** One more than the highest index in use; the newest child stands first. */
function nextChildIndex(bs: BlockDriverState): number {
  const newest = childrenOf(bs, SITE_QUORUM_ADD).first;
  return newest === null ? 0 : Number(newest.name.split(".")[1] ?? -1) + 1;
}
