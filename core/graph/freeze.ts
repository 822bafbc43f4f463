// Freezing a chain: while a job works on the nodes between two, nobody may change the COW and filter links that join them.
//
// `frozen` is a property of the edge; what would change a frozen one is refused (backing.ts, replace-node.ts). A node that
// says `neverFreeze` keeps every link to it free.

import { assert, EPERM } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, modelAssert } from "../sched/index.ts";
import { edgeBs } from "./access.ts";
import { BlockError } from "./block-error.ts";
import { bdrvFilterOrCowChild } from "./chain.ts";
import type { BdrvChild, BlockDriverState } from "./state.ts";

const SITE_IS_FROZEN = site("bdrv_is_backing_chain_frozen");
const SITE_FREEZE = site("bdrv_freeze_backing_chain");
const SITE_UNFREEZE = site("bdrv_unfreeze_backing_chain");

/**
 * bdrv_is_backing_chain_frozen (block.c:5474): the refusal for who wants to change the links from `bs` down to `base` (null:
 * to the end of the chain), for the first that is frozen; null when none is.
 */
export function bdrvIsBackingChainFrozen(
  bs: BlockDriverState,
  base: BlockDriverState | null,
): BlockError | null {
  globalStateCode(SITE_IS_FROZEN);
  assert(!bs.closed, "the chain begins at an open node");
  for (const { above, child, below } of linksBetween(bs, base)) {
    if (!child.frozen) continue;
    const link = `'${child.name}' link from '${above.nodeName}' to '${below.nodeName}'`;
    return new BlockError(EPERM, `Cannot change ${link}`);
  }
  return null;
}

/** bdrv_freeze_backing_chain (block.c:5502): freeze all links from `bs` down to `base`, or, with a BlockError, none. */
export function bdrvFreezeBackingChain(bs: BlockDriverState, base: BlockDriverState | null): void {
  globalStateCode(SITE_FREEZE);
  const refusal = bdrvIsBackingChainFrozen(bs, base);
  if (refusal !== null) throw refusal;
  const links = linksBetween(bs, base);
  for (const { child, below } of links) {
    if (below.neverFreeze)
      throw new BlockError(EPERM, `Cannot freeze '${child.name}' link to '${below.nodeName}'`);
  }
  for (const { child } of links) child.frozen = true;
  assert(
    links.every(({ child }) => child.frozen),
    "the chain is frozen",
  );
}

/** bdrv_unfreeze_backing_chain (block.c:5539): the links from `bs` down to `base`, all of them frozen, may change again. */
export function bdrvUnfreezeBackingChain(
  bs: BlockDriverState,
  base: BlockDriverState | null,
): void {
  globalStateCode(SITE_UNFREEZE);
  assert(bs !== base, "there is a chain between two nodes");
  for (const { child } of linksBetween(bs, base)) {
    modelAssert(child.frozen, "child->frozen", SITE_UNFREEZE);
    child.frozen = false;
  }
}

interface Link {
  readonly above: BlockDriverState;
  readonly child: BdrvChild;
  readonly below: BlockDriverState;
}

function linksBetween(bs: BlockDriverState, base: BlockDriverState | null): Link[] {
  const links: Link[] = [];
  let at: BlockDriverState | null = bs;
  while (at !== null && at !== base) {
    const child = bdrvFilterOrCowChild(at);
    const below: BlockDriverState | null = child === null ? null : edgeBs(child, SITE_IS_FROZEN);
    if (child !== null && below !== null) links.push({ above: at, child, below });
    at = below;
  }
  assert(at === base, "the base is reached from the top");
  return links;
}
