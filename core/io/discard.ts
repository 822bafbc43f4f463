// Discarding through an edge: a hint that the bytes are not needed. A driver that cannot is no
// error, nor is a node that was opened with discard=ignore.

import { ENOMEDIUM, ENOTSUP, EPERM } from "../base/index.ts";
import { bdrvHasReadonlyBitmaps } from "../bitmaps/flags.ts";
import { edgeBs, edgeHome } from "../graph/access.ts";
import type { BdrvChild, BdrvTrackedRequest, BlockDriverState } from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, ioCode } from "../sched/index.ts";
import { bdrvBscInvalidateRange } from "./block-status-cache.ts";
import { bdrvCheckRequest } from "./check-request.ts";
import { bdrvIsInserted } from "./inserted.ts";
import { alignDown, BDRV_LENGTH_MAX } from "./limits.ts";
import { requestBegin, requestEnd } from "./request.ts";
import { trackedRequestBegin, trackedRequestEnd } from "./tracked-request.ts";
import { bdrvCoWriteReqFinish, bdrvCoWriteReqPrepare } from "./write.ts";

const SITE_DISCARD = site("bdrv_co_pdiscard");

/** bdrv_co_pdiscard (io.c:3066): 0 or a negated errno. */
export function* bdrvCoPdiscard(child: BdrvChild, offset: number, bytes: number): Co<number> {
  ioCode(edgeHome(child), SITE_DISCARD);
  const bs = edgeBs(child, SITE_DISCARD);
  if (bs === null || !bdrvIsInserted(bs)) return -ENOMEDIUM;
  const checked = bdrvCheckRequest(offset, bytes, null);
  if (checked < 0) return checked;
  if (bdrvHasReadonlyBitmaps(bs)) return -EPERM;
  if (!bs.unmap || bs.drv.coPdiscard === undefined) return 0;
  bdrvBscInvalidateRange(bs, offset, bytes);
  const outermost = requestBegin(bs, Request.discard, offset, bytes);
  const req = yield* trackedRequestBegin(bs, Request.discard, offset, bytes);
  let ret = yield* bdrvCoWriteReqPrepare(child, req, offset, bytes, 0);
  if (ret >= 0) ret = yield* discardPieces(bs, req);
  bdrvCoWriteReqFinish(bs, req, { offset, bytes }, ret);
  yield* trackedRequestEnd(req);
  requestEnd(bs, Request.discard, ret, outermost);
  return ret;
}

/**
 * Many drivers refuse an unaligned start or end, and the rest is worth having: so these go to the driver by themselves, and
 * nothing crosses a boundary of the node's limits but whole multiples.
 */
function* discardPieces(bs: BlockDriverState, req: BdrvTrackedRequest): Co<number> {
  const { maxPdiscard, pdiscardAlignment } = bs.limits;
  const align = Math.max(pdiscardAlignment, bs.requestAlignment);
  const most = alignDown(maxPdiscard === 0 ? BDRV_LENGTH_MAX : maxPdiscard, align);
  const end = req.offset + req.bytes;
  for (let at = req.offset; at < end; ) {
    const piece = Math.min(discardPiece(at, end, align, bs.requestAlignment), most);
    if (bs.closed || bs.drv.coPdiscard === undefined) return -ENOMEDIUM;
    const ret = yield* bs.drv.coPdiscard(bs, at, piece);
    if (ret < 0 && ret !== -ENOTSUP) return ret;
    at += piece;
  }
  return 0;
}

/** Bytes of the next piece of a range; a part of a block is a piece of its own. */
function discardPiece(at: number, end: number, align: number, block: number): number {
  const left = end - at;
  const head = at % align;
  if (head > 0) {
    const piece = Math.min(left, align - head);
    return piece % block === 0 ? piece : piece % block;
  }
  const tail = end % align;
  if (tail > 0 && left > align) return left - tail;
  return left % block > 0 && left > block ? left - (left % block) : left;
}
