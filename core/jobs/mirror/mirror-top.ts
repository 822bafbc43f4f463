// The filter above the source of a mirror: it passes everything on, and marks what was written.
//
// In QEMU the mark is made by every write at the source itself (its dirty bitmap); the filter takes over all parents of the
// source, so that all writes pass here. A mark is made when the write has ended, well or not: a copy that began before that is
// made again.

import { assert, type SiteId } from "../../base/index.ts";
import { backingOf } from "../../graph/access.ts";
import { bdrvDefaultPerms } from "../../graph/default-perms.ts";
import { BLK_PERM_ALL, type Permissions } from "../../graph/permission-bits.ts";
import type {
  BdrvChild,
  BlockDriver,
  BlockDriverState,
  WritableAfterReopen,
} from "../../graph/state.ts";
import { bdrvCoPdiscard } from "../../io/discard.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { bdrvCoPwriteZeroes } from "../../io/write-zeroes.ts";
import { site } from "../../probe/index.ts";
import { type Co, modelAssert } from "../../sched/index.ts";
import { MirrorTopState } from "./state.ts";

const SITE_READ = site("bdrv_mirror_top_preadv");
const SITE_WRITE = site("bdrv_mirror_top_pwritev");
const SITE_ZEROES = site("bdrv_mirror_top_pwrite_zeroes");
const SITE_DISCARD = site("bdrv_mirror_top_pdiscard");

/** bdrv_mirror_top (block/mirror.c:1603): its length is that of its birth, as nobody may resize the source meanwhile. */
export const mirrorTopDriver: BlockDriver = {
  formatName: "mirror_top",
  isFilter: true,
  filteredChildIsBacking: true,
  childPerm: mirrorTopChildPerm,
  reopenPrepare: () => undefined,
  coPreadv: (bs, offset, bytes, qiov, flags) =>
    bdrvCoPreadv(backing(bs, SITE_READ), offset, bytes, qiov, flags),
  coPwritev: (bs, offset, bytes, qiov, flags) =>
    marked(bs, offset, bytes, () =>
      bdrvCoPwritev(backing(bs, SITE_WRITE), offset, bytes, qiov, flags),
    ),
  coPwriteZeroes: (bs, offset, bytes, flags) =>
    marked(bs, offset, bytes, () =>
      bdrvCoPwriteZeroes(backing(bs, SITE_ZEROES), offset, bytes, flags),
    ),
  coPdiscard: (bs, offset, bytes) =>
    marked(bs, offset, bytes, () => bdrvCoPdiscard(backing(bs, SITE_DISCARD), offset, bytes)),
};

/** bdrv_mirror_top_do_write (block/mirror.c:1434). */
function* marked(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  write: () => Co<number>,
): Co<number> {
  const ret = yield* write();
  mirrorTopStateOf(bs).job?.dirty.set(offset, bytes);
  return ret;
}

/** bdrv_mirror_top_child_perm (block/mirror.c:1560): a filter's, until the job ends. */
function mirrorTopChildPerm(
  bs: BlockDriverState,
  child: BdrvChild | null,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  if (mirrorTopStateOf(bs).stop) return { perm: 0, sharedPerm: BLK_PERM_ALL };
  return bdrvDefaultPerms(bs, child, role, reopen, parent);
}

function backing(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = backingOf(bs, siteId);
  modelAssert(child !== null, "bs->backing", siteId);
  return child;
}

/** The state of a node `mirror_top`. Common. */
export function mirrorTopStateOf(bs: BlockDriverState): MirrorTopState {
  assert(bs.opaque instanceof MirrorTopState, "the node is a mirror's filter");
  return bs.opaque;
}
