// A node has just been opened: whoever has it as a medium already is told. BlockBackends pass it on to their device.

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode } from "../sched/index.ts";
import { parentsOf } from "./access.ts";
import type { BlockDriverState } from "./state.ts";

const SITE_CHANGE_MEDIA = site("bdrv_parent_cb_change_media");

/** bdrv_parent_cb_change_media (block.c:3273): a plain loop, as in C; `load` is false when the medium goes. */
export function bdrvParentCbChangeMedia(bs: BlockDriverState, load: boolean): void {
  globalStateCode(SITE_CHANGE_MEDIA);
  assert(!bs.closed, "a medium is an open node");
  const parents = parentsOf(bs, SITE_CHANGE_MEDIA);
  for (let child = parents.first; child !== null; child = parents.next(child))
    child.klass.changeMedia?.(child, load);
}
