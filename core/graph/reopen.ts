// Reopening nodes: new options, another backing file or file child, read-only or not, for several nodes at once or not at all.
//
//   flush all → prepare each → refresh permissions of all that is touched → commit each, the last one first → commit the
//   transaction → a last word to the drivers.      Whatever fails on the way takes everything back.
//
// The queue has been made by reopen-queue.ts; the caller holds drained sections of its nodes from then until here is the end.
// Exchanged children are actions of one transaction (reopen-prepare.ts). A driver has staged its own part in
// `state.opaque`, and it alone knows how to make it true or drop it.

import { assert, strerror } from "../base/index.ts";
import { bdrvFlush, bdrvSubtreeDrainedBegin, bdrvSubtreeDrainedEnd } from "../io/index.ts";
import { site } from "../probe/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  globalStateCode,
  type Handler,
  machine,
  modelAssert,
  type Polls,
} from "../sched/index.ts";
import { childrenOf } from "./access.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import {
  type BlockOptions,
  cacheOf,
  detectZeroesOf,
  type ReopenState,
  unmapOf,
  withoutOption,
} from "./block-options.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvListRefreshPerms, bdrvTopologicalDfs } from "./permissions.ts";
import { bdrvReopenPrepare } from "./reopen-prepare.ts";
import { type BlockReopenQueue, bdrvReopenQueue } from "./reopen-queue.ts";
import type { BlockDriverState } from "./state.ts";
import { type Transaction, tranAbort, tranCommit, tranFaultPoint, tranNew } from "./transaction.ts";

const SITE_MULTIPLE = site("bdrv_reopen_multiple");
const SITE_REOPEN = site("bdrv_reopen");
const SITE_COMMIT = site("bdrv_reopen_commit");

/**
 * bdrv_reopen_multiple (block.c:4358): reopen all nodes of `queue`, which is used up, or, with a BlockError, none. Its nodes
 * are drained; no lock of an AioContext is held. Polls.
 */
export function* bdrvReopenMultiple(queue: BlockReopenQueue): Polls<void> {
  globalStateCode(SITE_MULTIPLE);
  modelAssert(
    machine.currentContext === machine.mainContext,
    "qemu_get_current_aio_context() == qemu_get_aio_context()",
    SITE_MULTIPLE,
  );
  assert(queue.entries.length > 0, "there is something to reopen");
  yield* graphOp(SITE_MULTIPLE, () => reopenAll(queue));
}

function* reopenAll(queue: BlockReopenQueue): Polls<void> {
  const tran = tranNew();
  const prepared = yield* settle(() => prepareAll(queue, tran));
  if (prepared.ok) yield* commitAll(queue, tran);
  else yield* abortAll(queue, tran);
  unwrap(prepared);
}

/** All that can fail. Polls. */
function* prepareAll(queue: BlockReopenQueue, tran: Transaction): Polls<void> {
  for (const { state } of queue.entries) yield* flushBefore(state.bs);
  for (const entry of queue.entries) {
    const { bs } = entry.state;
    modelAssert(bs.quiesceCounter > 0, "bs_entry->state.bs->quiesce_counter > 0", SITE_MULTIPLE);
    yield* withContextLock(bs, () => bdrvReopenPrepare(entry.state, tran));
    entry.prepared = true;
    tranFaultPoint("bdrv_reopen_prepare");
  }
  const touched: BlockDriverState[] = [];
  for (const { state } of queue.entries) {
    touched.push(state.bs);
    if (state.oldBackingBs !== null) touched.push(state.oldBackingBs);
    if (state.oldFileBs !== null) touched.push(state.oldFileBs);
  }
  yield* bdrvListRefreshPerms(bdrvTopologicalDfs(touched), tran, writableAfter(queue));
}

function* flushBefore(bs: BlockDriverState): Polls<void> {
  const ret = yield* withContextLock(bs, () => bdrvFlush(bs));
  if (ret < 0) throw new BlockError(-ret, `Error flushing drive: ${strerror(-ret)}`);
}

/** Children come after their parents in the queue, and are committed before them. Polls. */
function* commitAll(queue: BlockReopenQueue, tran: Transaction): Polls<void> {
  const backwards = [...queue.entries].reverse();
  for (const { state } of backwards)
    yield* withContextLock(state.bs, () => bdrvReopenCommit(state));
  yield* tranCommit(tran);
  for (const { state } of backwards) {
    const { reopenCommitPost } = state.bs.drv;
    if (reopenCommitPost !== undefined)
      yield* withContextLock(state.bs, () => call(() => reopenCommitPost(state)));
  }
}

function* abortAll(queue: BlockReopenQueue, tran: Transaction): Polls<void> {
  yield* tranAbort(tran);
  for (const { state, prepared } of queue.entries) {
    const { reopenAbort } = state.bs.drv;
    if (prepared && reopenAbort !== undefined)
      yield* withContextLock(state.bs, () => call(() => reopenAbort(state)));
  }
}

/** bdrv_reopen_commit (block.c:4836): what was staged becomes true. Polls. */
function* bdrvReopenCommit(state: ReopenState): Polls<void> {
  globalStateCode(SITE_COMMIT);
  const { bs } = state;
  const { reopenCommit } = bs.drv;
  if (reopenCommit !== undefined) yield* call(() => reopenCommit(state));
  // Which nodes are its children is no option of a node.
  const names = ["backing"];
  const children = childrenOf(bs, SITE_COMMIT);
  for (let child = children.first; child !== null; child = children.next(child))
    names.push(child.name);
  bs.options = names.reduce(withoutOption, state.options);
  bs.explicitOptions = names.reduce(withoutOption, state.explicitOptions);
  bs.readOnly = state.readOnly;
  bs.unmap = unmapOf(bs.options);
  bs.detectZeroes = detectZeroesOf(bs.options);
  bs.noFlush = cacheOf(bs.options).noFlush;
}

/** Which nodes of the queue will be writable: drivers are asked for the permissions of then. */
function writableAfter(queue: BlockReopenQueue): ReadonlyMap<BlockDriverState, boolean> {
  return new Map(
    queue.entries.map(({ state }) => [state.bs, !state.readOnly && !state.bs.inactive]),
  );
}

function* call(handler: Handler): Polls<void> {
  const polls = handler();
  if (polls !== undefined) yield* polls;
}

/** Run `body` with the lock of the node's AioContext held. Polls. */
function* withContextLock<T>(bs: BlockDriverState, body: () => Polls<T>): Polls<T> {
  const ctx = bs.aioContext;
  yield* aioContextAcquire(ctx);
  const outcome = yield* settle(body);
  aioContextRelease(ctx);
  return unwrap(outcome);
}

/**
 * bdrv_reopen (block.c:4469): reopen `bs` with new `options`, in a subtree drain of its own. The caller holds the lock of its
 * AioContext. BlockError when refused; then nothing has changed. Polls.
 */
export function* bdrvReopen(
  bs: BlockDriverState,
  options: BlockOptions,
  keepOldOptions: boolean,
): Polls<void> {
  globalStateCode(SITE_REOPEN);
  assert(!bs.closed, "the node is open");
  const ctx = bs.aioContext;
  const isHeld = ctx !== machine.mainContext;
  yield* graphOp(SITE_REOPEN, function* (): Polls<void> {
    yield* bdrvSubtreeDrainedBegin(bs, SITE_REOPEN);
    if (isHeld) aioContextRelease(ctx);
    const outcome = yield* settle(() =>
      bdrvReopenMultiple(bdrvReopenQueue(null, bs, options, keepOldOptions)),
    );
    if (isHeld) yield* aioContextAcquire(ctx);
    yield* bdrvSubtreeDrainedEnd(bs, SITE_REOPEN);
    unwrap(outcome);
  });
  assert(bs.aioContext === ctx, "a reopen moves nothing");
}

/** bdrv_reopen_set_read_only (block.c:4494): as bdrvReopen, with that one option. Polls. */
export function* bdrvReopenSetReadOnly(bs: BlockDriverState, readOnly: boolean): Polls<void> {
  globalStateCode(SITE_REOPEN);
  yield* bdrvReopen(bs, { "read-only": readOnly }, true);
  assert(bs.readOnly === readOnly, "the node is what it was asked to be");
}
