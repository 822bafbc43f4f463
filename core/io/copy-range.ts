// Copying from one edge to another without a buffer (C: copy offloading). Counted and tracked at every node on the way.
//
//     blk_co_copy_range
//       from  qcow2 (source)   says where the bytes are: its file, its backing file, nowhere (then zeroes are written to the target)
//         from  file           has them itself, and turns to the target
//           to  qcow2 (target)   says where they go, which may be new clusters
//             to  file           asks the host to copy, from file to file
//
// The way leads down the source first; there, reads are tracked at each node. Then it leads down the target with writes, each prepared
// as any write is, so what serialises is waited for on both sides. A driver without the hook ends it with ENOTSUP, filters among them
// as in QEMU 7.2, and whoever asked reads and writes instead. It is never done halfway by reading here: that is the caller's business.

import { ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { edgeBs, edgeHome } from "../graph/access.ts";
import type { BlockDriverState, CopyRange } from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, ioCode } from "../sched/index.ts";
import { bdrvCheckRequest32 } from "./check-request.ts";
import { bdrvIsInserted } from "./inserted.ts";
import { requestBegin, requestEnd } from "./request.ts";
import {
  bdrvWaitSerialisingRequests,
  trackedRequestBegin,
  trackedRequestEnd,
} from "./tracked-request.ts";
import { bdrvCoWriteReqFinish, bdrvCoWriteReqPrepare } from "./write.ts";
import { bdrvCoPwriteZeroes } from "./write-zeroes.ts";

const SITE_DST = site("bdrv_co_copy_range_internal/dst");
const SITE_SRC = site("bdrv_co_copy_range_internal/src");
const SITE_CO_COPY_RANGE = site("bdrv_co_copy_range");
const SITE_FROM = site("bdrv_co_copy_range_from");
const SITE_TO = site("bdrv_co_copy_range_to");

/** bdrv_co_copy_range (io.c:3451): 0 or a negated errno, ENOTSUP when some driver on the way cannot; a part may be copied then. */
export function bdrvCoCopyRange(range: CopyRange): Co<number> {
  ioCode(edgeHome(range.dst), SITE_CO_COPY_RANGE);
  return bdrvCoCopyRangeFrom(range);
}

/** bdrv_co_copy_range_from (io.c:3419), for drivers: ask the node behind `src` where its bytes are. 0 or a negated errno. */
export function* bdrvCoCopyRangeFrom(range: CopyRange): Co<number> {
  ioCode(edgeHome(range.dst), SITE_FROM);
  const { src, srcOffset, dst, dstOffset, bytes, writeFlags } = range;
  const ends = endsOf(range);
  if (typeof ends === "number") return ends;
  if (src === null) return yield* bdrvCoPwriteZeroes(dst, dstOffset, bytes, writeFlags);
  const [bs, dstBs] = ends;
  const { coCopyRangeFrom } = bs.drv;
  if (coCopyRangeFrom === undefined || dstBs.drv.coCopyRangeTo === undefined) return -ENOTSUP;
  const outermost = requestBegin(bs, Request.copy_range, srcOffset, bytes);
  const req = yield* trackedRequestBegin(bs, Request.read, srcOffset, bytes);
  yield* bdrvWaitSerialisingRequests(req);
  const ret = yield* coCopyRangeFrom(bs, range);
  yield* trackedRequestEnd(req);
  requestEnd(bs, Request.copy_range, ret, outermost);
  return ret;
}

/** bdrv_co_copy_range_to (io.c:3437), for drivers: ask the node behind `dst` where the bytes go. 0 or a negated errno. */
export function* bdrvCoCopyRangeTo(range: CopyRange): Co<number> {
  ioCode(edgeHome(range.dst), SITE_TO);
  const { src, dst, dstOffset, bytes, writeFlags } = range;
  const ends = endsOf(range);
  if (typeof ends === "number") return ends;
  if (src === null) return yield* bdrvCoPwriteZeroes(dst, dstOffset, bytes, writeFlags);
  const [srcBs, bs] = ends;
  const { coCopyRangeTo } = bs.drv;
  if (srcBs.drv.coCopyRangeFrom === undefined || coCopyRangeTo === undefined) return -ENOTSUP;
  const outermost = requestBegin(bs, Request.copy_range, dstOffset, bytes);
  const req = yield* trackedRequestBegin(bs, Request.write, dstOffset, bytes);
  let ret = yield* bdrvCoWriteReqPrepare(dst, req, dstOffset, bytes, writeFlags);
  if (ret >= 0) ret = yield* coCopyRangeTo(bs, range);
  bdrvCoWriteReqFinish(bs, req, { offset: dstOffset, bytes }, ret);
  yield* trackedRequestEnd(req);
  requestEnd(bs, Request.copy_range, ret, outermost);
  return ret;
}

/**
 * bdrv_co_copy_range_internal (io.c:3336), its checks: the nodes of source and target, or a negated errno. The target is looked at
 * first; without a source, it is the only one.
 */
function endsOf(range: CopyRange): readonly [BlockDriverState, BlockDriverState] | number {
  const { src, srcOffset, dst, dstOffset, bytes } = range;
  const dstBs = endOf(edgeBs(dst, SITE_DST), dstOffset, bytes);
  if (typeof dstBs === "number") return dstBs;
  const srcBs = src === null ? dstBs : endOf(edgeBs(src, SITE_SRC), srcOffset, bytes);
  return typeof srcBs === "number" ? srcBs : [srcBs, dstBs];
}

/** A node that has its medium, and may have such a range; or a negated errno. */
function endOf(
  bs: BlockDriverState | null,
  offset: number,
  bytes: number,
): BlockDriverState | number {
  if (bs === null || !bdrvIsInserted(bs)) return -ENOMEDIUM;
  const checked = bdrvCheckRequest32(offset, bytes, null);
  return checked < 0 ? checked : bs;
}
