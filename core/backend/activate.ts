// What a BlockBackend does when its image is handed over to another machine, or comes back: it lets go of its permissions, and
// takes them again. A guest's may always be handed over, others only if they do not write.

import { assert, EPERM } from "../base/index.ts";
import { BlockError, settle, unwrap } from "../graph/block-error.ts";
import { BLK_PERM_ALL, BLK_PERM_ANY_WRITE } from "../graph/permission-bits.ts";
import { bdrvChildTrySetPerm } from "../graph/permissions.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, type Polls } from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkSetPerm } from "./permissions.ts";
import { blkRoot } from "./root.ts";

const SITE_ACTIVATE = site("blk_root_activate");
const SITE_INACTIVATE = site("blk_root_inactivate");

/**
 * blk_root_activate (block-backend.c:188): BlockError when its permissions cannot be had again; it stays without. Polls.
 * Differs from QEMU: no machine here waits for a migration, after which alone others would lose what is not shared.
 */
export function* blkRootActivate(blk: BlockBackend): Polls<void> {
  globalStateCode(SITE_ACTIVATE);
  if (!blk.disablePerm) return;
  const { perm, sharedPerm } = blk;
  assert((sharedPerm & ~BLK_PERM_ALL) === 0, "there are four permissions to share");
  blk.disablePerm = false;
  const done = yield* settle(function* (): Polls<void> {
    // All shared at first: others may still be on their way.
    yield* blkSetPerm(blk, { perm, sharedPerm: BLK_PERM_ALL });
    blk.sharedPerm = sharedPerm;
    yield* blkSetPerm(blk, { perm, sharedPerm });
  });
  if (!done.ok) blk.disablePerm = true;
  unwrap(done);
}

/** blk_root_inactivate (block-backend.c:261): BlockError EPERM when it must go on writing. Polls. */
export function* blkRootInactivate(blk: BlockBackend): Polls<void> {
  globalStateCode(SITE_INACTIVATE);
  if (blk.disablePerm) return;
  if (!blkCanInactivate(blk)) throw new BlockError(EPERM, "The block backend must go on writing");
  blk.disablePerm = true;
  const root = blkRoot(blk, SITE_INACTIVATE);
  assert(root !== null, "who is asked through its root edge has one");
  yield* bdrvChildTrySetPerm(root, { perm: 0, sharedPerm: BLK_PERM_ALL });
}

/** blk_can_inactivate (block-backend.c:242). */
function blkCanInactivate(blk: BlockBackend): boolean {
  if (blk.dev !== null || blk.name !== "") return true;
  return (blk.perm & BLK_PERM_ANY_WRITE) === 0 || blk.forceAllowInactivate;
}
