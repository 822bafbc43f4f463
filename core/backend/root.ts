// The root edge of a BlockBackend: every read of it, with its event and the site of the reader, and the two edits.

import type { SiteId } from "../base/index.ts";
import { assert } from "../base/index.ts";
import { edgeBs } from "../graph/access.ts";
import type { BdrvChild, BlockDriverState } from "../graph/state.ts";
import { Ev, List } from "../probe/index.ts";
import { globalStateCode, ioCode, machine } from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";

/** C: blk->root. Common. */
export function blkRoot(blk: BlockBackend, siteId: SiteId): BdrvChild | null {
  machine.probe.emit(Ev.list_read, List.blk_root, blk.id, siteId);
  return blk.rawRoot;
}

/** blk_bs (block-backend.c:757): the node behind the root edge, or null. */
export function blkBs(blk: BlockBackend, siteId: SiteId): BlockDriverState | null {
  ioCode(null, siteId);
  const root = blkRoot(blk, siteId);
  return root === null ? null : edgeBs(root, siteId);
}

/** C: blk->root = root. */
export function setBlkRoot(blk: BlockBackend, root: BdrvChild | null, siteId: SiteId): void {
  globalStateCode(siteId);
  assert(blk.rawRoot !== root, "the root edge is set to something else");
  assert(root === null || root.opaque === blk, "a root edge belongs to its BlockBackend");
  blk.rawRoot = root;
  machine.probe.emit(Ev.list_set, List.blk_root, blk.id, root === null ? 0 : root.id, siteId);
}
