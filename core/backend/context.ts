// The AioContext of a BlockBackend, which is also that of its root node.

import { assert } from "../base/index.ts";
import { bdrvTryChangeAioContext } from "../graph/aio-context.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type AioContext,
  globalStateCode,
  ioCode,
  machine,
  modelAssert,
  type Polls,
} from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkBs, blkRoot } from "./root.ts";

const SITE_GET = site("blk_get_aio_context");
const SITE_SET = site("blk_set_aio_context");

/** blk_get_aio_context (block-backend.c:2120): the root node is there too. */
export function blkGetAioContext(blk: BlockBackend): AioContext {
  ioCode();
  const bs = blkBs(blk, SITE_GET);
  modelAssert(bs === null || bs.aioContext === blk.ctx, "ctx == blk->ctx", SITE_GET);
  return blk.ctx;
}

/** blk_set_aio_context (block-backend.c:2181): move `blk` and the graph below it. BlockError when a parent refuses. Polls. */
export function* blkSetAioContext(blk: BlockBackend, ctx: AioContext): Polls<void> {
  globalStateCode(SITE_SET);
  const bs = blkBs(blk, SITE_SET);
  if (bs !== null) yield* bdrvTryChangeAioContext(bs, ctx, blkRoot(blk, SITE_SET));
  moveBlk(blk, ctx);
  assert(blk.ctx === ctx, "the BlockBackend has moved");
}

/** The BlockBackend alone: its root node has moved already, or there is none. */
export function moveBlk(blk: BlockBackend, ctx: AioContext): void {
  globalStateCode(SITE_SET);
  const old = blk.ctx;
  blk.ctx = ctx;
  if (old !== ctx) machine.probe.emit(Ev.blk_ctx, blk.id, old.id, ctx.id);
}
