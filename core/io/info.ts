// What is known of an image.

import { assert } from "../base/index.ts";
import { edgeBs } from "../graph/access.ts";
import { bdrvPrimaryChild } from "../graph/chain.ts";
import type { BlockDriverInfo } from "../graph/driver-results.ts";
import { BDRV_CHILD_FILTERED, type BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioOrGsCode } from "../sched/index.ts";

const SITE_INFO = site("bdrv_get_info");

/** bdrv_get_info (block.c:6257): of what passes requests on, that of what is below; null when nobody knows anything. */
export function bdrvGetInfo(bs: BlockDriverState): BlockDriverInfo | null {
  ioOrGsCode(bs.aioContext, SITE_INFO);
  assert(bs.id > 0, "a node has a number");
  if (bs.closed) return null;
  if (bs.drv.getInfo !== undefined) return bs.drv.getInfo(bs);
  const primary = bdrvPrimaryChild(bs);
  if (primary === null || (primary.role & BDRV_CHILD_FILTERED) === 0) return null;
  const below = edgeBs(primary, SITE_INFO);
  return below === null ? null : bdrvGetInfo(below);
}
