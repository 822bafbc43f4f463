// A node has grown or shrunk: its parents are told. Called by the request that did it, in its context, hence a read of
// `parents` by I/O code (reference, section 1.4).

import { assert } from "../base/index.ts";
import { parentsOf } from "../graph/access.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioCode } from "../sched/index.ts";

const SITE_RESIZE = site("bdrv_parent_cb_resize");

/** bdrv_parent_cb_resize (io.c:3462): a plain loop, as in C. */
export function bdrvParentCbResize(bs: BlockDriverState): void {
  ioCode(bs.aioContext, SITE_RESIZE);
  assert(bs.totalBytes >= 0, "a length is not negative");
  const parents = parentsOf(bs, SITE_RESIZE);
  for (let child = parents.first; child !== null; child = parents.next(child)) {
    child.klass.resize?.(child);
  }
}
