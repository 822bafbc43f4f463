// Cases of test-bdrv-drain.c in which the graph changes under a drain that polls: the request that the drain waits for, when it
// is over, deletes the parent of the node that is drained, or takes all its children.
//
//   blk --> top --null-child--> null      read of child (past top): sleeps; then
//            |  \--wait-child--> child      deletion: blk_unref(blk), which deletes top
//            \-----null-child--> null       detach:   bdrv_unref_child of all three
//
// In C the coroutine does that itself; each drain on its way hands off to a bottom half. Here the whole of it runs in one.

import { blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { assert, must } from "#core/base";
import { nullCoDriver, nullOpen } from "#core/drivers";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  bdrvAttachChild,
  bdrvOpenDriver,
  bdrvRef,
  bdrvUnref,
  bdrvUnrefChild,
  childrenOf,
} from "#core/graph";
import {
  bdrvCoPreadv,
  bdrvDrain,
  bdrvDrainAllBegin,
  bdrvDrainAllEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
  qiovOf,
} from "#core/io";
import { site } from "#core/probe";
import {
  aioPoll,
  type Co,
  coRunOutside,
  hostAllocate,
  type Polls,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
} from "#core/sched";
import type { DrainType } from "./support/drain-types.ts";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode } from "./support/test-node.ts";

const SITE_DRAIN = site("qemu_case_detach_drain");
const SITE_CHILDREN = site("qemu_case_detach_children");
const BYTES = 65_536;

/** C: BDRVTestTopState. */
class TopState {
  waitChild: BdrvChild | null = null;
}

/** C: bdrv_test_top_driver. Its close hook, which lets go of all children, is what bdrv_close does right afterwards. */
const topDriver: BlockDriver = {
  formatName: "test_top_driver",
  isFilter: false,
  coPreadv: (bs, offset, bytes, qiov) => bdrvCoPreadv(waitChildOf(bs), offset, bytes, qiov),
};

function waitChildOf(bs: BlockDriverState): BdrvChild {
  assert(bs.opaque instanceof TopState, "the node is `top`");
  return must(bs.opaque.waitChild, "the child is attached");
}

/** C: do_test_delete_by_drain. */
function* testDeleteByDrain(t: CaseTest, type: DrainType, detaches: boolean): Polls<void> {
  const top = new TopState();
  const bs = yield* bdrvOpenDriver(topDriver, "top", { totalBytes: BYTES, opaque: top });
  yield* attachNull(bs);
  const childBs = yield* newTestNode("child", { totalBytes: BYTES });
  const role = BDRV_CHILD_DATA | BDRV_CHILD_PRIMARY;
  top.waitChild = yield* bdrvAttachChild(bs, childBs, "wait-child", role);
  const nullBs = yield* attachNull(bs);
  const blk = blkNew(t.main);
  yield* blkInsertBs(blk, bs);
  yield* bdrvUnref(bs);
  t.expectEqual(bs.refcnt, 1, "bs->refcnt");
  t.expectEqual(childBs.refcnt, 1, "child_bs->refcnt");
  t.expectEqual(nullBs.refcnt, 1, "null_bs->refcnt");

  let isDone = false;
  const co = qemuCoroutineCreate(function* (): Co<void> {
    yield* bdrvCoPreadv(waitChildOf(bs), 0, BYTES, qiovOf(hostAllocate(BYTES)));
    t.expectEqual(bs.refcnt, 1, "bs->refcnt");
    yield* coRunOutside(t.main, () => (detaches ? detachAll(bs) : blkUnref(blk)));
    isDone = true;
  });
  qemuCoroutineEnter(co);

  yield* drain(type, type === "drain" ? childBs : bs);
  while (!isDone) yield* aioPoll(t.main, true);
  if (detaches) yield* blkUnref(blk);
}

function* attachNull(bs: BlockDriverState): Polls<BlockDriverState> {
  const nullBs = yield* nullOpen(nullCoDriver, { nodeName: "" });
  yield* bdrvAttachChild(bs, nullBs, "null-child", BDRV_CHILD_DATA);
  return nullBs;
}

function* detachAll(bs: BlockDriverState): Polls<void> {
  const children = childrenOf(bs, SITE_CHILDREN);
  for (let child = children.first; child !== null; ) {
    const next = children.next(child);
    yield* bdrvUnrefChild(bs, child);
    child = next;
  }
}

function* drain(type: DrainType, bs: BlockDriverState): Polls<void> {
  if (type === "drain") {
    bdrvRef(bs);
    yield* bdrvDrain(bs, SITE_DRAIN);
    yield* bdrvUnref(bs);
  } else if (type === "drain_subtree") {
    yield* bdrvSubtreeDrainedBegin(bs, SITE_DRAIN);
    yield* bdrvSubtreeDrainedEnd(bs, SITE_DRAIN);
  } else {
    yield* bdrvDrainAllBegin(SITE_DRAIN);
    yield* bdrvDrainAllEnd(SITE_DRAIN);
  }
}

const ONE_BOTTOM_HALF =
  "What the coroutine does to the graph runs in one bottom half of main; in C each drain on the way is a bottom half of its own.";

const cases: readonly QemuCase[] = [
  {
    name: "/bdrv-drain/deletion/drain",
    differs: ONE_BOTTOM_HALF,
    body: (t): Polls<void> => testDeleteByDrain(t, "drain", false),
  },
  ...(["drain_all", "drain", "drain_subtree"] as const).map(
    (type): QemuCase => ({
      name: `/bdrv-drain/detach/${type}`,
      differs: ONE_BOTTOM_HALF,
      body: (t): Polls<void> => testDeleteByDrain(t, type, true),
    }),
  ),
];

/** See the file comment. */
export const bdrvDrainDetach: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-detach.ts",
  cases,
};
