// Which node's options made which: `inheritsFrom` points from a node to the parent that opened it with options of its own. A
// reopen of that parent goes down these pointers. They must not outlive the last edge between the two.

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode } from "../sched/index.ts";
import { childrenOf, edgeBs } from "./access.ts";
import type { BdrvChild, BlockDriverState } from "./state.ts";
import { type Transaction, tranAdd } from "./transaction.ts";

const SITE_UNSET = site("bdrv_unset_inherits_from");
const SITE_SET = site("bdrv_set_inherits_from");
const SITE_INHERITS_FROM_RECURSIVE = site("bdrv_inherits_from_recursive");

/** bdrv_set_inherits_from (block.c:3212): at once; when `tran` is given and aborted, as it was. */
export function bdrvSetInheritsFrom(
  bs: BlockDriverState,
  inheritsFrom: BlockDriverState | null,
  tran: Transaction | null,
): void {
  globalStateCode(SITE_SET);
  assert(bs !== inheritsFrom, "no node is made by its own options");
  const before = bs.inheritsFrom;
  if (tran !== null) {
    tranAdd(tran, {
      name: "bdrv_set_inherits_from",
      abort: () => {
        bs.inheritsFrom = before;
        return undefined;
      },
    });
  }
  bs.inheritsFrom = inheritsFrom;
}

/**
 * bdrv_unset_inherits_from (block.c:3235): the edge `child` goes away below `root`; whatever is below it and was made by the
 * options of `root` is on its own from now on. Not so if another edge still leads there from `root`.
 */
export function bdrvUnsetInheritsFrom(
  root: BlockDriverState,
  child: BdrvChild,
  tran: Transaction | null,
): void {
  globalStateCode(SITE_UNSET);
  const bs = edgeBs(child, SITE_UNSET);
  assert(bs !== null, "the edge still points at its node");
  if (bs.inheritsFrom === root && !hasOtherEdge(root, child, bs))
    bdrvSetInheritsFrom(bs, null, tran);
  const below = childrenOf(bs, SITE_UNSET);
  for (let edge = below.first; edge !== null; edge = below.next(edge))
    bdrvUnsetInheritsFrom(root, edge, tran);
}

function hasOtherEdge(root: BlockDriverState, child: BdrvChild, bs: BlockDriverState): boolean {
  const children = childrenOf(root, SITE_UNSET);
  for (let edge = children.first; edge !== null; edge = children.next(edge))
    if (edge !== child && edgeBs(edge, SITE_UNSET) === bs) return true;
  return false;
}

/** bdrv_inherits_from_recursive (block.c:3286): whether the options of `parent` made `child`, or made what made it. */
export function bdrvInheritsFromRecursive(
  child: BlockDriverState | null,
  parent: BlockDriverState,
): boolean {
  globalStateCode(SITE_INHERITS_FROM_RECURSIVE);
  assert(!parent.closed, "the parent is open");
  let bs = child;
  while (bs !== null && bs !== parent) bs = bs.inheritsFrom;
  return bs !== null;
}
