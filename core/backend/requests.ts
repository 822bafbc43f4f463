// Requests of a BlockBackend. Each counts in flight, waits at the gate, looks at the root edge only then, and hands on.
//
// `blkCoDo…` are called between one raise and one lowering of the counter: by `blkCo…` here, and by blk-aio.ts, whose callers
// are at thread level. A read or write counts at the root node too, from before the edge is followed. Operations that neither
// count nor queue (length, truncate, copy, plug) are in unqueued.ts.

import { assert, ENOMEDIUM, type SiteId } from "../base/index.ts";
import {
  BDRV_REQ_FUA,
  BDRV_REQ_WRITE_COMPRESSED,
  type BdrvChild,
  type Qiov,
} from "../graph/state.ts";
import { bdrvCoPdiscard } from "../io/discard.ts";
import { bdrvCoFlush } from "../io/flush.ts";
import { qiovOf } from "../io/guest-copy.ts";
import { bdrvDecInFlight, bdrvIncInFlight } from "../io/in-flight.ts";
import { BDRV_REQUEST_MAX_BYTES } from "../io/limits.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwritevZeroes } from "../io/write-zeroes.ts";
import { Ev, Request, site } from "../probe/index.ts";
import {
  type Co,
  coChain,
  coThen,
  type GuestBuffer,
  ioCode,
  ioOrGsCode,
  machine,
  modelAssert,
  settled,
} from "../sched/index.ts";
import {
  type Direction,
  READS,
  throttleGroupCoIoLimitsIntercept,
  WRITES,
} from "../throttle/index.ts";
import { blkCheckByteRequest, blkIsAvailable } from "./available.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkWaitWhileDrained } from "./gate.ts";
import { blkDecInFlight, blkIncInFlight } from "./in-flight.ts";
import { blkNowPreadv, blkNowPwritev } from "./now.ts";
import { blkBs, blkRoot } from "./root.ts";

const SITE_READ = site("blk_co_do_preadv_part");
const SITE_WRITE = site("blk_co_do_pwritev_part");
const SITE_DISCARD = site("blk_co_do_pdiscard");
const SITE_FLUSH = site("blk_co_do_flush");
const SITE_CO_PREADV = site("blk_co_preadv");
const SITE_CO_PWRITEV = site("blk_co_pwritev");
const SITE_CO_PREADV_PART = site("blk_co_preadv_part");
const SITE_CO_PWRITEV_PART = site("blk_co_pwritev_part");
const SITE_CO_PWRITE_COMPRESSED = site("blk_co_pwrite_compressed");
const SITE_CO_PWRITE_ZEROES = site("blk_co_pwrite_zeroes");
const SITE_CO_PDISCARD = site("blk_co_pdiscard");
const SITE_CO_FLUSH = site("blk_co_flush");

/** `qiov` from its byte `qiovOffset` on; a start behind its end makes the request fail with -EIO. */
export interface QiovPart {
  readonly qiov: Qiov;
  readonly qiovOffset: number;
}

/** blk_co_preadv (block-backend.c:1327): 0 or a negated errno. */
export function blkCoPreadv(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags = 0,
): Co<number> {
  ioOrGsCode(blk.ctx, SITE_CO_PREADV);
  if (machine.isUnwatched && flags === 0) {
    const now = blkNowPreadv(blk, offset, bytes, qiov);
    if (now !== null) return settled(now);
  }
  blkReqBegin(blk, Request.read, offset, bytes);
  return coThen(blkCoDoPreadv(blk, offset, bytes, qiov, flags), (ret) => {
    blkReqEnd(blk, Request.read, ret);
    return ret;
  });
}

/** blk_co_preadv_part (block-backend.c:1341): into `qiov` from its byte `qiovOffset` on. 0 or a negated errno. */
export function* blkCoPreadvPart(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  part: QiovPart,
  flags = 0,
): Co<number> {
  ioOrGsCode(blk.ctx, SITE_CO_PREADV_PART);
  assert(part.qiovOffset >= 0, "a buffer has no bytes before its first");
  return yield* blkCoPreadv(blk, offset, bytes, qiovOfPart(part), flags);
}

/** blk_co_pwritev (block-backend.c:1419): 0 or a negated errno. */
export function blkCoPwritev(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags = 0,
): Co<number> {
  ioOrGsCode(blk.ctx, SITE_CO_PWRITEV);
  if (machine.isUnwatched && flags === 0) {
    const now = blkNowPwritev(blk, offset, bytes, qiov);
    if (now !== null) return settled(now);
  }
  blkReqBegin(blk, Request.write, offset, bytes);
  return coThen(blkCoDoPwritev(blk, offset, bytes, qiov, flags), (ret) => {
    blkReqEnd(blk, Request.write, ret);
    return ret;
  });
}

/** blk_co_pwritev_part (block-backend.c:1393): of `qiov` from its byte `qiovOffset` on. 0 or a negated errno. */
export function* blkCoPwritevPart(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  part: QiovPart,
  flags = 0,
): Co<number> {
  ioOrGsCode(blk.ctx, SITE_CO_PWRITEV_PART);
  assert(part.qiovOffset >= 0, "a buffer has no bytes before its first");
  return yield* blkCoPwritev(blk, offset, bytes, qiovOfPart(part), flags);
}

/** blk_co_pwrite_compressed (block-backend.c:2338): `bytes` of `buffer`, compressed. -ENOTSUP by a driver that cannot. */
export function* blkCoPwriteCompressed(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  buffer: GuestBuffer,
): Co<number> {
  ioOrGsCode(blk.ctx, SITE_CO_PWRITE_COMPRESSED);
  assert(bytes <= buffer.length, "the buffer holds what is written");
  return yield* blkCoPwritev(blk, offset, bytes, qiovOf(buffer), BDRV_REQ_WRITE_COMPRESSED);
}

/** blk_co_pwrite_zeroes (block-backend.c:2330): 0 or a negated errno. */
export function* blkCoPwriteZeroes(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  flags = 0,
): Co<number> {
  ioOrGsCode(blk.ctx, SITE_CO_PWRITE_ZEROES);
  blkReqBegin(blk, Request.write_zeroes, offset, bytes);
  const ret = yield* blkCoDoPwritev(blk, offset, bytes, null, flags);
  blkReqEnd(blk, Request.write_zeroes, ret);
  return ret;
}

/** blk_co_pdiscard (block-backend.c:1723): 0 or a negated errno. */
export function* blkCoPdiscard(blk: BlockBackend, offset: number, bytes: number): Co<number> {
  ioOrGsCode(blk.ctx, SITE_CO_PDISCARD);
  blkReqBegin(blk, Request.discard, offset, bytes);
  const ret = yield* blkCoDoPdiscard(blk, offset, bytes);
  blkReqEnd(blk, Request.discard, ret);
  return ret;
}

/** blk_co_flush (block-backend.c:1765): 0 or a negated errno. */
export function* blkCoFlush(blk: BlockBackend): Co<number> {
  ioOrGsCode(blk.ctx, SITE_CO_FLUSH);
  blkReqBegin(blk, Request.flush, 0, 0);
  const ret = yield* blkCoDoFlush(blk);
  blkReqEnd(blk, Request.flush, ret);
  return ret;
}

/** blk_co_do_preadv_part (block-backend.c:1283). */
export function blkCoDoPreadv(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  ioCode(blk.ctx, SITE_READ);
  return coChain(blkWaitWhileDrained(blk), () => {
    // Only now: the graph may have changed during the wait.
    const bs = blkBs(blk, SITE_READ);
    const checked = blkCheckByteRequest(blk, offset, bytes);
    if (checked < 0) return settled(checked);
    modelAssert(bs !== null, "bs", SITE_READ);
    bdrvIncInFlight(bs);
    const read = (): Co<number> =>
      bdrvCoPreadv(rootNow(blk, SITE_READ), offset, bytes, qiov, flags);
    return coThen(coChain(waitForIoLimits(blk, bytes, READS), read), (ret) => {
      bdrvDecInFlight(bs);
      return ret;
    });
  });
}

/** blk_co_do_pwritev_part (block-backend.c:1357); without `qiov`, zeroes (C: BDRV_REQ_ZERO_WRITE). */
export function blkCoDoPwritev(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov | null,
  flags: number,
): Co<number> {
  ioCode(blk.ctx, SITE_WRITE);
  return coChain(blkWaitWhileDrained(blk), () => {
    const bs = blkBs(blk, SITE_WRITE);
    const checked = blkCheckByteRequest(blk, offset, bytes);
    if (checked < 0) return settled(checked);
    modelAssert(bs !== null, "bs", SITE_WRITE);
    bdrvIncInFlight(bs);
    const write = (): Co<number> => {
      const root = rootNow(blk, SITE_WRITE);
      const writeFlags = blk.enableWriteCache ? flags : flags | BDRV_REQ_FUA;
      return qiov === null
        ? bdrvCoPwritevZeroes(root, offset, bytes, writeFlags)
        : bdrvCoPwritev(root, offset, bytes, qiov, writeFlags);
    };
    return coThen(coChain(waitForIoLimits(blk, bytes, WRITES), write), (ret) => {
      bdrvDecInFlight(bs);
      return ret;
    });
  });
}

/** blk_co_do_pdiscard (block-backend.c:1690). */
export function* blkCoDoPdiscard(blk: BlockBackend, offset: number, bytes: number): Co<number> {
  ioCode(blk.ctx, SITE_DISCARD);
  yield* blkWaitWhileDrained(blk);
  const checked = blkCheckByteRequest(blk, offset, bytes);
  if (checked < 0) return checked;
  return yield* bdrvCoPdiscard(rootNow(blk, SITE_DISCARD), offset, bytes);
}

/** blk_co_do_flush (block-backend.c:1737). */
export function* blkCoDoFlush(blk: BlockBackend): Co<number> {
  ioCode(blk.ctx, SITE_FLUSH);
  yield* blkWaitWhileDrained(blk);
  if (!blkIsAvailable(blk)) return -ENOMEDIUM;
  const bs = blkBs(blk, SITE_FLUSH);
  modelAssert(bs !== null, "blk_bs(blk)", SITE_FLUSH);
  return yield* bdrvCoFlush(bs);
}

function qiovOfPart({ qiov, qiovOffset }: QiovPart): Qiov {
  return { buffer: qiov.buffer, start: qiov.start + qiovOffset };
}

/** Throttling: the request counts in flight by now, so that a drain lets it go on and waits for it. */
function waitForIoLimits(blk: BlockBackend, bytes: number, direction: Direction): Co<void> {
  const tgm = blk.throttleGroupMember;
  if (tgm.group === null) return settled(undefined);
  return throttleGroupCoIoLimitsIntercept(tgm, bytes, direction);
}

function rootNow(blk: BlockBackend, siteId: SiteId): BdrvChild {
  const root = blkRoot(blk, siteId);
  modelAssert(root !== null, "blk->root", siteId);
  return root;
}

/** The running coroutine begins a request of `blk`. Common. */
export function blkReqBegin(blk: BlockBackend, type: number, offset: number, bytes: number): void {
  assert(Number.isSafeInteger(offset), "offsets are whole numbers");
  assert(Number.isSafeInteger(bytes), "byte counts are whole numbers");
  blkIncInFlight(blk);
  const shown = Math.min(bytes, BDRV_REQUEST_MAX_BYTES);
  machine.probe.emitWide(Ev.req_begin, offset, blk.id, type, shown);
}

/** It ends with `ret`. Common. */
export function blkReqEnd(blk: BlockBackend, type: number, ret: number): void {
  assert(Number.isInteger(ret), "a request returns a number");
  assert(ret <= 0, "a request returns 0 or a negated errno");
  machine.probe.emit(Ev.req_end, blk.id, type, ret);
  blkDecInFlight(blk);
}
