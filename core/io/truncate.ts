// Making a node longer or shorter. Growing excludes writes to the new area until it is over. Filters pass it on.

import { assert, EACCES, EINVAL, ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { edgeHome } from "../graph/access.ts";
import { bdrvFilterChild } from "../graph/chain.ts";
import type { BdrvChild, BdrvTrackedRequest, BlockDriverState } from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, ioCode } from "../sched/index.ts";
import { bdrvCheckRequest32 } from "./check-request.ts";
import { nodeBehind } from "./inserted.ts";
import { bdrvGetlength, refreshTotalSectors } from "./length.ts";
import { requestBegin, requestEnd } from "./request.ts";
import {
  bdrvMakeRequestSerialising,
  trackedRequestBegin,
  trackedRequestEnd,
} from "./tracked-request.ts";
import { bdrvCoWriteReqFinish, bdrvCoWriteReqPrepare } from "./write.ts";

const SITE_TRUNCATE = site("bdrv_co_truncate");

/**
 * bdrv_co_truncate (io.c:3487): let the node behind `child` be `offset` bytes long. 0 or a negated errno. Differs from QEMU: an
 * overlay itself keeps a longer backing file from showing in the new area (core/drivers/overlay.ts).
 */
export function* bdrvCoTruncate(child: BdrvChild, offset: number): Co<number> {
  ioCode(edgeHome(child), SITE_TRUNCATE);
  const bs = nodeBehind(child, SITE_TRUNCATE);
  if (bs.closed || bs.ejected) return -ENOMEDIUM;
  if (offset < 0) return -EINVAL;
  const checked = bdrvCheckRequest32(offset, 0, null);
  if (checked < 0) return checked;
  const oldSize = bdrvGetlength(bs);
  if (oldSize < 0) return oldSize;
  if (bs.readOnly) return -EACCES;
  const newBytes = Math.max(0, offset - oldSize);
  const outermost = requestBegin(bs, Request.truncate, offset, 0);
  const req = yield* trackedRequestBegin(bs, Request.truncate, offset - newBytes, newBytes);
  if (newBytes > 0) yield* bdrvMakeRequestSerialising(req, 1);
  let ret = yield* bdrvCoWriteReqPrepare(child, req, offset - newBytes, newBytes, 0);
  if (ret >= 0) ret = yield* truncateTracked(bs, req, offset);
  yield* trackedRequestEnd(req);
  requestEnd(bs, Request.truncate, ret, outermost);
  return ret;
}

function* truncateTracked(
  bs: BlockDriverState,
  req: BdrvTrackedRequest,
  offset: number,
): Co<number> {
  assert(req.type === Request.truncate, "a truncate is tracked as one");
  const filtered = bdrvFilterChild(bs);
  let ret = -ENOTSUP;
  if (bs.drv.coTruncate !== undefined) ret = yield* bs.drv.coTruncate(bs, offset);
  else if (filtered !== null) ret = yield* bdrvCoTruncate(filtered, offset);
  if (ret < 0) return ret;
  const length = refreshTotalSectors(bs);
  bdrvCoWriteReqFinish(bs, req, { offset: length < 0 ? offset : length, bytes: 0 }, 0);
  return Math.min(length, 0);
}
