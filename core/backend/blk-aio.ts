// Requests with a callback (C: blk_aio_preadv and its like), for callers at thread level: a coroutine does the work, and the
// callback runs when it is done: in the coroutine, or, when it was done before the call came back, from a bottom half.
//
// The callback runs before the counter is lowered: it still counts as the request. So it must neither drain nor edit the graph,
// or the drain waits for the request that waits for the drain. Patch 6 makes that a rule: a callback that asks for thread level,
// without which there is no edit, fails an assertion. With patch 6 off it gets it, in the main context.

import { assert } from "../base/index.ts";
import type { Qiov } from "../graph/state.ts";
import { runFor } from "../io/in-flight.ts";
import { Ev, Request, site } from "../probe/index.ts";
import {
  aioBhScheduleOneshot,
  aioCoEnter,
  type Co,
  type Coroutine,
  coRunOutside,
  ioCode,
  machine,
  modelAssert,
  type Polls,
  patchOn,
  qemuCoroutineCreate,
} from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkGetAioContext } from "./context.ts";
import {
  blkDecInFlight,
  blkDecInFlightAlone,
  blkDecInFlightFor,
  blkIncInFlightAlone,
  blkIncInFlightFor,
} from "./in-flight.ts";
import { blkCoDoFlush, blkCoDoPdiscard, blkCoDoPreadv, blkCoDoPwritev } from "./requests.ts";
import { blkBs } from "./root.ts";

const SITE_PRWV = site("blk_aio_prwv");
const SITE_COMPLETE = site("blk_aio_complete");
const SITE_AIO_PREADV = site("blk_aio_preadv");
const SITE_AIO_PWRITEV = site("blk_aio_pwritev");
const SITE_AIO_PWRITE_ZEROES = site("blk_aio_pwrite_zeroes");
const SITE_AIO_PDISCARD = site("blk_aio_pdiscard");
const SITE_AIO_FLUSH = site("blk_aio_flush");
const SITE_ABORT_AIO_REQUEST = site("blk_abort_aio_request");

/** Called with the result: 0 or a negated errno. With patch 6 off it may go on at thread level, and edit the graph there. */
export type BlockCompletionFunc = (ret: number) => undefined | Polls<void>;

/** A request under way (C: BlkAioEmAIOCB). */
interface BlkAioEmAIOCB {
  readonly blk: BlockBackend;
  readonly type: number;
  readonly cb: BlockCompletionFunc;
  /** Null until it is done. */
  ret: number | null;
  /** The call that submitted it has come back. */
  hasReturned: boolean;
}

/** blk_aio_preadv (block-backend.c:1611). */
export function blkAioPreadv(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
  cb: BlockCompletionFunc,
): void {
  ioCode(blk.ctx, SITE_AIO_PREADV);
  const range = { type: Request.read, offset, bytes };
  blkAioPrwv(blk, range, () => blkCoDoPreadv(blk, offset, bytes, qiov, 0), cb);
}

/** blk_aio_pwritev (block-backend.c:1621). */
export function blkAioPwritev(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  qiov: Qiov,
  cb: BlockCompletionFunc,
  flags = 0,
): void {
  ioCode(blk.ctx, SITE_AIO_PWRITEV);
  const range = { type: Request.write, offset, bytes };
  blkAioPrwv(blk, range, () => blkCoDoPwritev(blk, offset, bytes, qiov, flags), cb);
}

/** blk_aio_pwrite_zeroes (block-backend.c:1572). */
export function blkAioPwriteZeroes(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  cb: BlockCompletionFunc,
  flags = 0,
): void {
  ioCode(blk.ctx, SITE_AIO_PWRITE_ZEROES);
  const range = { type: Request.write_zeroes, offset, bytes };
  blkAioPrwv(blk, range, () => blkCoDoPwritev(blk, offset, bytes, null, flags), cb);
}

/** blk_aio_pdiscard (block-backend.c:1714). */
export function blkAioPdiscard(
  blk: BlockBackend,
  offset: number,
  bytes: number,
  cb: BlockCompletionFunc,
): void {
  ioCode(blk.ctx, SITE_AIO_PDISCARD);
  const range = { type: Request.discard, offset, bytes };
  blkAioPrwv(blk, range, () => blkCoDoPdiscard(blk, offset, bytes), cb);
}

/** blk_aio_flush (block-backend.c:1758). */
export function blkAioFlush(blk: BlockBackend, cb: BlockCompletionFunc): void {
  ioCode(blk.ctx, SITE_AIO_FLUSH);
  blkAioPrwv(blk, { type: Request.flush, offset: 0, bytes: 0 }, () => blkCoDoFlush(blk), cb);
}

/** blk_abort_aio_request (block-backend.c:1463): `cb` gets `ret` from a bottom half; counts in flight until then. */
export function blkAbortAioRequest(blk: BlockBackend, ret: number, cb: BlockCompletionFunc): void {
  ioCode(blk.ctx, SITE_ABORT_AIO_REQUEST);
  assert(ret < 0, "an aborted request has failed");
  const task = blkIncInFlightAlone(blk);
  aioBhScheduleOneshot(blkGetAioContext(blk), () => {
    blkDecInFlightAlone(blk, task);
    return callBack(cb, ret);
  });
}

interface Range {
  readonly type: number;
  readonly offset: number;
  readonly bytes: number;
}

/** blk_aio_prwv (block-backend.c:1515): count it, start the coroutine, and see whether it is done already. */
function blkAioPrwv(
  blk: BlockBackend,
  { type, offset, bytes }: Range,
  entry: () => Co<number>,
  cb: BlockCompletionFunc,
): void {
  const acb: BlkAioEmAIOCB = { blk, type, cb, ret: null, hasReturned: false };
  const co: Coroutine = qemuCoroutineCreate(function* (): Co<void> {
    acb.ret = yield* entry();
    if (!acb.hasReturned) return;
    const more = blkAioComplete(acb, acb.ret);
    if (more !== undefined) yield* coRunOutside(machine.mainContext, () => more);
    blkDecInFlight(blk);
  });
  blkIncInFlightFor(blk, co);
  let ctx = machine.mainContext;
  runFor(co, () => {
    machine.probe.emitWide(Ev.req_begin, offset, blk.id, type, bytes);
    // bdrv_coroutine_enter: C asks the root node where to run, main when there is none.
    ctx = blkBs(blk, SITE_PRWV)?.aioContext ?? machine.mainContext;
  });
  aioCoEnter(ctx, co);
  acb.hasReturned = true;
  const done = acb.ret;
  if (done === null) return;
  aioBhScheduleOneshot(blkGetAioContext(blk), function* (): Polls<void> {
    const more = runFor(co, () => blkAioComplete(acb, done));
    if (more !== undefined) yield* more;
    runFor(co, () => blkDecInFlightFor(blk, co));
  });
}

/** blk_aio_complete (block-backend.c:1499): the callback; the caller lowers the counter afterwards. */
function blkAioComplete(acb: BlkAioEmAIOCB, ret: number): undefined | Polls<void> {
  machine.probe.emit(Ev.req_end, acb.blk.id, acb.type, ret);
  return callBack(acb.cb, ret);
}

/** What the callback wants to do at thread level, which patch 6 forbids. */
function callBack(cb: BlockCompletionFunc, ret: number): undefined | Polls<void> {
  const more = cb(ret);
  modelAssert(
    more === undefined || !patchOn(6),
    "an I/O completion callback must not change the graph",
    SITE_COMPLETE,
  );
  return more;
}
