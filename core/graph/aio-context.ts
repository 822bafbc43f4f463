// Moving nodes between AioContexts: a node goes with all its children and all its parents, or not at all.
//
// First the whole connected graph is walked: each node drains itself and queues its move; a parent that cannot follow (a
// BlockBackend with a device, say) refuses for all. Then the queue is committed, which moves every node, or aborted, which
// only ends the drains. External handlers of a quiesced node stay disabled in the new context instead of the old one. Only
// the main context moves nodes. Callers: attach.ts, detach.ts, BlockBackends.

import { assert, EPERM } from "../base/index.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "../io/index.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  aioDisableExternal,
  aioEnableExternal,
  globalStateCode,
  machine,
  type Polls,
} from "../sched/index.ts";
import { childrenOf, edgeBs, parentsOf } from "./access.ts";
import { BlockError, settle } from "./block-error.ts";
import { everyEdge } from "./every-edge.ts";
import type { BdrvChild, BlockDriverState } from "./state.ts";
import {
  type Transaction,
  tranAbort,
  tranAdd,
  tranCommit,
  tranFaultPoint,
  tranNew,
} from "./transaction.ts";
import { assertBdrvGraphWritable } from "./writable.ts";

const SITE_TRY = site("bdrv_try_change_aio_context");
const SITE_CHANGE = site("bdrv_change_aio_context");
const SITE_CHILD = site("bdrv_child_change_aio_context");
const SITE_PARENT = site("bdrv_parent_change_aio_context");
const SITE_COMMIT = site("bdrv_set_aio_context_commit");
const SITE_CLEAN = site("bdrv_set_aio_context_clean");

/**
 * bdrv_try_change_aio_context (block.c:7368): move `bs` and all that is connected to it to `ctx`; `ignoreChild` and what is
 * beyond it are not looked at. The caller holds the lock of the old context and not that of the new (lock regime aio).
 * BlockError EPERM when a parent refuses. Polls.
 */
export function* bdrvTryChangeAioContext(
  bs: BlockDriverState,
  ctx: AioContext,
  ignoreChild: BdrvChild | null,
): Polls<void> {
  globalStateCode(SITE_TRY);
  const oldContext = bs.aioContext;
  const visited = new Set<BdrvChild>(ignoreChild === null ? [] : [ignoreChild]);
  const tran = tranNew();
  const asked = yield* settle(() => bdrvChangeAioContext(bs, ctx, visited, tran));
  if (!asked.ok) {
    yield* tranAbort(tran);
    throw asked.error;
  }
  // The drains have begun under the old lock and end under the new one.
  const main = machine.mainContext;
  if (oldContext !== main) aioContextRelease(oldContext);
  if (ctx !== main) yield* aioContextAcquire(ctx);
  yield* tranCommit(tran);
  if (ctx !== main) aioContextRelease(ctx);
  if (oldContext !== main) yield* aioContextAcquire(oldContext);
  assert(bs.aioContext === ctx, "the node has moved");
}

/**
 * bdrv_change_aio_context (block.c:7315): queue in `tran` the move of `bs` and of all that is connected to it; each node is
 * drained from here until `tran` is finalised. BlockError when a parent refuses. Polls.
 */
export function* bdrvChangeAioContext(
  bs: BlockDriverState,
  ctx: AioContext,
  visited: Set<BdrvChild>,
  tran: Transaction,
): Polls<void> {
  globalStateCode(SITE_CHANGE);
  assert(!tran.finalised, "moves are queued before they are made");
  if (bs.aioContext === ctx) return;
  const above = parentsOf(bs, SITE_CHANGE);
  yield* everyEdge(bs, above, SITE_CHANGE, (edge) =>
    bdrvParentChangeAioContext(edge, ctx, visited, tran),
  );
  const below = childrenOf(bs, SITE_CHANGE);
  yield* everyEdge(bs, below, SITE_CHANGE, (edge) =>
    bdrvChildChangeAioContext(edge, ctx, visited, tran),
  );
  yield* bdrvDrainedBegin(bs, SITE_CHANGE);
  tranAdd(tran, {
    name: "bdrv_set_aio_context",
    commit: () => setAioContextCommit(bs, ctx),
    clean: () => bdrvDrainedEnd(bs, SITE_CLEAN),
  });
  tranFaultPoint("bdrv_change_aio_context");
}

/** bdrv_child_change_aio_context (block.c:7266): the node below `edge` follows. Polls. */
export function* bdrvChildChangeAioContext(
  edge: BdrvChild,
  ctx: AioContext,
  visited: Set<BdrvChild>,
  tran: Transaction,
): Polls<void> {
  globalStateCode(SITE_CHILD);
  if (visited.has(edge)) return;
  visited.add(edge);
  const bs = edgeBs(edge, SITE_CHILD);
  assert(bs !== null, "an edge in a list points at a node");
  assert(visited.size > 0, "what was visited is remembered");
  yield* bdrvChangeAioContext(bs, ctx, visited, tran);
}

/** The parent of `edge`, which is not attached, moves to `ctx` alone, or says that it cannot (false). Polls. */
export function* changeParentAioContext(edge: BdrvChild, ctx: AioContext): Polls<boolean> {
  globalStateCode(SITE_PARENT);
  assert(edge.rawBs === null, "the edge is not attached");
  const tran = tranNew();
  const asked = yield* settle(() => askParent(edge, ctx, new Set([edge]), tran));
  if (asked.ok) yield* tranCommit(tran);
  else yield* tranAbort(tran);
  assert(
    !asked.ok || edge.klass.getParentAioContext(edge) === ctx,
    "a parent that follows is there",
  );
  return asked.ok;
}

/** bdrv_parent_change_aio_context (block.c:7224): the parent above `edge` follows. Polls. */
function* bdrvParentChangeAioContext(
  edge: BdrvChild,
  ctx: AioContext,
  visited: Set<BdrvChild>,
  tran: Transaction,
): Polls<void> {
  globalStateCode(SITE_PARENT);
  if (visited.has(edge)) return;
  visited.add(edge);
  yield* askParent(edge, ctx, visited, tran);
}

function* askParent(
  edge: BdrvChild,
  ctx: AioContext,
  visited: Set<BdrvChild>,
  tran: Transaction,
): Polls<void> {
  const { changeAioContext, getParentDesc } = edge.klass;
  if (changeAioContext === undefined) {
    const user = getParentDesc(edge);
    throw new BlockError(EPERM, `Changing iothreads is not supported by ${user}`);
  }
  const polls = changeAioContext(edge, ctx, visited, tran);
  if (polls !== undefined) yield* polls;
}

/**
 * bdrv_set_aio_context_commit (block.c:7289): the move itself, of one drained node. A node that was reached on two ways moves
 * twice, the second time to where it is. Polls (lock regime aio).
 */
function* setAioContextCommit(bs: BlockDriverState, ctx: AioContext): Polls<void> {
  globalStateCode(SITE_COMMIT);
  assertBdrvGraphWritable(bs, SITE_COMMIT);
  const oldContext = bs.aioContext;
  if (oldContext !== machine.mainContext) yield* aioContextAcquire(oldContext);
  bs.drv.detachAioContext?.(bs);
  if (bs.quiesceCounter > 0) aioEnableExternal(oldContext);
  assertBdrvGraphWritable(bs, SITE_COMMIT);
  if (oldContext !== machine.mainContext) aioContextRelease(oldContext);
  if (bs.quiesceCounter > 0) aioDisableExternal(ctx);
  bs.aioContext = ctx;
  machine.probe.emit(Ev.bs_ctx, bs.id, oldContext.id, ctx.id);
  bs.drv.attachAioContext?.(bs, ctx);
}
