// Writing through an edge. As reading (read.ts), and: the edge must have the permission, what may not be written is refused,
// the generation that flushes look at moves on, a write behind the end makes the node longer and tells its parents, and a write with BDRV_REQ_FUA is followed by
// a flush of the node, as no driver here can do better.

import { assert, EBUSY, ENOMEDIUM, EPERM } from "../base/index.ts";
import { bdrvDirtyBitmapTruncate, bdrvSetDirty } from "../bitmaps/dirty.ts";
import { bdrvHasReadonlyBitmaps } from "../bitmaps/flags.ts";
import { edgeHome } from "../graph/access.ts";
import { BLK_PERM_ANY_WRITE, BLK_PERM_RESIZE, BLK_PERM_WRITE } from "../graph/permission-bits.ts";
import {
  BDRV_REQ_MAY_UNMAP,
  BDRV_REQ_NO_WAIT,
  BDRV_REQ_SERIALISING,
  BDRV_REQ_WRITE_COMPRESSED,
  BDRV_REQ_WRITE_UNCHANGED,
  type BdrvChild,
  type BdrvTrackedRequest,
  type BlockDriverState,
  type Qiov,
} from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, coChain, coThen, ioCode, modelAssert, settled } from "../sched/index.ts";
import { bdrvCheckRequest32 } from "./check-request.ts";
import { bdrvGetClusterSize } from "./copy-on-read.ts";
import { bdrvDebugEvent } from "./debug-event.ts";
import {
  bdrvCoDoPwriteZeroes,
  bdrvDriverPwritevCompressed,
  bufferIsZero,
  driverPwritevPieces,
} from "./driver-write.ts";
import { guestCopy, qiovOf } from "./guest-copy.ts";
import { bdrvIsInserted, nodeBehind } from "./inserted.ts";
import { alignUp, BDRV_SECTOR_SIZE } from "./limits.ts";
import { type BdrvRequestPadding, bdrvInitPadding } from "./padding.ts";
import { bdrvAlignedPreadv } from "./read.ts";
import { requestBegin, requestEnd } from "./request.ts";
import { bdrvParentCbResize } from "./resize.ts";
import {
  bdrvMakeRequestSerialising,
  bdrvTryMakeRequestSerialising,
  bdrvWaitSerialisingRequests,
  trackedRequestBegin,
  trackedRequestEnd,
} from "./tracked-request.ts";
import { bdrvWriteThresholdCheckWrite } from "./write-threshold.ts";

const SITE_PWRITEV = site("bdrv_co_pwritev_part");
const SITE_ALIGNED = site("bdrv_aligned_pwritev");
const SITE_PREPARE = site("bdrv_co_write_req_prepare");
const SITE_CO_PWRITEV = site("bdrv_co_pwritev");
const SITE_PADDING_RMW_READ = site("bdrv_padding_rmw_read");
const SITE_CO_WRITE_REQ_FINISH = site("bdrv_co_write_req_finish");

/** bdrv_co_pwritev (io.c:2220): write `bytes` of `qiov` at `offset` of the node behind `child`. 0 or a negated errno. */
export function bdrvCoPwritev(
  child: BdrvChild,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags = 0,
): Co<number> {
  ioCode(edgeHome(child), SITE_CO_PWRITEV);
  const bs = nodeBehind(child, SITE_PWRITEV);
  if (!bdrvIsInserted(bs)) return settled(-ENOMEDIUM);
  const checked = bdrvCheckRequest32(offset, bytes, qiov);
  if (checked < 0) return settled(checked);
  if (bytes === 0 && offset % bs.requestAlignment !== 0) return settled(0);
  const outermost = requestBegin(bs, Request.write, offset, bytes);
  const pad = bdrvInitPadding(bs, offset, bytes);
  const start = pad?.start ?? offset;
  const length = pad?.length ?? bytes;
  return coChain(trackedRequestBegin(bs, Request.write, start, length), (req) => {
    const written =
      pad === null
        ? bdrvAlignedPwritev(child, req, offset, bytes, qiov, flags)
        : paddedPwritev(child, req, pad, bytes, qiov, flags);
    return coChain(written, (ret) =>
      coThen(trackedRequestEnd(req), () => {
        requestEnd(bs, Request.write, ret, outermost);
        return ret;
      }),
    );
  });
}

/** The read-modify-write cycle of an unaligned write: nobody else may touch the widened range meanwhile. */
function* paddedPwritev(
  child: BdrvChild,
  req: BdrvTrackedRequest,
  pad: BdrvRequestPadding,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  const { bs } = req;
  yield* bdrvMakeRequestSerialising(req, bs.requestAlignment);
  const read = yield* bdrvPaddingRmwRead(bs, req, pad);
  if (read < 0) return read;
  guestCopy(qiovOf(pad.buffer, pad.head), qiov, bytes);
  return yield* bdrvAlignedPwritev(child, req, pad.start, pad.length, qiovOf(pad.buffer), flags);
}

/**
 * bdrv_padding_rmw_read (io.c:1624): read the blocks that the request covers in part. 0 or a negated errno, which QEMU 7.2 overlooks: it
 * then writes back what it has not read.
 */
export function* bdrvPaddingRmwRead(
  bs: BlockDriverState,
  req: BdrvTrackedRequest,
  pad: BdrvRequestPadding,
): Co<number> {
  ioCode(bs.aioContext, SITE_PADDING_RMW_READ);
  const align = bs.requestAlignment;
  const { head, tail, start, length, mergeReads } = pad;
  assert(req.serialising, "a read-modify-write cycle is serialising");
  assert(length >= align, "a widened range has a block at least");
  if (head > 0 || mergeReads) {
    if (head > 0) yield* bdrvDebugEvent(bs, "pwritev_rmw_head");
    if (mergeReads && tail > 0) yield* bdrvDebugEvent(bs, "pwritev_rmw_tail");
    const bytes = mergeReads ? length : align;
    const ret = yield* bdrvAlignedPreadv(bs, req, start, bytes, pad.headBlock, 0);
    if (ret < 0) return ret;
    if (head > 0) yield* bdrvDebugEvent(bs, "pwritev_rmw_after_head");
    if (mergeReads && tail > 0) yield* bdrvDebugEvent(bs, "pwritev_rmw_after_tail");
  }
  if (tail === 0 || mergeReads) return 0;
  yield* bdrvDebugEvent(bs, "pwritev_rmw_tail");
  const last = start + length - align;
  const ret = yield* bdrvAlignedPreadv(bs, req, last, align, pad.tailBlock, 0);
  if (ret < 0) return ret;
  yield* bdrvDebugEvent(bs, "pwritev_rmw_after_tail");
  return 0;
}

/** bdrv_aligned_pwritev (io.c:2064): an aligned write of a tracked request that came through `child`. */
export function bdrvAlignedPwritev(
  child: BdrvChild,
  req: BdrvTrackedRequest,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  ioCode(edgeHome(child), SITE_ALIGNED);
  const { bs } = req;
  modelAssert(offset % bs.requestAlignment === 0, "(offset & (align - 1)) == 0", SITE_ALIGNED);
  modelAssert(bytes % bs.requestAlignment === 0, "(bytes & (align - 1)) == 0", SITE_ALIGNED);
  if (bs.closed) return settled(-ENOMEDIUM);
  if (bdrvHasReadonlyBitmaps(bs)) return settled(-EPERM);
  const prepared = bdrvCoWriteReqPrepare(child, req, offset, bytes, flags);
  const written = coChain(prepared, (ret) =>
    ret < 0 ? settled(ret) : writePrepared(bs, offset, bytes, qiov, flags),
  );
  return coChain(written, (ret) =>
    coThen(bdrvDebugEvent(bs, "pwritev_done"), () => {
      bdrvCoWriteReqFinish(bs, req, { offset, bytes }, ret);
      return Math.min(ret, 0);
    }),
  );
}

/** As zeroes, compressed, or as it is. */
function writePrepared(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  if (bs.detectZeroes !== "off" && isAllZero(bs, qiov, bytes)) {
    const unmap = bs.detectZeroes === "unmap" ? BDRV_REQ_MAY_UNMAP : 0;
    return coChain(bdrvDebugEvent(bs, "pwritev_zero"), () =>
      bdrvCoDoPwriteZeroes(bs, offset, bytes, flags | unmap),
    );
  }
  if ((flags & BDRV_REQ_WRITE_COMPRESSED) !== 0)
    return bdrvDriverPwritevCompressed(bs, offset, bytes, qiov);
  return coChain(bdrvDebugEvent(bs, "pwritev"), () =>
    driverPwritevPieces(bs, offset, bytes, qiov, flags),
  );
}

function isAllZero(bs: BlockDriverState, qiov: Qiov, bytes: number): boolean {
  return bs.drv.coPwriteZeroes !== undefined && bufferIsZero(qiov, bytes);
}

/**
 * bdrv_co_write_req_prepare (io.c:1955): refuse a node that is read-only; wait for serialising requests that overlap; assert
 * that `child` may do this to `bytes` at `offset`, by now, since an edit may have taken the permission while it waited.
 */
export function bdrvCoWriteReqPrepare(
  child: BdrvChild,
  req: BdrvTrackedRequest,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  ioCode(edgeHome(child), SITE_PREPARE);
  const { bs } = req;
  if (bs.readOnly) return settled(-EPERM);
  modelAssert(!bs.inactive, "!(bs->open_flags & BDRV_O_INACTIVE)", SITE_PREPARE);
  const waits = (flags & BDRV_REQ_NO_WAIT) === 0;
  modelAssert(
    waits || (flags & BDRV_REQ_SERIALISING) !== 0,
    "!((flags & BDRV_REQ_NO_WAIT) && !(flags & BDRV_REQ_SERIALISING))",
    SITE_PREPARE,
  );
  const range = { offset, bytes };
  if ((flags & BDRV_REQ_SERIALISING) === 0 && bs.serialisingInFlight === 0)
    return settled(checkPrepared(child, req, range, flags));
  return waitAndCheck(child, req, range, flags);
}

function* waitAndCheck(
  child: BdrvChild,
  req: BdrvTrackedRequest,
  range: WrittenRange,
  flags: number,
): Co<number> {
  if ((flags & BDRV_REQ_SERIALISING) !== 0) {
    const ret = yield* serialise(req, (flags & BDRV_REQ_NO_WAIT) !== 0);
    if (ret < 0) return ret;
  } else {
    yield* bdrvWaitSerialisingRequests(req);
  }
  return checkPrepared(child, req, range, flags);
}

function checkPrepared(
  { perm }: BdrvChild,
  req: BdrvTrackedRequest,
  { offset, bytes }: WrittenRange,
  flags: number,
): number {
  const { bs } = req;
  modelAssert(
    (perm & BLK_PERM_RESIZE) !== 0 || offset + bytes <= alignUp(bs.totalBytes, BDRV_SECTOR_SIZE),
    "offset + bytes <= bs->total_sectors * BDRV_SECTOR_SIZE || child->perm & BLK_PERM_RESIZE",
    SITE_PREPARE,
  );
  if (req.type === Request.truncate) {
    modelAssert((perm & BLK_PERM_RESIZE) !== 0, "child->perm & BLK_PERM_RESIZE", SITE_PREPARE);
    return 0;
  }
  if ((flags & BDRV_REQ_WRITE_UNCHANGED) !== 0) {
    modelAssert(
      (perm & BLK_PERM_ANY_WRITE) !== 0,
      "child->perm & (BLK_PERM_WRITE_UNCHANGED | BLK_PERM_WRITE)",
      SITE_PREPARE,
    );
  } else {
    modelAssert((perm & BLK_PERM_WRITE) !== 0, "child->perm & BLK_PERM_WRITE", SITE_PREPARE);
  }
  bdrvWriteThresholdCheckWrite(bs, offset, bytes);
  return 0;
}

/** BDRV_REQ_SERIALISING: alone in its clusters; with `noWait` EBUSY when others are there. */
function* serialise(req: BdrvTrackedRequest, noWait: boolean): Co<number> {
  const clusterBytes = bdrvGetClusterSize(req.bs);
  if (noWait) return (yield* bdrvTryMakeRequestSerialising(req, clusterBytes)) ? 0 : -EBUSY;
  yield* bdrvMakeRequestSerialising(req, clusterBytes);
  return 0;
}

/** Where a request has changed a node. */
export interface WrittenRange {
  readonly offset: number;
  readonly bytes: number;
}

/**
 * bdrv_co_write_req_finish (io.c:2009): the request, which is over with `ret`, may have made the node longer; bitmaps note the
 * range, also when it failed, since a part of it may have been written.
 */
export function bdrvCoWriteReqFinish(
  bs: BlockDriverState,
  req: BdrvTrackedRequest,
  { offset, bytes }: WrittenRange,
  ret: number,
): void {
  ioCode(bs.aioContext, SITE_CO_WRITE_REQ_FINISH);
  assert(offset >= 0 && bytes >= 0, "requests lie inside an image");
  bs.writeGen++;
  const isTruncate = req.type === Request.truncate;
  if (ret >= 0 && req.type !== Request.discard) {
    const end = alignUp(offset + bytes, BDRV_SECTOR_SIZE);
    if (isTruncate || end > bs.totalBytes) {
      bs.totalBytes = end;
      bdrvParentCbResize(bs);
      bdrvDirtyBitmapTruncate(bs, end);
    }
  }
  if (!isTruncate && bytes > 0) bdrvSetDirty(bs, offset, bytes);
}
