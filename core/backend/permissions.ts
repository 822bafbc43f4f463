// What the user of a BlockBackend may do, and lets others do, with the node that it holds: the permissions of its root edge.
// They outlive the edge: a node that is inserted later gets the same (life.ts).

import { assert } from "../base/index.ts";
import { BLK_PERM_ALL, BLK_PERM_WRITE, type Permissions } from "../graph/permission-bits.ts";
import { bdrvChildTrySetPerm } from "../graph/permissions.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, ioCode, type Polls } from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkBs, blkRoot } from "./root.ts";

const SITE_SET = site("blk_set_perm");
const SITE_SUPPORTS = site("blk_supports_write_perm");
const SITE_GET_PERM = site("blk_get_perm");
const SITE_IS_WRITABLE = site("blk_is_writable");

/** blk_set_perm (block-backend.c:935): BlockError when the node cannot give them; nothing has changed then. Polls. */
export function* blkSetPerm(blk: BlockBackend, wanted: Permissions): Polls<void> {
  globalStateCode(SITE_SET);
  const { perm, sharedPerm } = wanted;
  assert((perm & ~BLK_PERM_ALL) === 0, "there are four permissions to ask for");
  assert((sharedPerm & ~BLK_PERM_ALL) === 0, "there are four permissions to share");
  const root = blkRoot(blk, SITE_SET);
  if (root !== null && !blk.disablePerm) yield* bdrvChildTrySetPerm(root, wanted);
  blk.perm = perm;
  blk.sharedPerm = sharedPerm;
}

/** blk_get_perm (block-backend.c:954). */
export function blkGetPerm(blk: BlockBackend): Permissions {
  globalStateCode(SITE_GET_PERM);
  assert(blk.refcnt > 0, "a BlockBackend with owners is alive");
  return { perm: blk.perm, sharedPerm: blk.sharedPerm };
}

/** blk_is_writable (block-backend.c:1922): its user asked for WRITE. */
export function blkIsWritable(blk: BlockBackend): boolean {
  ioCode(blk.ctx, SITE_IS_WRITABLE);
  assert(blk.refcnt > 0, "a BlockBackend with owners is alive");
  return (blk.perm & BLK_PERM_WRITE) !== 0;
}

/** blk_supports_write_perm (block-backend.c:1906): its node is not read-only; true while it has none. */
export function blkSupportsWritePerm(blk: BlockBackend): boolean {
  globalStateCode(SITE_SUPPORTS);
  assert(blk.refcnt > 0, "a BlockBackend with owners is alive");
  return blkBs(blk, SITE_SUPPORTS)?.readOnly !== true;
}
