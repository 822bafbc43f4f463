// Cases of test-bdrv-drain.c about two overlays that share a backing file, and about edits inside drained sections.
//
//   blk-a --> test-node-a --backing--> backing <--backing-- test-node-b <-- blk-b

import { type BlockBackend, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { type BlockDriverState, bdrvAppend, bdrvSetBackingHd, bdrvUnref } from "#core/graph";
import type { Polls } from "#core/sched";
import { doDrainBegin, doDrainEnd } from "./support/drain-types.ts";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode, testStateOf } from "./support/test-node.ts";

interface Disk {
  readonly blk: BlockBackend;
  readonly bs: BlockDriverState;
}

/** A node below a BlockBackend of its own. Polls. */
function* openDisk(t: CaseTest, nodeName: string): Polls<Disk> {
  const blk = blkNew(t.main);
  const bs = yield* newTestNode(nodeName);
  yield* blkInsertBs(blk, bs);
  return { blk, bs };
}

/** The levels of a node and of its driver are the same number everywhere here. */
function expectLevels(t: CaseTest, bs: BlockDriverState, levels: number): void {
  t.expectEqual(bs.quiesceCounter, levels, `${bs.nodeName}: quiesce_counter`);
  t.expectEqual(testStateOf(bs).drainCount, levels, `${bs.nodeName}: drain_count`);
}

/** C: test_multiparent. */
function* testMultiparent(t: CaseTest): Polls<void> {
  const a = yield* openDisk(t, "test-node-a");
  const b = yield* openDisk(t, "test-node-b");
  const backing = yield* newTestNode("backing", { readOnly: true });
  yield* bdrvSetBackingHd(a.bs, backing);
  yield* bdrvSetBackingHd(b.bs, backing);
  const expectAll = (levels: number): void => {
    for (const bs of [a.bs, b.bs, backing]) expectLevels(t, bs, levels);
  };
  expectAll(0);
  yield* doDrainBegin("drain_subtree", a.bs);
  expectAll(1);
  yield* doDrainBegin("drain_subtree", b.bs);
  expectAll(2);
  yield* doDrainEnd("drain_subtree", b.bs);
  expectAll(1);
  yield* doDrainEnd("drain_subtree", a.bs);
  expectAll(0);
  yield* bdrvUnref(backing);
  yield* bdrvUnref(a.bs);
  yield* bdrvUnref(b.bs);
  yield* blkUnref(a.blk);
  yield* blkUnref(b.blk);
}

/** C: test_graph_change_drain_subtree. Levels add up when the edge comes, and part again when it goes. */
function* testGraphChangeDrainSubtree(t: CaseTest): Polls<void> {
  const a = yield* openDisk(t, "test-node-a");
  const b = yield* openDisk(t, "test-node-b");
  const backing = yield* newTestNode("backing", { readOnly: true });
  yield* bdrvSetBackingHd(a.bs, backing);
  const expectAll = (ofA: number, ofB: number, ofBacking: number): void => {
    expectLevels(t, a.bs, ofA);
    expectLevels(t, b.bs, ofB);
    expectLevels(t, backing, ofBacking);
  };
  expectAll(0, 0, 0);
  for (let level = 0; level < 3; level++) yield* doDrainBegin("drain_subtree", a.bs);
  for (let level = 0; level < 2; level++) yield* doDrainBegin("drain_subtree", b.bs);
  yield* bdrvSetBackingHd(b.bs, backing);
  expectAll(5, 5, 5);
  yield* bdrvSetBackingHd(b.bs, null);
  expectAll(3, 2, 3);
  yield* bdrvSetBackingHd(b.bs, backing);
  expectAll(5, 5, 5);
  for (let level = 0; level < 2; level++) yield* doDrainEnd("drain_subtree", b.bs);
  for (let level = 0; level < 3; level++) yield* doDrainEnd("drain_subtree", a.bs);
  expectAll(0, 0, 0);
  yield* bdrvUnref(backing);
  yield* bdrvUnref(a.bs);
  yield* bdrvUnref(b.bs);
  yield* blkUnref(a.blk);
  yield* blkUnref(b.blk);
}

/** C: test_graph_change_drain_all. Nodes are born and die inside the section. */
function* testGraphChangeDrainAll(t: CaseTest): Polls<void> {
  const a = yield* openDisk(t, "test-node-a");
  expectLevels(t, a.bs, 0);
  yield* doDrainBegin("drain_all", a.bs);
  expectLevels(t, a.bs, 1);
  const b = yield* openDisk(t, "test-node-b");
  expectLevels(t, a.bs, 1);
  expectLevels(t, b.bs, 1);
  yield* blkUnref(a.blk);
  expectLevels(t, a.bs, 1);
  expectLevels(t, b.bs, 1);
  yield* bdrvUnref(a.bs);
  expectLevels(t, b.bs, 1);
  yield* doDrainEnd("drain_all", b.bs);
  expectLevels(t, b.bs, 0);
  t.expectEqual(t.main.externalDisableCount, 0, "qemu_get_aio_context()->external_disable_cnt");
  yield* bdrvUnref(b.bs);
  yield* blkUnref(b.blk);
}

/** C: test_append_to_drained. */
function* testAppendToDrained(t: CaseTest): Polls<void> {
  const { blk, bs: base } = yield* openDisk(t, "base");
  const overlay = yield* newTestNode("overlay");
  yield* doDrainBegin("drain", base);
  expectLevels(t, base, 1);
  t.expectEqual(base.inFlight, 0, "base->in_flight");
  yield* bdrvAppend(overlay, base);
  t.expectEqual(base.inFlight, 0, "base->in_flight");
  t.expectEqual(overlay.inFlight, 0, "overlay->in_flight");
  expectLevels(t, base, 1);
  expectLevels(t, overlay, 1);
  yield* doDrainEnd("drain", base);
  expectLevels(t, base, 0);
  expectLevels(t, overlay, 0);
  yield* bdrvUnref(overlay);
  yield* bdrvUnref(base);
  yield* blkUnref(blk);
}

const cases: readonly QemuCase[] = [
  { name: "/bdrv-drain/multiparent", body: testMultiparent },
  { name: "/bdrv-drain/graph-change/drain_subtree", body: testGraphChangeDrainSubtree },
  { name: "/bdrv-drain/graph-change/drain_all", body: testGraphChangeDrainAll },
  { name: "/bdrv-drain/attach/drain", body: testAppendToDrained },
];

/** See the file comment. */
export const bdrvDrainGraphChange: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-graph-change.ts",
  cases,
};
