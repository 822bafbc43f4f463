// Reading through an edge.
//
// The order is QEMU's, and its races are what this project looks for: the edge's node, then the walk of bdrv_is_inserted,
// and only then the node's in-flight counter. Once counted, the request is tracked, waits for serialising ones that overlap,
// and goes to the driver; what lies behind the end of the node reads as zeroes.

import { ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { edgeHome } from "../graph/access.ts";
import {
  BDRV_REQ_COPY_ON_READ,
  type BdrvChild,
  type BdrvTrackedRequest,
  type BlockDriverState,
  type Qiov,
} from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, coChain, coThen, ioCode, modelAssert, settled } from "../sched/index.ts";
import { bdrvCheckRequest32 } from "./check-request.ts";
import { bdrvCoDoCopyOnReadv, bdrvCoIsAllocated, bdrvGetClusterSize } from "./copy-on-read.ts";
import { guestCopy, guestZero, qiovAfter, qiovOf } from "./guest-copy.ts";
import { bdrvIsInserted, nodeBehind } from "./inserted.ts";
import { bdrvGetlength } from "./length.ts";
import { alignUp, maxTransferOf } from "./limits.ts";
import { bdrvInitPadding } from "./padding.ts";
import { requestBegin, requestEnd } from "./request.ts";
import {
  bdrvMakeRequestSerialising,
  bdrvWaitSerialisingRequests,
  trackedRequestBegin,
  trackedRequestEnd,
} from "./tracked-request.ts";

const SITE_PREADV = site("bdrv_co_preadv_part");
const SITE_ALIGNED = site("bdrv_aligned_preadv");
const SITE_CO_PREADV = site("bdrv_co_preadv");
const SITE_DRIVER_PREADV = site("bdrv_driver_preadv");

/** bdrv_co_preadv (io.c:1722): read `bytes` at `offset` of the node behind `child` into `qiov`. 0 or a negated errno. */
export function bdrvCoPreadv(
  child: BdrvChild,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags = 0,
): Co<number> {
  ioCode(edgeHome(child), SITE_CO_PREADV);
  const bs = nodeBehind(child, SITE_PREADV);
  if (!bdrvIsInserted(bs)) return settled(-ENOMEDIUM);
  const checked = bdrvCheckRequest32(offset, bytes, qiov);
  if (checked < 0) return settled(checked);
  if (bytes === 0 && offset % bs.requestAlignment !== 0) return settled(0);
  const outermost = requestBegin(bs, Request.read, offset, bytes);
  const pad = bdrvInitPadding(bs, offset, bytes);
  const start = pad?.start ?? offset;
  const length = pad?.length ?? bytes;
  const target = pad === null ? qiov : qiovOf(pad.buffer);
  return coChain(trackedRequestBegin(bs, Request.read, start, length), (req) => {
    const copying = bs.copyOnRead > 0 ? flags | BDRV_REQ_COPY_ON_READ : flags;
    return coChain(bdrvAlignedPreadv(bs, req, start, length, target, copying), (ret) => {
      if (pad !== null && ret >= 0) guestCopy(qiov, qiovOf(pad.buffer, pad.head), bytes);
      return coThen(trackedRequestEnd(req), () => {
        requestEnd(bs, Request.read, ret, outermost);
        return ret;
      });
    });
  });
}

/** bdrv_aligned_preadv (io.c:1471): an aligned read of a tracked request; zeroes behind the end of the node. */
export function bdrvAlignedPreadv(
  bs: BlockDriverState,
  req: BdrvTrackedRequest,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_ALIGNED);
  modelAssert(offset % bs.requestAlignment === 0, "(offset & (align - 1)) == 0", SITE_ALIGNED);
  modelAssert(bytes % bs.requestAlignment === 0, "(bytes & (align - 1)) == 0", SITE_ALIGNED);
  if ((flags & BDRV_REQ_COPY_ON_READ) !== 0)
    return copyOnRead(bs, req, { offset, bytes }, qiov, flags);
  // The flag has reached its addressee.
  const rest = flags & ~BDRV_REQ_COPY_ON_READ;
  if (bs.serialisingInFlight === 0) return readInside(bs, offset, bytes, qiov, rest);
  return coChain(bdrvWaitSerialisingRequests(req), () => readInside(bs, offset, bytes, qiov, rest));
}

/** What the upper layer does not have is written to it as it is read. */
function* copyOnRead(
  bs: BlockDriverState,
  req: BdrvTrackedRequest,
  { offset, bytes }: ReadRange,
  qiov: Qiov,
  flags: number,
): Co<number> {
  yield* bdrvMakeRequestSerialising(req, bdrvGetClusterSize(bs));
  const { ret, pnum } = yield* bdrvCoIsAllocated(bs, offset, bytes);
  if (ret < 0) return ret;
  if (ret === 0 || pnum !== bytes) return yield* bdrvCoDoCopyOnReadv(bs, offset, bytes, qiov);
  return yield* readInside(bs, offset, bytes, qiov, flags & ~BDRV_REQ_COPY_ON_READ);
}

interface ReadRange {
  readonly offset: number;
  readonly bytes: number;
}

/** Read what is inside the node, in one piece if the driver takes it; behind its end are zeroes. */
function readInside(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  const total = bdrvGetlength(bs);
  if (total < 0) return settled(total);
  const there = alignUp(Math.max(0, total - offset), bs.requestAlignment);
  const inside = Math.min(bytes, there);
  // A request for nothing goes to the driver as well.
  if (inside < bytes || bytes > maxTransferOf(bs))
    return readPieces(bs, { offset, bytes }, inside, qiov, flags);
  return coThen(bdrvDriverPreadv(bs, offset, bytes, qiov, flags), (ret) => Math.min(ret, 0));
}

function* readPieces(
  bs: BlockDriverState,
  { offset, bytes }: ReadRange,
  inside: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  const most = maxTransferOf(bs);
  for (let done = 0; done < inside; ) {
    const piece = Math.min(inside - done, most);
    const into = qiovAfter(qiov, done);
    const ret = yield* bdrvDriverPreadv(bs, offset + done, piece, into, flags);
    if (ret < 0) return ret;
    done += piece;
  }
  if (inside < bytes) guestZero(qiovAfter(qiov, inside), bytes - inside);
  return 0;
}

/** bdrv_driver_preadv (io.c:1140). */
export function bdrvDriverPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_DRIVER_PREADV);
  const { drv } = bs;
  if (bs.closed) return settled(-ENOMEDIUM);
  if (drv.coPreadv === undefined) return settled(-ENOTSUP);
  return drv.coPreadv(bs, offset, bytes, qiov, flags);
}
