// Walking down: the child that a node filters, overlays or stores itself in, and the questions that walk on from there.
//
// These read `file`, `backing` and `children` in any thread (C marks most of them IO_CODE): none of them holds a counter of
// its own, so a reader that comes from nowhere is covered by nothing.

import { site } from "../probe/index.ts";
import { globalStateCode, ioCode, modelAssert } from "../sched/index.ts";
import { backingOf, childrenOf, edgeBs, fileOf } from "./access.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriverState,
} from "./state.ts";

const SITE_COW_CHILD = site("bdrv_cow_child");
const SITE_FILTER_CHILD = site("bdrv_filter_child");
const SITE_FILTER_OR_COW_CHILD = site("bdrv_filter_or_cow_child");
const SITE_FILTER_OR_COW_BS = site("bdrv_filter_or_cow_bs");
const SITE_PRIMARY_CHILD = site("bdrv_primary_child");
const SITE_CHAIN_CONTAINS = site("bdrv_chain_contains");
const SITE_SKIP_FILTERS = site("bdrv_do_skip_filters");
const SITE_NEXT = site("bdrv_backing_chain_next");
const SITE_RECURSE_HAS_CHILD = site("bdrv_recurse_has_child");

/** bdrv_cow_child (block.c:7947): the child that `bs` overlays, or null. */
export function bdrvCowChild(bs: BlockDriverState): BdrvChild | null {
  ioCode(bs.aioContext, SITE_COW_CHILD);
  if (bs.closed || bs.drv.isFilter) return null;
  const child = backingOf(bs, SITE_COW_CHILD);
  if (child === null) return null;
  modelAssert(
    (child.role & BDRV_CHILD_COW) !== 0,
    "bs->backing->role & BDRV_CHILD_COW",
    SITE_COW_CHILD,
  );
  return child;
}

/** bdrv_filter_child (block.c:7971): the child that the filter `bs` passes requests to, or null. */
export function bdrvFilterChild(bs: BlockDriverState): BdrvChild | null {
  ioCode(bs.aioContext, SITE_FILTER_CHILD);
  if (bs.closed || !bs.drv.isFilter) return null;
  const backing = backingOf(bs, SITE_FILTER_CHILD);
  const file = fileOf(bs, SITE_FILTER_CHILD);
  modelAssert(backing === null || file === null, "!(bs->backing && bs->file)", SITE_FILTER_CHILD);
  const child = backing ?? file;
  if (child === null) return null;
  const filtered = (child.role & BDRV_CHILD_FILTERED) !== 0;
  modelAssert(filtered, "c->role & BDRV_CHILD_FILTERED", SITE_FILTER_CHILD);
  return child;
}

/** bdrv_filter_or_cow_child (block.c:8002): whichever of the two there is, or null. */
export function bdrvFilterOrCowChild(bs: BlockDriverState): BdrvChild | null {
  ioCode(bs.aioContext, SITE_FILTER_OR_COW_CHILD);
  const cow = bdrvCowChild(bs);
  const filter = bdrvFilterChild(bs);
  modelAssert(
    cow === null || filter === null,
    "!(cow_child && filter_child)",
    SITE_FILTER_OR_COW_CHILD,
  );
  return cow ?? filter;
}

/** bdrv_filter_or_cow_bs (block_int-io.h): the node behind bdrv_filter_or_cow_child, or null. */
export function bdrvFilterOrCowBs(bs: BlockDriverState): BlockDriverState | null {
  ioCode(bs.aioContext, SITE_FILTER_OR_COW_BS);
  const child = bdrvFilterOrCowChild(bs);
  return child === null ? null : edgeBs(child, SITE_FILTER_OR_COW_BS);
}

/** bdrv_skip_implicit_filters (block.c:8077): `bs`, or the first node below it that somebody asked for. */
export function bdrvSkipImplicitFilters(bs: BlockDriverState): BlockDriverState {
  ioCode(bs.aioContext, SITE_SKIP_FILTERS);
  return skipFilters(bs, (at) => at.implicit);
}

/** bdrv_skip_filters (block.c:8090): `bs`, or the first node below it that is no filter. */
export function bdrvSkipFilters(bs: BlockDriverState): BlockDriverState {
  ioCode(bs.aioContext, SITE_SKIP_FILTERS);
  return skipFilters(bs, () => true);
}

/** bdrv_backing_chain_next (block_int-io.h): the next image of the chain of backing files, without filters; or null. */
export function bdrvBackingChainNext(bs: BlockDriverState): BlockDriverState | null {
  ioCode(bs.aioContext, SITE_NEXT);
  const backing = backingOf(bdrvSkipFilters(bs), SITE_NEXT);
  const below = backing === null ? null : edgeBs(backing, SITE_NEXT);
  return below === null ? null : bdrvSkipFilters(below);
}

/** bdrv_do_skip_filters (block.c:8039). */
function skipFilters(
  bs: BlockDriverState,
  mayBeSkipped: (at: BlockDriverState) => boolean,
): BlockDriverState {
  let at = bs;
  while (mayBeSkipped(at)) {
    const child = bdrvFilterChild(at);
    const below = child === null ? null : edgeBs(child, SITE_SKIP_FILTERS);
    if (below === null) {
      modelAssert(at.closed || !at.drv.isFilter, "!bs->drv || !bs->drv->is_filter");
      return at;
    }
    at = below;
  }
  return at;
}

/** bdrv_primary_child (block.c:8024): the child that stores what `bs` is, or null. */
export function bdrvPrimaryChild(bs: BlockDriverState): BdrvChild | null {
  ioCode(bs.aioContext, SITE_PRIMARY_CHILD);
  let found: BdrvChild | null = null;
  const children = childrenOf(bs, SITE_PRIMARY_CHILD);
  for (let child = children.first; child !== null; child = children.next(child)) {
    if ((child.role & BDRV_CHILD_PRIMARY) === 0) continue;
    modelAssert(found === null, "!found", SITE_PRIMARY_CHILD);
    found = child;
  }
  return found;
}

/** bdrv_chain_contains (block.c:6129): whether `base` is `top` or in its chain of backing files and filtered nodes. */
export function bdrvChainContains(top: BlockDriverState, base: BlockDriverState): boolean {
  globalStateCode(SITE_CHAIN_CONTAINS);
  let bs: BlockDriverState | null = top;
  while (bs !== null && bs !== base) bs = bdrvFilterOrCowBs(bs);
  return bs !== null;
}

/** bdrv_recurse_has_child (block.c:4118): whether `child` is `bs` or anywhere below it. */
export function bdrvRecurseHasChild(bs: BlockDriverState, child: BlockDriverState): boolean {
  globalStateCode(SITE_RECURSE_HAS_CHILD);
  if (bs === child) return true;
  const children = childrenOf(bs, SITE_RECURSE_HAS_CHILD);
  for (let edge = children.first; edge !== null; edge = children.next(edge)) {
    const below = edgeBs(edge, SITE_RECURSE_HAS_CHILD);
    if (below !== null && bdrvRecurseHasChild(below, child)) return true;
  }
  return false;
}
