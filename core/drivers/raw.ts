// `raw`: the format that is none. It passes requests on to its `file` child, whose length it asks for each time.

import { assert, type SiteId } from "../base/index.ts";
import { edgeListens, fileOf } from "../graph/access.ts";
import type { BlkdebugEvent } from "../graph/debug-events.ts";
import { bdrvDefaultPerms } from "../graph/default-perms.ts";
import {
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_RAW,
  type BlockStatus,
} from "../graph/driver-results.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import { BLK_PERM_RESIZE, BLK_PERM_WRITE, type Permissions } from "../graph/permission-bits.ts";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type WritableAfterReopen,
} from "../graph/state.ts";
import { blkdbgEvent } from "../io/debug-event.ts";
import { bdrvCoPdiscard } from "../io/discard.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoTruncate } from "../io/truncate.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwriteZeroes } from "../io/write-zeroes.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, modelAssert, type Polls } from "../sched/index.ts";

const SITE_READ = site("raw_co_preadv");
const SITE_WRITE = site("raw_co_pwritev");
const SITE_ZEROES = site("raw_co_pwrite_zeroes");
const SITE_DISCARD = site("raw_co_pdiscard");
const SITE_STATUS = site("raw_co_block_status");
const SITE_TRUNCATE = site("raw_co_truncate");
const SITE_LENGTH = site("raw_getlength");
const SITE_RAW_OPEN = site("raw_open");

/** C: bdrv_raw. */
export const rawDriver: BlockDriver = {
  formatName: "raw",
  childPerm: rawChildPerm,
  isFilter: false,
  hasVariableLength: true,
  coPreadv: (bs, offset, bytes, qiov, flags) => {
    const child = file(bs, SITE_READ);
    const read = (): Co<number> => bdrvCoPreadv(child, offset, bytes, qiov, flags);
    return edgeListens(child) ? announced(child, "read_aio", read) : read();
  },
  coPwritev: (bs, offset, bytes, qiov, flags) => {
    const child = file(bs, SITE_WRITE);
    const write = (): Co<number> => bdrvCoPwritev(child, offset, bytes, qiov, flags);
    return edgeListens(child) ? announced(child, "write_aio", write) : write();
  },
  coPwriteZeroes: (bs, offset, bytes, flags) =>
    bdrvCoPwriteZeroes(file(bs, SITE_ZEROES), offset, bytes, flags),
  coPdiscard: (bs, offset, bytes) => bdrvCoPdiscard(file(bs, SITE_DISCARD), offset, bytes),
  coBlockStatus: rawCoBlockStatus,
  coTruncate: (bs, offset, how) => bdrvCoTruncate(file(bs, SITE_TRUNCATE), offset, how),
  getlength: (bs) => bdrvGetlength(nodeBehind(file(bs, SITE_LENGTH), SITE_LENGTH)),
  reopenPrepare: () => undefined,
};

/** A request of which the file is told first. */
function* announced(child: BdrvChild, event: BlkdebugEvent, go: () => Co<number>): Co<number> {
  yield* blkdbgEvent(child, event);
  return yield* go();
}

/** bdrv_open with the driver `raw` above the node `fileBs`, whose reference it takes over. Polls. */
export function* rawOpen(
  nodeName: string,
  fileBs: BlockDriverState,
  readOnly = false,
): Polls<BlockDriverState> {
  globalStateCode(SITE_RAW_OPEN);
  assert(!fileBs.closed, "the file is open");
  return yield* bdrvOpenDriver(rawDriver, nodeName, {
    // Without an offset it is as good as a filter, although it is a format.
    children: [{ name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: fileBs }],
    readOnly,
  });
}

/** raw_co_block_status (block/raw-format.c:281): the file knows. */
function* rawCoBlockStatus(
  bs: BlockDriverState,
  _wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  const below = nodeBehind(file(bs, SITE_STATUS), SITE_STATUS);
  return {
    ret: BDRV_BLOCK_RAW | BDRV_BLOCK_OFFSET_VALID,
    pnum: bytes,
    map: offset,
    file: below,
  };
}

/** raw_child_perm (block/raw-format.c:587): WRITE and RESIZE only when a parent asks; there is no metadata to write. */
function rawChildPerm(
  bs: BlockDriverState,
  child: BdrvChild | null,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  const { perm, sharedPerm } = bdrvDefaultPerms(bs, child, role, reopen, parent);
  const writing = BLK_PERM_WRITE | BLK_PERM_RESIZE;
  return { perm: (perm & ~writing) | (parent.perm & writing), sharedPerm };
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}
