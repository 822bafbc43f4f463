// Cases of test-block-iothread.c about where nodes are: a node goes with its parents and children, a BlockBackend stays where it
// was put. With jobs: block-iothread-blockjob.ts and block-iothread-mirror.ts.

import {
  type BlockBackend,
  blkGetAioContext,
  blkInsertBs,
  blkNew,
  blkRemoveBs,
  blkSetAioContext,
  blkUnref,
} from "#core/backend";
import { rawOpen } from "#core/drivers";
import {
  BLK_PERM_ALL,
  BLK_PERM_RESIZE,
  type BlockDriver,
  type BlockDriverState,
  bdrvOpenDriver,
  bdrvRef,
  bdrvUnref,
} from "#core/graph";
import { type AioContext, aioContextAcquire, aioContextRelease, type Polls } from "#core/sched";
import { openBlkverify } from "./support/blkverify.ts";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";

/** C: bdrv_test of this file, without its I/O. */
const testDriver: BlockDriver = { formatName: "test", isFilter: false };

/** bdrv_new_open_driver(&bdrv_test, …). Polls. */
function* newNode(nodeName: string): Polls<BlockDriverState> {
  return yield* bdrvOpenDriver(testDriver, nodeName, { totalBytes: 65_536 });
}

/** blk_set_aio_context with the lock of the iothread held, where the BlockBackend is now. Polls. */
function* setContextLocked(blk: BlockBackend, held: AioContext, ctx: AioContext): Polls<void> {
  yield* aioContextAcquire(held);
  yield* blkSetAioContext(blk, ctx);
  aioContextRelease(held);
}

function expectIn(
  t: CaseTest,
  ctx: AioContext,
  blk: BlockBackend,
  nodes: Readonly<Record<string, BlockDriverState>>,
): void {
  t.expectEqual(blkGetAioContext(blk).name, ctx.name, "blk_get_aio_context(blk)");
  for (const [name, bs] of Object.entries(nodes))
    t.expectEqual(bs.aioContext.name, ctx.name, `bdrv_get_aio_context(${name})`);
}

/** C: test_attach_second_node: a node above one in an iothread is born there. */
function* testAttachSecondNode(t: CaseTest): Polls<void> {
  const ctx = t.iothread("iothread");
  const blk = blkNew(ctx);
  const bs = yield* newNode("base");
  yield* blkInsertBs(blk, bs);
  bdrvRef(bs);
  const filter = yield* rawOpen("filter", bs);
  expectIn(t, ctx, blk, { bs, filter });
  yield* setContextLocked(blk, ctx, t.main);
  expectIn(t, t.main, blk, { bs, filter });
  yield* bdrvUnref(filter);
  yield* bdrvUnref(bs);
  yield* blkUnref(blk);
}

/** C: test_attach_preserve_blk_ctx. */
function* testAttachPreserveBlkCtx(t: CaseTest): Polls<void> {
  const ctx = t.iothread("iothread");
  const blk = blkNew(ctx);
  const bs = yield* newNode("base");
  yield* blkInsertBs(blk, bs);
  expectIn(t, ctx, blk, { bs });
  yield* aioContextAcquire(ctx);
  yield* blkRemoveBs(blk);
  aioContextRelease(ctx);
  expectIn(t, ctx, blk, {});
  t.expectEqual(bs.aioContext.name, t.main.name, "bdrv_get_aio_context(bs)");
  yield* blkInsertBs(blk, bs);
  expectIn(t, ctx, blk, { bs });
  yield* setContextLocked(blk, ctx, t.main);
  yield* bdrvUnref(bs);
  yield* blkUnref(blk);
}

//   blk --> bs_a <--test-- bs_verify --raw--> bs_b
/** C: test_propagate_basic. */
function* testPropagateBasic(t: CaseTest): Polls<void> {
  const ctx = t.iothread("iothread");
  const blk = blkNew(t.main, { perm: BLK_PERM_ALL & ~BLK_PERM_RESIZE });
  const bsA = yield* newNode("bs_a");
  yield* blkInsertBs(blk, bsA);
  const bsB = yield* newNode("bs_b");
  const bsVerify = yield* openBlkverify(bsB, bsA);
  const all = { bs_a: bsA, bs_verify: bsVerify, bs_b: bsB };
  yield* blkSetAioContext(blk, ctx);
  expectIn(t, ctx, blk, all);
  yield* setContextLocked(blk, ctx, t.main);
  expectIn(t, t.main, blk, all);
  yield* bdrvUnref(bsVerify);
  yield* bdrvUnref(bsB);
  yield* bdrvUnref(bsA);
  yield* blkUnref(blk);
}

//   blk --> bs_verify --test--> bs_b --file--> bs_a
//                      --raw--> bs_c --file--> bs_a
/** C: test_propagate_diamond. */
function* testPropagateDiamond(t: CaseTest): Polls<void> {
  const ctx = t.iothread("iothread");
  const bsA = yield* newNode("bs_a");
  bdrvRef(bsA);
  const bsB = yield* rawOpen("bs_b", bsA);
  bdrvRef(bsA);
  const bsC = yield* rawOpen("bs_c", bsA);
  const bsVerify = yield* openBlkverify(bsC, bsB);
  const blk = blkNew(t.main, { perm: BLK_PERM_ALL & ~BLK_PERM_RESIZE });
  yield* blkInsertBs(blk, bsVerify);
  const all = { bs_verify: bsVerify, bs_a: bsA, bs_b: bsB, bs_c: bsC };
  yield* blkSetAioContext(blk, ctx);
  expectIn(t, ctx, blk, all);
  yield* setContextLocked(blk, ctx, t.main);
  expectIn(t, t.main, blk, all);
  yield* blkUnref(blk);
  for (const bs of [bsVerify, bsC, bsB, bsA]) yield* bdrvUnref(bs);
}

const cases: readonly QemuCase[] = [
  { name: "/attach/second_node", body: testAttachSecondNode },
  { name: "/attach/preserve_blk_ctx", body: testAttachPreserveBlkCtx },
  { name: "/propagate/basic", body: testPropagateBasic },
  { name: "/propagate/diamond", body: testPropagateDiamond },
];

export const blockIothreadContext: QemuFamily = {
  qemuFile: "tests/unit/test-block-iothread.c",
  file: "tests/qemu/block-iothread-context.ts",
  cases,
};
