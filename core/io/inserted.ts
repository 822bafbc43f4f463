// Whether the medium is there: asked by every request before it counts itself in flight at the node, and by walking the
// children down to the leaves. This is the hottest read of `children` there is (reference, section 1.4).

import { assert, type SiteId } from "../base/index.ts";
import { childrenOf, edgeBs } from "../graph/access.ts";
import type { BdrvChild, BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioCode, modelAssert } from "../sched/index.ts";

const SITE_INSERTED = site("bdrv_is_inserted");

/** bdrv_is_inserted (block.c:6753): the driver says so, or all children have theirs. Recursive. */
export function bdrvIsInserted(bs: BlockDriverState): boolean {
  ioCode(bs.aioContext, SITE_INSERTED);
  assert(bs.id > 0, "a node has a number");
  if (bs.closed || bs.ejected) return false;
  if (bs.drv.isInserted !== undefined) return bs.drv.isInserted(bs);
  const children = childrenOf(bs, SITE_INSERTED);
  for (let child = children.first; child !== null; child = children.next(child)) {
    if (!bdrvIsInserted(nodeBehind(child, SITE_INSERTED))) return false;
  }
  return true;
}

/** C: child->bs, dereferenced at once: QEMU crashes where the edge points at nothing, here the run ends. Common. */
export function nodeBehind(child: BdrvChild, siteId: SiteId): BlockDriverState {
  const bs = edgeBs(child, siteId);
  modelAssert(bs !== null, "child->bs", siteId);
  return bs;
}
