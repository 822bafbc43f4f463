// Case of test-bdrv-drain.c: a child is replaced by another, each of the two drained or not, while the parent has a read under way.
//
//   parent_blk --> parent --child (backing)--> old-child    becomes    --> new-child
//
// The parent must be quiesced and released just as the two children say, must not be released in between when both are drained,
// and a drained child never gets a request. A read of the parent yields once and is woken by the parent's begin hook; when the
// parent is released for good, its end hook reads, as a guest would.

import { blkCoPreadv, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { assert, must } from "#core/base";
import {
  BDRV_CHILD_COW,
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  type BlockDriver,
  type BlockDriverState,
  backingOf,
  bdrvAttachChild,
  bdrvOpenDriver,
  bdrvRef,
  bdrvReplaceNode,
  bdrvUnref,
  type Qiov,
} from "#core/graph";
import { bdrvCoPreadv, bdrvDrainedBegin, bdrvDrainedEnd, qiovOf } from "#core/io";
import { site } from "#core/probe";
import {
  aioCoWake,
  type Co,
  type Coroutine,
  hostAllocate,
  type Polls,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
  qemuCoroutineSelf,
  qemuCoroutineYield,
} from "#core/sched";
import { CaseFailure, type CaseTest, type QemuFamily } from "./support/index.ts";

const SITE_DRAIN = site("qemu_case_mid_drain");
const SITE_BACKING = site("qemu_case_replace_test_backing");
const SECTOR = 512;

/** C: BDRVReplaceTestState. */
class ReplaceState {
  wasDrained = false;
  wasUndrained = false;
  hasRead = false;
  drainCount = 0;
  yieldBeforeRead = false;
  ioCo: Coroutine | null = null;
  drainCo: Coroutine | null = null;
}

function stateOf(bs: BlockDriverState): ReplaceState {
  assert(bs.opaque instanceof ReplaceState, "the node is one of `replace_test`");
  return bs.opaque;
}

/** g_assert in the driver, which has no case at hand. */
function check(condition: boolean, text: string): void {
  if (!condition) throw new CaseFailure(`${text} does not hold`);
}

/** bdrv_replace_test_co_preadv: the parent yields if told so, reads from its child, and wakes the begin hook. */
function* replaceCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  const state = stateOf(bs);
  if (backingOf(bs, SITE_BACKING) === null) {
    state.hasRead = true;
    return 0;
  }
  check(state.drainCount === 0, "!s->drain_count");
  state.ioCo = qemuCoroutineSelf();
  if (state.yieldBeforeRead) {
    state.yieldBeforeRead = false;
    yield* qemuCoroutineYield();
  }
  state.ioCo = null;
  const child = must(backingOf(bs, SITE_BACKING), "the parent keeps a child");
  const ret = yield* bdrvCoPreadv(child, offset, bytes, qiov);
  state.hasRead = true;
  if (state.drainCo !== null) aioCoWake(state.drainCo);
  return ret;
}

/** bdrv_replace_test_co_drain_begin: the first level wakes the read until it is through. */
function* replaceCoDrainBegin(bs: BlockDriverState): Co<void> {
  const state = stateOf(bs);
  if (state.drainCount === 0) {
    state.drainCo = qemuCoroutineSelf();
    while (state.ioCo !== null) {
      aioCoWake(state.ioCo);
      state.ioCo = null;
      yield* qemuCoroutineYield();
    }
    state.drainCo = null;
    state.wasDrained = true;
  }
  state.drainCount++;
}

/** bdrv_replace_test_co_drain_end: when the last level has gone, a parent reads. */
function* replaceCoDrainEnd(bs: BlockDriverState): Co<void> {
  const state = stateOf(bs);
  check(state.drainCount > 0, "s->drain_count > 0");
  if (--state.drainCount > 0) return;
  state.wasUndrained = true;
  if (backingOf(bs, SITE_BACKING) === null) return;
  const ret = yield* replaceCoPreadv(bs, 0, 1, qiovOf(hostAllocate(1)));
  check(ret >= 0, "ret >= 0");
}

/** C: bdrv_replace_test. */
const replaceDriver: BlockDriver = {
  formatName: "replace_test",
  isFilter: false,
  supportsBacking: true,
  coPreadv: replaceCoPreadv,
  coDrainBegin: replaceCoDrainBegin,
  coDrainEnd: replaceCoDrainEnd,
};

function* newNode(nodeName: string): Polls<BlockDriverState> {
  return yield* bdrvOpenDriver(replaceDriver, nodeName, {
    opaque: new ReplaceState(),
    readOnly: true,
    totalBytes: SECTOR,
  });
}

/** C: do_test_replace_child_mid_drain. */
function* doTest(t: CaseTest, isOldDrained: boolean, isNewDrained: boolean): Polls<void> {
  const parent = yield* newNode("parent");
  const blk = blkNew(t.main, { perm: BLK_PERM_CONSISTENT_READ, sharedPerm: BLK_PERM_ALL });
  yield* blkInsertBs(blk, parent);
  const oldChild = yield* newNode("old-child");
  const newChild = yield* newNode("new-child");
  bdrvRef(oldChild);
  yield* bdrvAttachChild(parent, oldChild, "child", BDRV_CHILD_COW);
  const state = stateOf(parent);
  if (isOldDrained) yield* bdrvDrainedBegin(oldChild, SITE_DRAIN);
  if (isNewDrained) yield* bdrvDrainedBegin(newChild, SITE_DRAIN);
  // What the drains of patch 10 around the edits above have left behind.
  for (const bs of [parent, oldChild, newChild]) stateOf(bs).hasRead = false;
  if (!isOldDrained) {
    state.yieldBeforeRead = true;
    const co = qemuCoroutineCreate(function* (): Co<void> {
      const ret = yield* blkCoPreadv(blk, 0, 1, qiovOf(hostAllocate(1)));
      t.check(ret >= 0, "ret >= 0");
    });
    qemuCoroutineEnter(co);
  }
  t.expectEqual<boolean>(state.hasRead, false, "parent_s->has_read");
  state.wasDrained = false;
  state.wasUndrained = false;

  t.expectEqual(parent.quiesceCounter, Number(isOldDrained), "parent_bs->quiesce_counter");
  yield* bdrvReplaceNode(oldChild, newChild);
  t.expectEqual(parent.quiesceCounter, Number(isNewDrained), "parent_bs->quiesce_counter");
  t.expectEqual<boolean>(state.wasDrained, !isOldDrained, "parent_s->was_drained");
  t.expectEqual<boolean>(state.wasUndrained, !isNewDrained, "parent_s->was_undrained");
  t.expectEqual<boolean>(state.hasRead, !isOldDrained || !isNewDrained, "parent_s->has_read");
  t.check(!(isOldDrained && stateOf(oldChild).hasRead), "a drained old child gets no request");
  t.check(!(isNewDrained && stateOf(newChild).hasRead), "a drained new child gets no request");

  if (isNewDrained) yield* bdrvDrainedEnd(newChild, SITE_DRAIN);
  if (isOldDrained) yield* bdrvDrainedEnd(oldChild, SITE_DRAIN);
  t.check(state.hasRead, "parent_s->has_read");
  t.check(stateOf(newChild).hasRead, "new_child_s->has_read");
  yield* blkUnref(blk);
  yield* bdrvUnref(parent);
  yield* bdrvUnref(oldChild);
  yield* bdrvUnref(newChild);
}

/** C: test_replace_child_mid_drain. */
function* testReplaceChildMidDrain(t: CaseTest): Polls<void> {
  for (const isOldDrained of [false, true])
    for (const isNewDrained of [false, true]) yield* doTest(t, isOldDrained, isNewDrained);
}

/** See the file comment. */
export const bdrvDrainReplace: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-replace.ts",
  cases: [
    {
      name: "/bdrv-drain/replace_child/mid-drain",
      body: testReplaceChildMidDrain,
      differs:
        "What the nodes have read while the graph was built is forgotten before the read under test: the drains that patch 10 puts around the attaching let the parent's end hook read, too.",
    },
  ],
};
