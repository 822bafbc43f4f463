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
import { type Co, ioCode, modelAssert } from "../sched/index.ts";
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
export function* bdrvCoPreadv(
  child: BdrvChild,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags = 0,
): Co<number> {
  ioCode(edgeHome(child), SITE_CO_PREADV);
  const bs = nodeBehind(child, SITE_PREADV);
  if (!bdrvIsInserted(bs)) return -ENOMEDIUM;
  const checked = bdrvCheckRequest32(offset, bytes, qiov);
  if (checked < 0) return checked;
  if (bytes === 0 && offset % bs.requestAlignment !== 0) return 0;
  const outermost = requestBegin(bs, Request.read, offset, bytes);
  const pad = bdrvInitPadding(bs, offset, bytes);
  const start = pad?.start ?? offset;
  const length = pad?.length ?? bytes;
  const target = pad === null ? qiov : qiovOf(pad.buffer);
  const req = yield* trackedRequestBegin(bs, Request.read, start, length);
  const copying = bs.copyOnRead > 0 ? flags | BDRV_REQ_COPY_ON_READ : flags;
  const ret = yield* bdrvAlignedPreadv(bs, req, start, length, target, copying);
  if (pad !== null && ret >= 0) guestCopy(qiov, qiovOf(pad.buffer, pad.head), bytes);
  yield* trackedRequestEnd(req);
  requestEnd(bs, Request.read, ret, outermost);
  return ret;
}

/** bdrv_aligned_preadv (io.c:1471): an aligned read of a tracked request; zeroes behind the end of the node. */
export function* bdrvAlignedPreadv(
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
  if ((flags & BDRV_REQ_COPY_ON_READ) !== 0) {
    yield* bdrvMakeRequestSerialising(req, bdrvGetClusterSize(bs));
    const { ret, pnum } = yield* bdrvCoIsAllocated(bs, offset, bytes);
    if (ret < 0) return ret;
    if (ret === 0 || pnum !== bytes) return yield* bdrvCoDoCopyOnReadv(bs, offset, bytes, qiov);
  } else if (bs.serialisingInFlight > 0) {
    yield* bdrvWaitSerialisingRequests(req);
  }
  const total = bdrvGetlength(bs);
  if (total < 0) return total;
  const there = alignUp(Math.max(0, total - offset), bs.requestAlignment);
  const inside = Math.min(bytes, there);
  const most = maxTransferOf(bs);
  // A request for nothing goes to the driver as well.
  for (let done = 0; done < inside || bytes === 0; ) {
    const piece = Math.min(inside - done, most);
    const into = qiovAfter(qiov, done);
    // The flag has reached its addressee.
    const rest = flags & ~BDRV_REQ_COPY_ON_READ;
    const ret = yield* bdrvDriverPreadv(bs, offset + done, piece, into, rest);
    if (ret < 0) return ret;
    done += piece;
    if (done === inside) break;
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
  if (bs.closed) return fail(-ENOMEDIUM);
  if (drv.coPreadv === undefined) return fail(-ENOTSUP);
  return drv.coPreadv(bs, offset, bytes, qiov, flags);
}

function* fail(ret: number): Co<number> {
  return ret;
}
