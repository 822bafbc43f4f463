// Copying from one edge to another without a guest's buffer. Counted and tracked at both nodes.
//
// Differs from QEMU: there a chain of driver hooks ends in a system call, or in -ENOTSUP; here the nodes' drivers read and
// write through a buffer, piece by piece, which takes aligned ranges only.

import { ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { edgeBs, edgeHome } from "../graph/access.ts";
import type { BdrvChild, BlockDriverState, Qiov } from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, hostAllocate, ioCode } from "../sched/index.ts";
import { bdrvCheckRequest32 } from "./check-request.ts";
import { qiovOf } from "./guest-copy.ts";
import { bdrvIsInserted } from "./inserted.ts";
import { BOUNCE_BUFFER_MAX_BYTES, maxTransferOf } from "./limits.ts";
import { bdrvAlignedPreadv } from "./read.ts";
import { requestBegin, requestEnd } from "./request.ts";
import {
  bdrvWaitSerialisingRequests,
  trackedRequestBegin,
  trackedRequestEnd,
} from "./tracked-request.ts";
import { bdrvAlignedPwritev } from "./write.ts";

const SITE_DST = site("bdrv_co_copy_range_internal/dst");
const SITE_SRC = site("bdrv_co_copy_range_internal/src");
const SITE_CO_COPY_RANGE = site("bdrv_co_copy_range");

/** bdrv_co_copy_range (io.c:3451): copy `bytes` from `srcOffset` of `src` to `dstOffset` of `dst`. 0 or a negated errno. */
export function* bdrvCoCopyRange(
  src: BdrvChild,
  srcOffset: number,
  dst: BdrvChild,
  dstOffset: number,
  bytes: number,
): Co<number> {
  ioCode(edgeHome(src), SITE_CO_COPY_RANGE);
  const dstBs = edgeBs(dst, SITE_DST);
  if (dstBs === null || !bdrvIsInserted(dstBs)) return -ENOMEDIUM;
  const dstChecked = bdrvCheckRequest32(dstOffset, bytes, null);
  if (dstChecked < 0) return dstChecked;
  const srcBs = edgeBs(src, SITE_SRC);
  if (srcBs === null || !bdrvIsInserted(srcBs)) return -ENOMEDIUM;
  const srcChecked = bdrvCheckRequest32(srcOffset, bytes, null);
  if (srcChecked < 0) return srcChecked;
  if (misaligned(srcBs, srcOffset, bytes)) return -ENOTSUP;
  if (misaligned(dstBs, dstOffset, bytes)) return -ENOTSUP;
  const outermost = requestBegin(srcBs, Request.copy_range, srcOffset, bytes);
  const req = yield* trackedRequestBegin(srcBs, Request.read, srcOffset, bytes);
  yield* bdrvWaitSerialisingRequests(req);
  let ret = 0;
  const most = Math.min(maxTransferOf(srcBs), BOUNCE_BUFFER_MAX_BYTES);
  const buffer = qiovOf(hostAllocate(Math.min(bytes, most)));
  for (let done = 0; done < bytes && ret >= 0; done += most) {
    const piece = Math.min(bytes - done, most);
    ret = yield* bdrvAlignedPreadv(srcBs, req, srcOffset + done, piece, buffer, 0);
    if (ret >= 0) ret = yield* copyRangeTo(dst, dstBs, dstOffset + done, piece, buffer);
  }
  yield* trackedRequestEnd(req);
  requestEnd(srcBs, Request.copy_range, ret, outermost);
  return ret;
}

/** bdrv_co_copy_range_to (io.c:3437). */
function* copyRangeTo(
  child: BdrvChild,
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  buffer: Qiov,
): Co<number> {
  const outermost = requestBegin(bs, Request.copy_range, offset, bytes);
  const req = yield* trackedRequestBegin(bs, Request.write, offset, bytes);
  const ret = yield* bdrvAlignedPwritev(child, req, offset, bytes, buffer, 0);
  yield* trackedRequestEnd(req);
  requestEnd(bs, Request.copy_range, ret, outermost);
  return ret;
}

function misaligned(bs: BlockDriverState, offset: number, bytes: number): boolean {
  return offset % bs.requestAlignment !== 0 || bytes % bs.requestAlignment !== 0;
}
