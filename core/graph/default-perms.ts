// What a node asks of its children when its driver has no opinion of its own: by the role of the edge.
//
// Filters pass on what their parents ask. An overlay reads its backing file, and lets others write to it only if its own
// parents can live with changing data. A format owns its storage: it may write metadata although nobody writes to it, and
// nobody else may write or resize. A node whose image was handed over to another machine (inactive) claims nothing.

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, ioCode, modelAssert } from "../sched/index.ts";
import {
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  DEFAULT_PERM_PASSTHROUGH,
  type Permissions,
} from "./permission-bits.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_METADATA,
  type BdrvChild,
  type BlockDriverState,
  type WritableAfterReopen,
} from "./state.ts";

const SITE_DEFAULT_PERMS = site("bdrv_default_perms");
const SITE_IS_WRITABLE = site("bdrv_is_writable");
const SITE_IS_WRITABLE_AFTER_REOPEN = site("bdrv_is_writable_after_reopen");

const STORAGE = BDRV_CHILD_DATA | BDRV_CHILD_METADATA;

/** bdrv_default_perms (block.c:2789): the `childPerm` of most drivers. */
export function bdrvDefaultPerms(
  bs: BlockDriverState,
  _child: BdrvChild | null,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  globalStateCode(SITE_DEFAULT_PERMS);
  if ((role & BDRV_CHILD_FILTERED) !== 0) {
    const alone = (role & (STORAGE | BDRV_CHILD_COW)) === 0;
    modelAssert(alone, "!(role & (BDRV_CHILD_DATA | BDRV_CHILD_METADATA | BDRV_CHILD_COW))");
    return filterDefaultPerms(parent);
  }
  if ((role & BDRV_CHILD_COW) !== 0) {
    const alone = (role & STORAGE) === 0;
    modelAssert(alone, "!(role & (BDRV_CHILD_DATA | BDRV_CHILD_METADATA))");
    return permsForCow(bs, parent);
  }
  assert((role & STORAGE) !== 0, "an edge below a node has a role");
  return permsForStorage(bs, role, reopen, parent);
}

/** bdrv_is_writable_after_reopen (block.c:2170): with the reopens in `reopen` done, or as it is now. */
export function bdrvIsWritableAfterReopen(
  bs: BlockDriverState,
  reopen: WritableAfterReopen | null,
): boolean {
  globalStateCode(SITE_IS_WRITABLE_AFTER_REOPEN);
  assert(bs.id > 0, "a node has a number");
  return reopen?.get(bs) ?? isWritable(bs);
}

/** bdrv_is_writable (block.c:2185). */
export function bdrvIsWritable(bs: BlockDriverState): boolean {
  ioCode(bs.aioContext, SITE_IS_WRITABLE);
  assert(bs.id > 0, "a node has a number");
  return isWritable(bs);
}

function isWritable(bs: BlockDriverState): boolean {
  return !bs.readOnly && !bs.inactive;
}

/** bdrv_filter_default_perms (block.c:2662). */
function filterDefaultPerms(parent: Permissions): Permissions {
  return {
    perm: parent.perm & DEFAULT_PERM_PASSTHROUGH,
    sharedPerm: parent.sharedPerm & DEFAULT_PERM_PASSTHROUGH,
  };
}

/** bdrv_default_perms_for_cow (block.c:2673). */
function permsForCow(bs: BlockDriverState, parent: Permissions): Permissions {
  const othersWrite = (parent.sharedPerm & BLK_PERM_WRITE) !== 0 || bs.inactive;
  const writing = othersWrite ? BLK_PERM_WRITE | BLK_PERM_RESIZE : 0;
  return {
    perm: parent.perm & BLK_PERM_CONSISTENT_READ,
    sharedPerm: writing | BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED,
  };
}

/** bdrv_default_perms_for_storage (block.c:2709). */
function permsForStorage(
  bs: BlockDriverState,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  let { perm, sharedPerm } = filterDefaultPerms(parent);
  if ((role & BDRV_CHILD_METADATA) !== 0) {
    if (bdrvIsWritableAfterReopen(bs, reopen)) perm |= BLK_PERM_WRITE | BLK_PERM_RESIZE;
    perm |= BLK_PERM_CONSISTENT_READ;
    sharedPerm &= ~(BLK_PERM_WRITE | BLK_PERM_RESIZE);
  }
  if ((role & BDRV_CHILD_DATA) !== 0) {
    sharedPerm &= ~BLK_PERM_RESIZE;
    // Copied clusters are new to the data file, and writing may go beyond its end.
    if ((perm & BLK_PERM_WRITE_UNCHANGED) !== 0) perm |= BLK_PERM_WRITE;
    if ((perm & BLK_PERM_WRITE) !== 0) perm |= BLK_PERM_RESIZE;
  }
  if (bs.inactive) sharedPerm |= BLK_PERM_WRITE | BLK_PERM_RESIZE;
  return { perm, sharedPerm };
}
