// `snapshot-access`: a node that shows what the driver of its `file` keeps of former contents. It can be read, and what is not needed
// any more can be given up by a discard; nothing can be written.

import { assert, ENOTSUP, type SiteId } from "../base/index.ts";
import { fileOf } from "../graph/access.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import { BLK_PERM_ALL } from "../graph/permission-bits.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type Qiov,
} from "../graph/state.ts";
import { nodeBehind } from "../io/inserted.ts";
import {
  bdrvCoPdiscardSnapshot,
  bdrvCoPreadvSnapshot,
  bdrvCoSnapshotBlockStatus,
} from "../io/snapshot.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, modelAssert, type Polls } from "../sched/index.ts";

const SITE_OPEN = site("snapshot_access_open");
const SITE_READ = site("snapshot_access_co_preadv_part");
const SITE_STATUS = site("snapshot_access_co_block_status");
const SITE_DISCARD = site("snapshot_access_co_pdiscard");

/** C: bdrv_snapshot_access_drv. It asks for no permission: whoever keeps the contents has what it takes. */
export const snapshotAccessDriver: BlockDriver = {
  formatName: "snapshot-access",
  isFilter: false,
  childPerm: () => ({ perm: 0, sharedPerm: BLK_PERM_ALL }),
  coPreadv: snapshotAccessCoPreadv,
  coPwritev: refused,
  coPwriteZeroes: refused,
  coPdiscard: (bs, offset, bytes) =>
    bdrvCoPdiscardSnapshot(nodeBehind(file(bs, SITE_DISCARD), SITE_DISCARD), offset, bytes),
  coBlockStatus: (bs, wantZero, offset, bytes) =>
    bdrvCoSnapshotBlockStatus(
      nodeBehind(file(bs, SITE_STATUS), SITE_STATUS),
      wantZero,
      offset,
      bytes,
    ),
};

/** snapshot_access_open (block/snapshot-access.c:83): above `fileBs`, whose reference it takes over. BlockError. Polls. */
export function* snapshotAccessOpen(
  nodeName: string,
  fileBs: BlockDriverState,
  readOnly = false,
): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(!fileBs.closed, "the file is open");
  return yield* bdrvOpenDriver(snapshotAccessDriver, nodeName, {
    readOnly,
    children: [{ name: "file", role: BDRV_CHILD_DATA | BDRV_CHILD_PRIMARY, bs: fileBs }],
  });
}

function* snapshotAccessCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  if (flags !== 0) return -ENOTSUP;
  return yield* bdrvCoPreadvSnapshot(file(bs, SITE_READ), offset, bytes, qiov);
}

function* refused(): Co<number> {
  return -ENOTSUP;
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}
