// `blkdebug`: a filter that fails requests by rule, holds them at breakpoints, and asserts that the block layer keeps to limits.
//
// Rules speak of events, which the block layer and drivers above tell of (core/io/debug-event.ts): see state.ts.

import type { SiteId } from "../../base/index.ts";
import { ENOTSUP } from "../../base/index.ts";
import { fileOf } from "../../graph/access.ts";
import { bdrvDefaultPerms } from "../../graph/default-perms.ts";
import {
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_RAW,
  type BlockStatus,
} from "../../graph/driver-results.ts";
import type { Permissions } from "../../graph/permission-bits.ts";
import type {
  BdrvChild,
  BlockDriver,
  BlockDriverState,
  Qiov,
  WritableAfterReopen,
} from "../../graph/state.ts";
import { bdrvCoPdiscard } from "../../io/discard.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { bdrvCoPwriteZeroes } from "../../io/write-zeroes.ts";
import { site } from "../../probe/index.ts";
import { type Co, modelAssert } from "../../sched/index.ts";
import { passThrough } from "../filter.ts";
import { blkdebugBreakpoints } from "./breakpoints.ts";
import { blkdebugCoDebugEvent, ruleCheck } from "./rules.ts";
import { blkdebugStateOf } from "./state.ts";

const SITE_READ = site("blkdebug_co_preadv");
const SITE_WRITE = site("blkdebug_co_pwritev");
const SITE_ZEROES = site("blkdebug_co_pwrite_zeroes");
const SITE_DISCARD = site("blkdebug_co_pdiscard");
const SITE_STATUS = site("blkdebug_co_block_status");

/** C: bdrv_blkdebug. A flush goes on to the file by itself. */
export const blkdebugDriver: BlockDriver = {
  formatName: "blkdebug",
  ...passThrough(fileOf),
  getAllocatedFileSize: () => -ENOTSUP,
  childPerm: blkdebugChildPerm,
  coPreadv: blkdebugCoPreadv,
  coPwritev: blkdebugCoPwritev,
  coPwriteZeroes: blkdebugCoPwriteZeroes,
  coPdiscard: blkdebugCoPdiscard,
  coFlushToDisk: (bs) => ruleCheck(bs, "flush", 0, 0),
  coBlockStatus: blkdebugCoBlockStatus,
  coDebugEvent: blkdebugCoDebugEvent,
  breakpoints: blkdebugBreakpoints,
};

/** blkdebug_child_perm (block/blkdebug.c:1026). */
function blkdebugChildPerm(
  bs: BlockDriverState,
  child: BdrvChild | null,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  const { takeChildPerms, unshareChildPerms } = blkdebugStateOf(bs);
  const { perm, sharedPerm } = bdrvDefaultPerms(bs, child, role, reopen, parent);
  return { perm: perm | takeChildPerms, sharedPerm: sharedPerm & ~unshareChildPerms };
}

function* blkdebugCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  assertTransfer(bs, offset, bytes, SITE_READ);
  const ret = yield* ruleCheck(bs, "read", offset, bytes);
  if (ret < 0) return ret;
  return yield* bdrvCoPreadv(file(bs, SITE_READ), offset, bytes, qiov, flags);
}

function* blkdebugCoPwritev(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  assertTransfer(bs, offset, bytes, SITE_WRITE);
  const ret = yield* ruleCheck(bs, "write", offset, bytes);
  if (ret < 0) return ret;
  return yield* bdrvCoPwritev(file(bs, SITE_WRITE), offset, bytes, qiov, flags);
}

/** blkdebug_co_pwrite_zeroes (block/blkdebug.c:667): what is less than a piece is refused, so that it is written as data. */
function* blkdebugCoPwriteZeroes(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  const { pwriteZeroesAlignment, maxPwriteZeroes } = bs.limits;
  const align = Math.max(bs.requestAlignment, pwriteZeroesAlignment);
  if (bytes < align) {
    assertInOnePiece(offset, bytes, align, SITE_ZEROES);
    return -ENOTSUP;
  }
  assertAligned(offset, bytes, align, SITE_ZEROES);
  if (maxPwriteZeroes > 0)
    modelAssert(bytes <= maxPwriteZeroes, "bytes <= bs->bl.max_pwrite_zeroes", SITE_ZEROES);
  const ret = yield* ruleCheck(bs, "write-zeroes", offset, bytes);
  if (ret < 0) return ret;
  return yield* bdrvCoPwriteZeroes(file(bs, SITE_ZEROES), offset, bytes, flags);
}

/** blkdebug_co_pdiscard (block/blkdebug.c:705). */
function* blkdebugCoPdiscard(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  const { pdiscardAlignment, maxPdiscard } = bs.limits;
  if (bytes < bs.requestAlignment) {
    assertInOnePiece(offset, bytes, Math.max(pdiscardAlignment, 1), SITE_DISCARD);
    return -ENOTSUP;
  }
  assertAligned(offset, bytes, bs.requestAlignment, SITE_DISCARD);
  if (pdiscardAlignment > 0 && bytes >= pdiscardAlignment)
    assertAligned(offset, bytes, pdiscardAlignment, SITE_DISCARD);
  if (maxPdiscard > 0)
    modelAssert(bytes <= maxPdiscard, "bytes <= bs->bl.max_pdiscard", SITE_DISCARD);
  const ret = yield* ruleCheck(bs, "discard", offset, bytes);
  if (ret < 0) return ret;
  return yield* bdrvCoPdiscard(file(bs, SITE_DISCARD), offset, bytes);
}

/** blkdebug_co_block_status (block/blkdebug.c:727): the file knows. */
function* blkdebugCoBlockStatus(
  bs: BlockDriverState,
  _wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  const ret = yield* ruleCheck(bs, "block-status", offset, bytes);
  if (ret < 0) return { ret, pnum: 0, map: 0, file: null };
  const below = nodeBehind(file(bs, SITE_STATUS), SITE_STATUS);
  return { ret: BDRV_BLOCK_RAW | BDRV_BLOCK_OFFSET_VALID, pnum: bytes, map: offset, file: below };
}

/** What the block layer promises of reads and writes. */
function assertTransfer(bs: BlockDriverState, offset: number, bytes: number, siteId: SiteId): void {
  const { maxTransfer } = bs.limits;
  assertAligned(offset, bytes, bs.requestAlignment, siteId);
  if (maxTransfer > 0) modelAssert(bytes <= maxTransfer, "bytes <= bs->bl.max_transfer", siteId);
}

function assertAligned(offset: number, bytes: number, align: number, siteId: SiteId): void {
  modelAssert(offset % align === 0, "QEMU_IS_ALIGNED(offset, align)", siteId);
  modelAssert(bytes % align === 0, "QEMU_IS_ALIGNED(bytes, align)", siteId);
}

/** A small request touches one piece only. */
function assertInOnePiece(offset: number, bytes: number, align: number, siteId: SiteId): void {
  const end = offset + bytes;
  const isInside = Math.ceil(offset / align) === Math.ceil(end / align);
  modelAssert(
    offset % align === 0 || end % align === 0 || isInside,
    "DIV_ROUND_UP(offset, align) == DIV_ROUND_UP(offset + bytes, align)",
    siteId,
  );
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}
