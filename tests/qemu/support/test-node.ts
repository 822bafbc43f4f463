// The driver "test" of test-bdrv-drain.c: it counts its drain hooks, a read sleeps and then may go round through a bottom half of
// another context, it takes a backing file, and it is closed inside a drained section only.

import { must } from "#core/base";
import {
  type BlockDriver,
  type BlockDriverState,
  bdrvOpenDriver,
  type OpenOptions,
} from "#core/graph";
import {
  type AioContext,
  aioBhScheduleOneshot,
  aioCoWake,
  type Co,
  type Polls,
  qemuCoroutineSelf,
  qemuCoroutineYield,
  qemuCoSleepNs,
} from "#core/sched";
import { CaseFailure } from "./case-test.ts";

/** How long a read sleeps, and the begin hook when it does: long enough that a drain reaches its poll first. */
export const TEST_SLEEP_NS = 100_000;

/** C: BDRVTestState. */
export class TestState {
  drainCount = 0;
  /** A read goes round through a bottom half of this context. */
  bhIndirectionCtx: AioContext | null = null;
  sleepInDrainBegin = false;
}

/** C: bdrv_test. */
export const testDriver: BlockDriver = {
  formatName: "test",
  isFilter: false,
  supportsBacking: true,
  *changeBackingFile(): Polls<number> {
    return 0;
  },
  drvClose: (bs) => {
    if (testStateOf(bs).drainCount <= 0)
      throw new CaseFailure("a node is closed although s->drain_count is not above 0");
  },
  coPreadv: (bs) => testCoPreadv(bs),
  coDrainBegin: function* (bs): Co<void> {
    const state = testStateOf(bs);
    state.drainCount++;
    if (state.sleepInDrainBegin) yield* qemuCoSleepNs(TEST_SLEEP_NS);
  },
  coDrainEnd: function* (bs): Co<void> {
    testStateOf(bs).drainCount--;
  },
};

/** bdrv_test_co_preadv: stay until the drain polls. */
function* testCoPreadv(bs: BlockDriverState): Co<number> {
  const { bhIndirectionCtx } = testStateOf(bs);
  yield* qemuCoSleepNs(TEST_SLEEP_NS);
  if (bhIndirectionCtx !== null) {
    const self = qemuCoroutineSelf();
    aioBhScheduleOneshot(bhIndirectionCtx, () => {
      aioCoWake(self);
      return undefined;
    });
    yield* qemuCoroutineYield();
  }
  return 0;
}

/** bdrv_new_open_driver(&bdrv_test, …): a node of no length with one reference, the caller's. Polls. */
export function* newTestNode(
  nodeName: string,
  options: Omit<OpenOptions, "opaque"> = {},
): Polls<BlockDriverState> {
  return yield* bdrvOpenDriver(testDriver, nodeName, {
    totalBytes: 0,
    ...options,
    opaque: new TestState(),
  });
}

/** The state of a node of the driver "test". */
export function testStateOf(bs: BlockDriverState): TestState {
  return must(bs.opaque instanceof TestState ? bs.opaque : null, "the node is one of `test`");
}
