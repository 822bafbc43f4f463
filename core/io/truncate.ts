// Making a node longer or shorter. Growing excludes writes to the new area until it is over. Filters pass it on.

import { assert, EACCES, EINVAL, EIO, ENOMEDIUM, ENOTSUP, strerror } from "../base/index.ts";
import { edgeHome } from "../graph/access.ts";
import { bdrvFilterChild } from "../graph/chain.ts";
import type { BdrvChild, BdrvTrackedRequest, BlockDriverState } from "../graph/state.ts";
import { PLAIN_TRUNCATION, type Truncation } from "../graph/truncation.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, ioCode } from "../sched/index.ts";
import { bdrvCheckRequest } from "./check-request.ts";
import { nodeBehind } from "./inserted.ts";
import { bdrvGetlength, refreshTotalSectors } from "./length.ts";
import { BDRV_LENGTH_MAX } from "./limits.ts";
import { requestBegin, requestEnd } from "./request.ts";
import {
  bdrvMakeRequestSerialising,
  trackedRequestBegin,
  trackedRequestEnd,
} from "./tracked-request.ts";
import { bdrvCoWriteReqFinish, bdrvCoWriteReqPrepare } from "./write.ts";

const SITE_TRUNCATE = site("bdrv_co_truncate");

/**
 * bdrv_co_truncate (io.c:3487): let the node behind `child` be `offset` bytes long. 0 or a negated errno, with the reason said to
 * `how`. Differs from QEMU: a format itself keeps a longer backing file from showing in the new area (core/drivers/overlay.ts).
 */
export function* bdrvCoTruncate(
  child: BdrvChild,
  offset: number,
  how: Truncation = PLAIN_TRUNCATION,
): Co<number> {
  ioCode(edgeHome(child), SITE_TRUNCATE);
  const bs = nodeBehind(child, SITE_TRUNCATE);
  const oldSize = lengthToChange(bs, offset, how);
  if (oldSize < 0) return oldSize;
  const newBytes = Math.max(0, offset - oldSize);
  const outermost = requestBegin(bs, Request.truncate, offset, 0);
  const req = yield* trackedRequestBegin(bs, Request.truncate, offset - newBytes, newBytes);
  // What is written to the new area meanwhile could be overwritten by preallocation.
  if (newBytes > 0) yield* bdrvMakeRequestSerialising(req, 1);
  let ret = yield* bdrvCoWriteReqPrepare(child, req, offset - newBytes, newBytes, 0);
  if (ret < 0) how.errorSetg(`Failed to prepare request for truncation: ${strerror(-ret)}`);
  else ret = yield* truncateTracked(bs, req, offset, how);
  yield* trackedRequestEnd(req);
  requestEnd(bs, Request.truncate, ret, outermost);
  return ret;
}

/** The length of a node that may have another; or a negated errno, with the reason said to `how`. */
function lengthToChange(bs: BlockDriverState, offset: number, { errorSetg }: Truncation): number {
  const refuse = (errno: number, message: string): number => {
    errorSetg(message);
    return -errno;
  };
  if (bs.closed || bs.ejected) return refuse(ENOMEDIUM, "No medium inserted");
  if (offset < 0) return refuse(EINVAL, "Image size cannot be negative");
  if (bdrvCheckRequest(offset, 0, null) < 0)
    return refuse(EIO, `offset(${offset}) exceeds maximum(${BDRV_LENGTH_MAX})`);
  const oldSize = bdrvGetlength(bs);
  if (oldSize < 0) return refuse(-oldSize, `Failed to get old image size: ${strerror(-oldSize)}`);
  return bs.readOnly ? refuse(EACCES, "Image is read-only") : oldSize;
}

function* truncateTracked(
  bs: BlockDriverState,
  req: BdrvTrackedRequest,
  offset: number,
  how: Truncation,
): Co<number> {
  assert(req.type === Request.truncate, "a truncate is tracked as one");
  const filtered = bdrvFilterChild(bs);
  let ret = -ENOTSUP;
  if (bs.drv.coTruncate !== undefined) ret = yield* bs.drv.coTruncate(bs, offset, how);
  else if (filtered !== null) ret = yield* bdrvCoTruncate(filtered, offset, how);
  else how.errorSetg("Image format driver does not support resize");
  if (ret < 0) return ret;
  const length = refreshTotalSectors(bs);
  if (length < 0) how.errorSetg(`Could not refresh total sector count: ${strerror(-length)}`);
  bdrvCoWriteReqFinish(bs, req, { offset: length < 0 ? offset : length, bytes: 0 }, 0);
  return Math.min(length, 0);
}
