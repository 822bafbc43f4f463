// Two cases of test-bdrv-drain.c that change the graph at an awkward moment of a subtree drain of parent-b: parent-b loses b and
// gets c instead, while parent-a, above the other child, is being quiesced.
//
//   blk --> parent-a     parent-b
//                 \     /      \
//                  -> a         b         c
//
// parent_cb: the callback of a read at parent-a does it, when that read is over. driver_cb: the edge from parent-a to a has a
// drained_begin callback that schedules a bottom half which does it, and the begin hook of parent-a sleeps: were hooks polled one by
// one, the walk would go on over a list that has changed.

import { type BlockBackend, blkAioPreadv, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { must } from "#core/base";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_DATA,
  type BdrvChild,
  type BdrvChildClass,
  type BlockDriverState,
  bdrvAttachChild,
  bdrvRef,
  bdrvUnref,
  bdrvUnrefChild,
  childOfBds,
  childrenOf,
} from "#core/graph";
import { bdrvSubtreeDrainedBegin, bdrvSubtreeDrainedEnd, qiovOf } from "#core/io";
import { site } from "#core/probe";
import {
  aioBhScheduleOneshot,
  hostAllocate,
  machine,
  modelAssert,
  type Polls,
  patchOn,
} from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode, testStateOf } from "./support/test-node.ts";

const SITE_DRAIN = site("qemu_case_indirect_drain");
const SITE_CHILDREN = site("qemu_case_indirect_children");
const SITE_BH = site("qemu_case_detach_indirect_bh");

/** C: struct detach_by_parent_data, which the test fills when the graph stands. */
interface DetachData {
  readonly parentB: BlockDriverState;
  readonly childB: BdrvChild;
  readonly c: BlockDriverState;
  childC: BdrvChild | null;
}

/** What the callbacks find; `isArmed` is the part of patch 5. */
interface Fixture {
  data: DetachData | null;
  isArmed: boolean;
}

/** C: detach_indirect_bh. Before the test has filled the data it takes a reference to nothing, and crashes. */
function* detachIndirectBh(fixture: Fixture): Polls<void> {
  modelAssert(fixture.data !== null, "detach_by_parent_data is filled", SITE_BH);
  const { data } = fixture;
  yield* bdrvUnrefChild(data.parentB, data.childB);
  bdrvRef(data.c);
  data.childC = yield* bdrvAttachChild(data.parentB, data.c, "PB-C", BDRV_CHILD_DATA);
}

/**
 * C: detach_by_driver_cb_class. Patch 5: the callback is armed right before the drain that matters, and disarms itself; without
 * it, the drains that patch 10 has in every edit set it off while the graph is built.
 */
function driverCbClass(fixture: Fixture): BdrvChildClass {
  return {
    ...childOfBds,
    drainedBegin: (child, section) => {
      if (fixture.isArmed) {
        if (patchOn(5)) fixture.isArmed = false;
        const ctx = must(machine.currentContext, "callbacks run inside a step");
        aioBhScheduleOneshot(ctx, () => detachIndirectBh(fixture));
      }
      return childOfBds.drainedBegin?.(child, section);
    },
  };
}

interface Graph {
  readonly blk: BlockBackend;
  readonly parentA: BlockDriverState;
  readonly parentB: BlockDriverState;
  readonly a: BlockDriverState;
  readonly b: BlockDriverState;
  readonly c: BlockDriverState;
  readonly childA: BdrvChild;
  readonly childB: BdrvChild;
}

/** The graph above. Polls. */
function* openGraph(t: CaseTest, klass: BdrvChildClass, sleeps: boolean): Polls<Graph> {
  const parentA = yield* newTestNode("parent-a");
  const parentB = yield* newTestNode("parent-b", { readOnly: true });
  const a = yield* newTestNode("a");
  const b = yield* newTestNode("b");
  const c = yield* newTestNode("c");
  const blk = blkNew(t.main);
  yield* blkInsertBs(blk, parentA);
  yield* bdrvUnref(parentA);
  testStateOf(parentA).sleepInDrainBegin = sleeps;
  bdrvRef(b);
  bdrvRef(a);
  const childB = yield* bdrvAttachChild(parentB, b, "PB-B", BDRV_CHILD_DATA);
  const childA = yield* bdrvAttachChild(parentB, a, "PB-A", BDRV_CHILD_COW);
  bdrvRef(a);
  yield* bdrvAttachChild(parentA, a, "PA-A", BDRV_CHILD_DATA, klass);
  return { blk, parentA, parentB, a, b, c, childA, childB };
}

/** C: test_detach_indirect. */
function* testDetachIndirect(t: CaseTest, byParentCb: boolean): Polls<void> {
  const fixture: Fixture = { data: null, isArmed: !byParentCb && !patchOn(5) };
  const klass = byParentCb ? childOfBds : driverCbClass(fixture);
  const graph = yield* openGraph(t, klass, !byParentCb);
  const { blk, parentA, parentB, a, b, c, childA, childB } = graph;
  expectRefs(t, graph, { a: 3, b: 2, c: 1 });
  expectChildren(t, parentB, [childA, childB]);

  const data: DetachData = { parentB, childB, c, childC: null };
  fixture.data = data;
  fixture.isArmed = !byParentCb;
  blkAioPreadv(blk, 0, 0, qiovOf(hostAllocate(0)), (ret) => {
    t.expectEqual(ret, 0, "ret");
    return byParentCb ? detachIndirectBh(fixture) : undefined;
  });

  yield* bdrvSubtreeDrainedBegin(parentB, SITE_DRAIN);
  const childC = data.childC;
  t.check(childC !== null, "detach_by_parent_data.child_c != NULL");
  expectRefs(t, graph, { a: 3, b: 1, c: 2 });
  expectChildren(t, parentB, [childC, childA]);
  for (const bs of [parentA, parentB, a, c])
    t.expectEqual(bs.quiesceCounter, 1, `${bs.nodeName}->quiesce_counter`);
  t.expectEqual(b.quiesceCounter, 0, "b->quiesce_counter");
  yield* bdrvSubtreeDrainedEnd(parentB, SITE_DRAIN);

  yield* bdrvUnref(parentB);
  yield* blkUnref(blk);
  for (const bs of [a, b, c]) {
    t.expectEqual(bs.refcnt, 1, `${bs.nodeName}->refcnt`);
    yield* bdrvUnref(bs);
  }
}

function expectRefs(
  t: CaseTest,
  graph: Graph,
  refs: { readonly a: number; readonly b: number; readonly c: number },
): void {
  t.expectEqual(graph.parentA.refcnt, 1, "parent_a->refcnt");
  t.expectEqual(graph.parentB.refcnt, 1, "parent_b->refcnt");
  t.expectEqual(graph.a.refcnt, refs.a, "a->refcnt");
  t.expectEqual(graph.b.refcnt, refs.b, "b->refcnt");
  t.expectEqual(graph.c.refcnt, refs.c, "c->refcnt");
}

function expectChildren(t: CaseTest, bs: BlockDriverState, children: readonly BdrvChild[]): void {
  const found = childrenOf(bs, SITE_CHILDREN).snapshot();
  t.expectEqual(
    found.map(({ name }) => name).join(" "),
    children.map(({ name }) => name).join(" "),
    `${bs.nodeName}->children`,
  );
}

function* parentCb(t: CaseTest): Polls<void> {
  yield* testDetachIndirect(t, true);
}

function* driverCb(t: CaseTest): Polls<void> {
  yield* testDetachIndirect(t, false);
}

const cases: readonly QemuCase[] = [
  {
    name: "/bdrv-drain/detach/parent_cb",
    body: parentCb,
    without: [6, 10, 11],
    differs:
      "Belongs to the world before patch 6, which removes it: patches 6, 10 and 11 are off. With the drains that patch 10 puts around each edit, the edit would wait for the read whose callback makes it.",
  },
  {
    name: "/bdrv-drain/detach/parent_cb (patch 6 on)",
    body: parentCb,
    ours: true,
    ends: "assertion",
    findings: [
      {
        rule: "modelled-assertion",
        when: "always",
        why: "Wanted: the rule of patch 6. A completion callback runs before its request has lowered the counter, and must not change the graph.",
      },
    ],
  },
  {
    name: "/bdrv-drain/detach/parent_cb (patch 6 off, patch 10 on)",
    body: parentCb,
    ours: true,
    without: [6],
    ends: "deadlock",
    findings: [
      {
        rule: "deadlock",
        when: "always",
        why: "Wanted: why there is a patch 6. The drain that patch 10 puts around the edit waits for the request whose callback makes the edit.",
      },
    ],
  },
  { name: "/bdrv-drain/detach/driver_cb", body: driverCb },
  {
    name: "/bdrv-drain/detach/driver_cb (patch 5 off)",
    body: driverCb,
    ours: true,
    without: [5],
    ends: "assertion",
    findings: [
      {
        rule: "modelled-assertion",
        when: "always",
        why: "Wanted: why there is a patch 5. The callback that the test arms early is set off by the drains of patch 10 while the test still builds its graph.",
      },
    ],
  },
];

/** See the file comment. */
export const bdrvDrainDetachIndirect: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-detach-indirect.ts",
  cases,
};
