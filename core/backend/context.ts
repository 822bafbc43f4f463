// The AioContext of a BlockBackend, which is also that of its root node and of the timers of its I/O limits.

import { assert } from "../base/index.ts";
import { bdrvTryChangeAioContext } from "../graph/aio-context.ts";
import { bdrvRef, bdrvUnref } from "../graph/node-life.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "../io/drain.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type AioContext,
  globalStateCode,
  ioCode,
  machine,
  modelAssert,
  type Polls,
} from "../sched/index.ts";
import { throttleGroupAttachAioContext, throttleGroupDetachAioContext } from "../throttle/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkBs, blkRoot } from "./root.ts";

const SITE_GET = site("blk_get_aio_context");
const SITE_SET = site("blk_set_aio_context");
const SITE_SET_ALLOW_AIO_CONTEXT_CHANGE = site("blk_set_allow_aio_context_change");

/** blk_get_aio_context (block-backend.c:2121): the root node is there too. */
export function blkGetAioContext(blk: BlockBackend): AioContext {
  ioCode(null, SITE_GET);
  const bs = blkBs(blk, SITE_GET);
  modelAssert(bs === null || bs.aioContext === blk.ctx, "ctx == blk->ctx", SITE_GET);
  return blk.ctx;
}

/** blk_set_aio_context (block-backend.c:2181): move `blk` and the graph below it. BlockError when a parent refuses. Polls. */
export function* blkSetAioContext(blk: BlockBackend, ctx: AioContext): Polls<void> {
  globalStateCode(SITE_SET);
  const bs = blkBs(blk, SITE_SET);
  if (bs !== null) yield* bdrvTryChangeAioContext(bs, ctx, blkRoot(blk, SITE_SET));
  yield* blkDoSetAioContext(blk, ctx);
  assert(blk.ctx === ctx, "the BlockBackend has moved");
}

/** blk_set_allow_aio_context_change (block-backend.c:1226): its user does not mind being taken along by the root node. */
export function blkSetAllowAioContextChange(blk: BlockBackend, allow: boolean): void {
  ioCode(blk.ctx, SITE_SET_ALLOW_AIO_CONTEXT_CHANGE);
  assert(blk.refcnt > 0, "a BlockBackend with owners is alive");
  blk.allowAioContextChange = allow;
}

/**
 * blk_do_set_aio_context (block-backend.c:2140) when the root node has moved already, or there is none: the BlockBackend, and
 * then its timers in a drained section, as no request may wait for them meanwhile. Polls.
 */
export function* blkDoSetAioContext(blk: BlockBackend, ctx: AioContext): Polls<void> {
  globalStateCode(SITE_SET);
  const bs = blkBs(blk, SITE_SET);
  const old = blk.ctx;
  blk.ctx = ctx;
  if (old !== ctx) machine.probe.emit(Ev.blk_ctx, blk.id, old.id, ctx.id);
  if (bs === null) return;
  yield* blkMoveIoLimits(blk, bs, ctx);
  assert(bs.aioContext === ctx, "the root node is there too");
}

/** The timers of `blk`, if it has I/O limits, move to `ctx` while its root node `bs` is drained. Polls. */
export function* blkMoveIoLimits(
  blk: BlockBackend,
  bs: BlockDriverState,
  ctx: AioContext,
): Polls<void> {
  globalStateCode(SITE_SET);
  const tgm = blk.throttleGroupMember;
  assert(!bs.closed, "the root node is open");
  if (tgm.group === null) return;
  // The node may be replaced, and lose its last owner, while it is drained.
  bdrvRef(bs);
  yield* bdrvDrainedBegin(bs, SITE_SET);
  throttleGroupDetachAioContext(tgm);
  throttleGroupAttachAioContext(tgm, ctx);
  yield* bdrvDrainedEnd(bs, SITE_SET);
  yield* bdrvUnref(bs);
}
