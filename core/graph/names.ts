// What users call a node: the name of a BlockBackend above it, if one has any, else its node-name.
//
// These walk `parents`, in whatever thread an error message is made: no drain covers them there.

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { ioCode } from "../sched/index.ts";
import { parentsOf } from "./access.ts";
import type { BlockDriverState } from "./state.ts";

const SITE_PARENT_NAME = site("bdrv_get_parent_name");

/** bdrv_get_parent_name (block.c:6164): of several names, that of the newest parent; null when none has one. */
export function bdrvGetParentName(bs: BlockDriverState): string | null {
  ioCode(bs.aioContext, SITE_PARENT_NAME);
  assert(bs.nodeName.length > 0, "every node has a node-name");
  const parents = parentsOf(bs, SITE_PARENT_NAME);
  for (let edge = parents.first; edge !== null; edge = parents.next(edge)) {
    const name = edge.klass.getName?.(edge) ?? "";
    if (name !== "") return name;
  }
  return null;
}

/** bdrv_get_device_name (block.c:6185): "" when no parent has a name. */
export function bdrvGetDeviceName(bs: BlockDriverState): string {
  ioCode(bs.aioContext, SITE_PARENT_NAME);
  assert(bs.id > 0, "a node has a number");
  return bdrvGetParentName(bs) ?? "";
}

/** bdrv_get_device_or_node_name (block.c:6195): for messages. */
export function bdrvGetDeviceOrNodeName(bs: BlockDriverState): string {
  ioCode(bs.aioContext, SITE_PARENT_NAME);
  assert(bs.id > 0, "a node has a number");
  return bdrvGetParentName(bs) ?? bs.nodeName;
}
