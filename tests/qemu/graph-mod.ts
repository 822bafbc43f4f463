// The cases of test-bdrv-graph-mod.c: edits that are right or wrong by the permissions that they would lead to.
//
//   /update-perm-tree          root --> node <-- filter        appended over node, filter would write twice: refused
//   /should-update-child       root --> node <-- target <-- filter                 appended: target's edge stays
//   /parallel-perm-update      top --> ws --> fl1, fl2 --> base                    the writer changes branch
//   /parallel-exclusive-write  top --> fl1 --> base <-- fl2                        fl2 takes fl1's place
//   /append-greedy-filter      top --> base, and a filter that writes alone        appended between the two
//
// Nobody does I/O: the drivers differ in `childPerm` alone.

import { blkInsertBs, blkNew, blkUnref } from "#core/backend";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  type BlockDriver,
  bdrvAppend,
  bdrvAttachChild,
  bdrvChildRefreshPerms,
  bdrvDefaultPerms,
  bdrvOpenDriver,
  bdrvRef,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvUnref,
  settle,
} from "#core/graph";
import type { Polls } from "#core/sched";
import type { CaseTest, QemuFamily } from "./support/index.ts";

const NOTHING = { perm: 0, sharedPerm: BLK_PERM_ALL };
const WRITE_ALONE = { perm: BLK_PERM_WRITE, sharedPerm: BLK_PERM_ALL & ~BLK_PERM_WRITE };
const FILTERED = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;

const passThrough: BlockDriver = {
  formatName: "pass-through",
  isFilter: true,
  filteredChildIsBacking: true,
  childPerm: bdrvDefaultPerms,
};

const noPerm: BlockDriver = {
  formatName: "no-perm",
  isFilter: false,
  supportsBacking: true,
  childPerm: () => NOTHING,
};

const exclusiveWriter: BlockDriver = {
  formatName: "exclusive-writer",
  isFilter: true,
  filteredChildIsBacking: true,
  childPerm: () => WRITE_ALONE,
};

/** Which of its children the driver write-to-selected writes to, alone. C: BDRVWriteToSelectedState. */
interface Selection {
  selected: BdrvChild | null;
}

/** C: bdrv_write_to_selected, with its state. */
function writeToSelected(selection: Selection): BlockDriver {
  return {
    formatName: "write-to-selected",
    isFilter: false,
    childPerm: (_bs, child) =>
      child !== null && child === selection.selected ? WRITE_ALONE : NOTHING,
  };
}

function* testUpdatePermTree(t: CaseTest): Polls<void> {
  const root = blkNew(t.main, {
    perm: BLK_PERM_WRITE | BLK_PERM_CONSISTENT_READ,
    sharedPerm: BLK_PERM_ALL & ~BLK_PERM_WRITE,
  });
  const bs = yield* bdrvOpenDriver(noPerm, "node");
  const filter = yield* bdrvOpenDriver(passThrough, "filter");
  yield* blkInsertBs(root, bs);
  yield* bdrvAttachChild(filter, bs, "child", BDRV_CHILD_DATA);
  const appended = yield* settle(() => bdrvAppend(filter, bs));
  t.check(!appended.ok, "ret < 0");
  yield* bdrvUnref(filter);
  yield* blkUnref(root);
}

function* testShouldUpdateChild(t: CaseTest): Polls<void> {
  const root = blkNew(t.main, NOTHING);
  const bs = yield* bdrvOpenDriver(noPerm, "node");
  const filter = yield* bdrvOpenDriver(noPerm, "filter");
  const target = yield* bdrvOpenDriver(noPerm, "target");
  const pointsAtNode = (): boolean => target.rawBacking?.rawBs === bs;
  yield* blkInsertBs(root, bs);
  yield* bdrvSetBackingHd(target, bs);
  t.check(pointsAtNode(), "target->backing->bs == bs");
  yield* bdrvAttachChild(filter, target, "target", BDRV_CHILD_DATA);
  yield* bdrvAppend(filter, bs);
  t.check(pointsAtNode(), "target->backing->bs == bs");
  yield* bdrvUnref(filter);
  yield* bdrvUnref(bs);
  yield* blkUnref(root);
}

function* testParallelExclusiveWrite(): Polls<void> {
  const top = yield* bdrvOpenDriver(exclusiveWriter, "top");
  const base = yield* bdrvOpenDriver(noPerm, "base");
  const fl1 = yield* bdrvOpenDriver(passThrough, "fl1");
  const fl2 = yield* bdrvOpenDriver(passThrough, "fl2");
  bdrvRef(base);
  yield* bdrvAttachChild(top, fl1, "backing", FILTERED);
  yield* bdrvAttachChild(fl1, base, "backing", FILTERED);
  yield* bdrvAttachChild(fl2, base, "backing", FILTERED);
  yield* bdrvReplaceNode(fl1, fl2);
  yield* bdrvUnref(fl2);
  yield* bdrvUnref(top);
}

function* testParallelPermUpdate(t: CaseTest): Polls<void> {
  const selection: Selection = { selected: null };
  const top = yield* bdrvOpenDriver(noPerm, "top");
  const ws = yield* bdrvOpenDriver(writeToSelected(selection), "ws");
  const base = yield* bdrvOpenDriver(noPerm, "base");
  const fl1 = yield* bdrvOpenDriver(passThrough, "fl1");
  const fl2 = yield* bdrvOpenDriver(passThrough, "fl2");
  bdrvRef(base);
  const toWs = yield* bdrvAttachChild(top, ws, "file", BDRV_CHILD_DATA);
  const toFl1 = yield* bdrvAttachChild(ws, fl1, "first", BDRV_CHILD_DATA);
  const toFl2 = yield* bdrvAttachChild(ws, fl2, "second", BDRV_CHILD_DATA);
  yield* bdrvAttachChild(fl1, base, "backing", FILTERED);
  yield* bdrvAttachChild(fl2, base, "backing", FILTERED);
  // Three times, so that whatever the order of the children is, the writer leaves and enters either branch.
  for (const [writes, other] of [
    [toFl1, toFl2],
    [toFl2, toFl1],
    [toFl1, toFl2],
  ] as const) {
    selection.selected = writes;
    yield* bdrvChildRefreshPerms(top, toWs);
    t.check((writes.perm & BLK_PERM_WRITE) !== 0, "selected->perm & BLK_PERM_WRITE");
    t.check((other.perm & BLK_PERM_WRITE) === 0, "!(other->perm & BLK_PERM_WRITE)");
  }
  yield* bdrvUnref(top);
}

function* testAppendGreedyFilter(): Polls<void> {
  const top = yield* bdrvOpenDriver(exclusiveWriter, "top");
  const base = yield* bdrvOpenDriver(noPerm, "base");
  const fl = yield* bdrvOpenDriver(exclusiveWriter, "fl1");
  yield* bdrvAttachChild(top, base, "backing", FILTERED);
  yield* bdrvAppend(fl, base);
  yield* bdrvUnref(fl);
  yield* bdrvUnref(top);
}

export const bdrvGraphMod: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-graph-mod.c",
  file: "tests/qemu/graph-mod.ts",
  cases: [
    { name: "/bdrv-graph-mod/update-perm-tree", body: testUpdatePermTree },
    { name: "/bdrv-graph-mod/should-update-child", body: testShouldUpdateChild },
    { name: "/bdrv-graph-mod/parallel-perm-update", body: testParallelPermUpdate },
    { name: "/bdrv-graph-mod/parallel-exclusive-write", body: testParallelExclusiveWrite },
    { name: "/bdrv-graph-mod/append-greedy-filter", body: testAppendGreedyFilter },
  ],
};
