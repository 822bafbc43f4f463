// Cases of test-bdrv-drain.c about counters alone: the driver's hooks, quiesce_counter, nesting, several parents.
//
//   blk --> test-node --backing--> backing

import { type BlockBackend, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { type BlockDriverState, bdrvSetBackingHd, bdrvUnref } from "#core/graph";
import type { Polls } from "#core/sched";
import { DRAIN_TYPES, doDrainBegin, doDrainEnd } from "./support/drain-types.ts";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode, testStateOf } from "./support/test-node.ts";

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

const cases: readonly QemuCase[] = [{ name: "/bdrv-drain/nested", body: testNested }];

export const bdrvDrainCounters: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-counters.ts",
  cases,
};
