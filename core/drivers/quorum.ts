// A node with a changing set of children that mirror each other, in the measure in which QEMU's `quorum` has one: reads come
// from the child that was added last, writes go to all, children are added and deleted while the node is drained
// (core/graph/quorum-children.ts).
//
// The children of a request are those at its start: edits are kept out by the drain alone, and that is what this is for.
// Differs from QEMU: no voting, as nobody may look into guest data, and writes go to one child after the other.

import { assert, EIO } from "../base/index.ts";
import { childrenOf } from "../graph/access.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import {
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE_UNCHANGED,
  DEFAULT_PERM_PASSTHROUGH,
  type Permissions,
} from "../graph/permission-bits.ts";
import { quorumAddChild, quorumDelChild } from "../graph/quorum-children.ts";
import {
  BDRV_CHILD_DATA,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type Qiov,
  type WritableAfterReopen,
} from "../graph/state.ts";
import { bdrvCoPdiscard } from "../io/discard.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwriteZeroes } from "../io/write-zeroes.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, type Polls } from "../sched/index.ts";

const SITE_READ = site("quorum_co_preadv");
const SITE_WRITE = site("quorum_co_pwritev");
const SITE_LENGTH = site("quorum_getlength");
const SITE_QUORUM_OPEN = site("quorum_open");

/** C: bdrv_quorum. */
export const quorumDriver: BlockDriver = {
  formatName: "quorum",
  childPerm: quorumChildPerm,
  isFilter: false,
  hasVariableLength: true,
  coPreadv: quorumCoPreadv,
  coPwritev: (bs, offset, bytes, qiov, flags) =>
    toAll(bs, (child) => bdrvCoPwritev(child, offset, bytes, qiov, flags)),
  coPwriteZeroes: (bs, offset, bytes, flags) =>
    toAll(bs, (child) => bdrvCoPwriteZeroes(child, offset, bytes, flags)),
  coPdiscard: (bs, offset, bytes) => toAll(bs, (child) => bdrvCoPdiscard(child, offset, bytes)),
  getlength: quorumGetlength,
  addChild: quorumAddChild,
  delChild: quorumDelChild,
};

/** quorum_child_perm (block/quorum.c:1192): nobody else may make the children differ. */
function quorumChildPerm(
  _bs: BlockDriverState,
  _child: BdrvChild | null,
  _role: number,
  _reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  return {
    perm: parent.perm & DEFAULT_PERM_PASSTHROUGH,
    sharedPerm: parent.sharedPerm & (BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED),
  };
}

/** bdrv_open with the driver `quorum` above `children`, whose references it takes over. Polls. */
export function* quorumOpen(
  nodeName: string,
  children: readonly BlockDriverState[],
): Polls<BlockDriverState> {
  globalStateCode(SITE_QUORUM_OPEN);
  assert(children.length > 0, "a quorum has a child");
  return yield* bdrvOpenDriver(quorumDriver, nodeName, {
    children: children.map((bs, index) => ({
      name: `children.${index}`,
      role: BDRV_CHILD_DATA,
      bs,
    })),
  });
}

/** quorum_co_preadv (block/quorum.c:672) with the read pattern `fifo`: the next child when one fails. */
function* quorumCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  let ret = -EIO;
  for (const child of childrenOf(bs, SITE_READ).snapshot()) {
    ret = yield* bdrvCoPreadv(child, offset, bytes, qiov, flags);
    if (ret >= 0) return ret;
  }
  return ret;
}

/** quorum_co_pwritev (block/quorum.c:713): all of them, also after one has failed. */
function* toAll(bs: BlockDriverState, write: (child: BdrvChild) => Co<number>): Co<number> {
  let ret = 0;
  for (const child of childrenOf(bs, SITE_WRITE).snapshot()) {
    const childRet = yield* write(child);
    if (ret === 0) ret = Math.min(childRet, 0);
  }
  return ret;
}

/** quorum_getlength (block/quorum.c:769). Differs from QEMU: the children are taken to agree. */
function quorumGetlength(bs: BlockDriverState): number {
  const { first } = childrenOf(bs, SITE_LENGTH);
  return first === null ? -EIO : bdrvGetlength(nodeBehind(first, SITE_LENGTH));
}
