// The case of test-block-iothread.c in which the nodes of a mirror move between contexts.
//
//   blk --root--> (at last) filter_node [mirror_top] --backing--> src      target
//                               ^ main node               source ^           ^ target, and the job's BlockBackend
//                               '--------------- job0 -----------'-----------'
//
// Whichever of its nodes is moved, all others and the job come along; a BlockBackend that does not want to holds all of them.

import {
  type BlockBackend,
  blkGetAioContext,
  blkInsertBs,
  blkNew,
  blkSetAioContext,
  blkSetAllowAioContextChange,
  blkUnref,
} from "#core/backend";
import {
  BLK_PERM_ALL,
  type BlockDriver,
  type BlockDriverState,
  bdrvFindNode,
  bdrvOpenDriver,
  bdrvTryChangeAioContext,
  bdrvUnref,
  settle,
} from "#core/graph";
import { jobCancelSyncAll, jobGetLocked, mirrorStart, withJobLock } from "#core/jobs";
import { type AioContext, aioContextAcquire, aioContextRelease, type Polls } from "#core/sched";
import type { CaseTest, DeclaredFinding, QemuCase, QemuFamily } from "./support/index.ts";

/** C: bdrv_test of this file, without its I/O: the nodes have no length. */
const testDriver: BlockDriver = { formatName: "test", isFilter: false };

/** With the lock of `ctx` held around `body`. Polls. */
function* inLock(ctx: AioContext, body: () => Polls<void>): Polls<void> {
  yield* aioContextAcquire(ctx);
  yield* body();
  aioContextRelease(ctx);
}

function expectIn(
  t: CaseTest,
  ctx: AioContext,
  nodes: readonly BlockDriverState[],
  blk?: BlockBackend,
): void {
  if (blk !== undefined)
    t.expectEqual(blkGetAioContext(blk).name, ctx.name, "blk_get_aio_context(blk)");
  for (const { aioContext, nodeName } of nodes)
    t.expectEqual(aioContext.name, ctx.name, `bdrv_get_aio_context(${nodeName})`);
}

/** C: test_propagate_mirror. */
function* testPropagateMirror(t: CaseTest): Polls<void> {
  const ctx = t.iothread("iothread");
  const src = yield* bdrvOpenDriver(testDriver, "src", { totalBytes: 0 });
  const target = yield* bdrvOpenDriver(testDriver, "target", { totalBytes: 0 });
  yield* mirrorStart("job0", src, target, { sync: "none", filterNodeName: "filter_node" });
  const job = withJobLock(() => jobGetLocked("job0"));
  t.check(job !== null, "job_get_locked(job0)");
  const filter = bdrvFindNode("filter_node");
  t.check(filter !== null, "bdrv_find_node(filter_node)");
  const nodes = [src, target, filter];

  yield* bdrvTryChangeAioContext(src, ctx, null);
  expectIn(t, ctx, nodes);
  t.expectEqual(job.aioContext.name, ctx.name, "job->aio_context");

  yield* inLock(ctx, () => bdrvTryChangeAioContext(target, t.main, null));
  expectIn(t, t.main, nodes);

  // With a BlockBackend on src, changing target must fail.
  const blk = blkNew(t.main, { perm: 0, sharedPerm: BLK_PERM_ALL });
  yield* blkInsertBs(blk, src);
  const refused = yield* settle(() => bdrvTryChangeAioContext(target, ctx, null));
  t.check(!refused.ok, "local_err");
  expectIn(t, t.main, nodes, blk);

  // Unless it is allowed explicitly.
  yield* inLock(ctx, function* (): Polls<void> {
    blkSetAllowAioContextChange(blk, true);
    yield* bdrvTryChangeAioContext(target, ctx, null);
  });
  expectIn(t, ctx, nodes, blk);

  yield* jobCancelSyncAll();
  yield* inLock(ctx, function* (): Polls<void> {
    yield* blkSetAioContext(blk, t.main);
    yield* bdrvTryChangeAioContext(target, t.main, null);
  });
  yield* blkUnref(blk);
  yield* bdrvUnref(src);
  yield* bdrvUnref(target);
}

/** What is found where the job, at its end, drains its source in the iothread. */
const DRAINED_IN_IOTHREAD: readonly DeclaredFinding[] = [
  "bdrv_parent_drained_begin",
  "bdrv_parent_drained_poll",
].flatMap((reader) =>
  (["bdrv_root_attach_child", "bdrv_root_unref_child"] as const).map((operation) => ({
    rule: "covered-by-luck",
    list: "parents",
    reader,
    operation,
    when: "always",
    why: "True, the hole of hole-iothread-drain: a mirror ends with a drain of its source that its coroutine asks for, and which walks the parents in the iothread, counted nowhere. Main makes its edges before it cancels the job, and cuts them when it has waited for it.",
  })),
);

const cases: readonly QemuCase[] = [
  { name: "/propagate/mirror", body: testPropagateMirror, findings: DRAINED_IN_IOTHREAD },
];

/** See the file comment. */
export const blockIothreadMirror: QemuFamily = {
  qemuFile: "tests/unit/test-block-iothread.c",
  file: "tests/qemu/block-iothread-mirror.ts",
  cases,
};
