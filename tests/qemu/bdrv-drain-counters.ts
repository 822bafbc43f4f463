// Cases of test-bdrv-drain.c that count, in graphs that stand still: driver hooks, quiesce_counter, nesting, several parents.
//
//   blk --> test-node --backing--> backing
//
// The cases in a coroutine make and free their nodes outside of it: to make one polls, and a coroutine reaches that through the
// same door as a drain (coRunOutside), which is what they are about.

import { type BlockBackend, blkAioPreadv, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { type BlockDriverState, bdrvSetBackingHd, bdrvUnref } from "#core/graph";
import { qiovOf } from "#core/io";
import { hostAllocate, type Polls } from "#core/sched";
import {
  CO_DRAINS,
  DRAIN_TYPES,
  type Drains,
  type DrainType,
  doDrainBegin,
  doDrainEnd,
  THREAD_DRAINS,
} from "./support/drain-types.ts";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode, testStateOf } from "./support/test-node.ts";

const EINPROGRESS = 115;

interface Pair {
  readonly blk: BlockBackend;
  readonly bs: BlockDriverState;
  readonly backing: BlockDriverState;
}

/** The graph above. Polls. */
function* openPair(t: CaseTest): Polls<Pair> {
  const blk = blkNew(t.main);
  const bs = yield* newTestNode("test-node");
  yield* blkInsertBs(blk, bs);
  const backing = yield* newTestNode("backing", { readOnly: true });
  yield* bdrvSetBackingHd(bs, backing);
  return { blk, bs, backing };
}

function* closePair({ blk, bs, backing }: Pair): Polls<void> {
  yield* bdrvUnref(backing);
  yield* bdrvUnref(bs);
  yield* blkUnref(blk);
}

/** What a case does with the pair, at thread level or in a coroutine. */
type PairBody = <Stop>(
  t: CaseTest,
  pair: Pair,
  type: DrainType,
  drains: Drains<Stop>,
) => Generator<Stop, void, void>;

/** A case for each type of drain, at thread level and (`co`) in a coroutine. */
function casesOf(name: string, body: PairBody): QemuCase[] {
  const atThreadLevel = DRAIN_TYPES.map(
    (type): QemuCase => ({
      name: `/bdrv-drain/${name}/${type}`,
      *body(t): Polls<void> {
        const pair = yield* openPair(t);
        yield* body(t, pair, type, THREAD_DRAINS);
        yield* closePair(pair);
      },
    }),
  );
  const inCoroutine = DRAIN_TYPES.map(
    (type): QemuCase => ({
      name: `/bdrv-drain/${name}/co/${type}`,
      differs:
        "Nodes are made and freed outside the coroutine, which holds the drains and the request: to make a node polls, and would go through the same hand-off as the drains.",
      *body(t): Polls<void> {
        const pair = yield* openPair(t);
        yield* t.callInCoroutine(() => body(t, pair, type, CO_DRAINS));
        yield* closePair(pair);
      },
    }),
  );
  return [...atThreadLevel, ...inCoroutine];
}

/** C: test_drv_cb_common. The hooks are called, without and with a request in flight. */
function* testDrvCb<Stop>(
  t: CaseTest,
  { blk, bs, backing }: Pair,
  type: DrainType,
  drains: Drains<Stop>,
): Generator<Stop, void, void> {
  const expectHooks = (ofBs: number, ofBacking: number): void => {
    t.expectEqual(testStateOf(bs).drainCount, ofBs, "s->drain_count");
    t.expectEqual(testStateOf(backing).drainCount, ofBacking, "backing_s->drain_count");
  };
  const isRecursive = Number(type !== "drain");
  expectHooks(0, 0);
  yield* drains.doBegin(type, bs);
  expectHooks(1, isRecursive);
  yield* drains.doEnd(type, bs);
  expectHooks(0, 0);

  let aioRet = -EINPROGRESS;
  blkAioPreadv(blk, 0, 0, qiovOf(hostAllocate(0)), (ret) => {
    aioRet = ret;
    return undefined;
  });
  t.expectEqual(aioRet, -EINPROGRESS, "aio_ret");
  expectHooks(0, 0);
  yield* drains.doBegin(type, bs);
  t.expectEqual(aioRet, 0, "aio_ret");
  expectHooks(1, isRecursive);
  yield* drains.doEnd(type, bs);
  expectHooks(0, 0);
}

/** C: test_quiesce_common. */
function* testQuiesce<Stop>(
  t: CaseTest,
  { bs, backing }: Pair,
  type: DrainType,
  drains: Drains<Stop>,
): Generator<Stop, void, void> {
  const expectLevels = (ofBs: number, ofBacking: number): void => {
    t.expectEqual(bs.quiesceCounter, ofBs, "bs->quiesce_counter");
    t.expectEqual(backing.quiesceCounter, ofBacking, "backing->quiesce_counter");
  };
  expectLevels(0, 0);
  yield* drains.doBegin(type, bs);
  expectLevels(1, Number(type !== "drain"));
  yield* drains.doEnd(type, bs);
  expectLevels(0, 0);
}

/** C: test_nested. All nine combinations of an outer and an inner drain. */
function* testNested(t: CaseTest): Polls<void> {
  const pair = yield* openPair(t);
  const { bs, backing } = pair;
  const expectLevels = (ofBs: number, ofBacking: number): void => {
    t.expectEqual(bs.quiesceCounter, ofBs, "bs->quiesce_counter");
    t.expectEqual(backing.quiesceCounter, ofBacking, "backing->quiesce_counter");
    t.expectEqual(testStateOf(bs).drainCount, ofBs, "s->drain_count");
    t.expectEqual(testStateOf(backing).drainCount, ofBacking, "backing_s->drain_count");
  };
  for (const outer of DRAIN_TYPES) {
    for (const inner of DRAIN_TYPES) {
      expectLevels(0, 0);
      yield* doDrainBegin(outer, bs);
      yield* doDrainBegin(inner, bs);
      expectLevels(2, Number(outer !== "drain") + Number(inner !== "drain"));
      yield* doDrainEnd(inner, bs);
      yield* doDrainEnd(outer, bs);
      expectLevels(0, 0);
    }
  }
  yield* closePair(pair);
}

const cases: readonly QemuCase[] = [
  ...casesOf("driver-cb", testDrvCb),
  ...casesOf("quiesce", testQuiesce),
  { name: "/bdrv-drain/nested", body: testNested },
];

/** See the file comment. */
export const bdrvDrainCounters: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-counters.ts",
  cases,
};
