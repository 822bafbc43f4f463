// Discarding through an edge: a hint that the bytes are not needed. A driver that cannot is no
// error, nor is a node that was opened with discard=ignore.

import { ENOMEDIUM, ENOTSUP, EPERM } from "../base/index.ts";
import { bdrvHasReadonlyBitmaps } from "../bitmaps/flags.ts";
import { edgeBs, edgeHome } from "../graph/access.ts";
import type { BdrvChild, BdrvTrackedRequest, BlockDriverState } from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, ioCode } from "../sched/index.ts";
import { bdrvBscInvalidateRange } from "./block-status-cache.ts";
import { bdrvCheckRequest32 } from "./check-request.ts";
import { bdrvIsInserted } from "./inserted.ts";
import { alignDown, alignUp } from "./limits.ts";
import { requestBegin, requestEnd } from "./request.ts";
import { trackedRequestBegin, trackedRequestEnd } from "./tracked-request.ts";
import { bdrvCoWriteReqFinish, bdrvCoWriteReqPrepare } from "./write.ts";

const SITE_DISCARD = site("bdrv_co_pdiscard");

/** bdrv_co_pdiscard (io.c:3066): 0 or a negated errno. */
export function* bdrvCoPdiscard(child: BdrvChild, offset: number, bytes: number): Co<number> {
  ioCode(edgeHome(child), SITE_DISCARD);
  const bs = edgeBs(child, SITE_DISCARD);
  if (bs === null || !bdrvIsInserted(bs)) return -ENOMEDIUM;
  const checked = bdrvCheckRequest32(offset, bytes, null);
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

/** An unaligned start and end go to the driver by themselves, since many drivers refuse them and the rest is worth having. */
function* discardPieces(bs: BlockDriverState, req: BdrvTrackedRequest): Co<number> {
  const align = bs.requestAlignment;
  const end = req.offset + req.bytes;
  const first = Math.min(alignUp(req.offset, align), end);
  const last = Math.max(first, alignDown(end, align));
  const bounds = [req.offset, first, last, end];
  for (let piece = 0; piece + 1 < bounds.length; piece++) {
    const from = bounds[piece] ?? end;
    const bytes = (bounds[piece + 1] ?? end) - from;
    if (bytes === 0) continue;
    if (bs.closed || bs.drv.coPdiscard === undefined) return -ENOMEDIUM;
    const ret = yield* bs.drv.coPdiscard(bs, from, bytes);
    if (ret < 0 && ret !== -ENOTSUP) return ret;
  }
  return 0;
}
