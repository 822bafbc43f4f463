// The case of test-bdrv-drain.c in which a drained node moves between contexts.

import { bdrvTryChangeAioContext, bdrvUnref } from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "#core/io";
import { site } from "#core/probe";
import { type AioContext, aioContextAcquire, aioContextRelease, type Polls } from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode, testStateOf } from "./support/test-node.ts";

const SITE_DRAIN = site("qemu_case_set_aio_context");

/** C: test_set_aio_context: the drain that begins in one context ends in the next. */
function* testSetAioContext(t: CaseTest): Polls<void> {
  const ctxA = t.iothread("a");
  const ctxB = t.iothread("b");
  const bs = yield* newTestNode("test-node");
  // C asserts nothing on the way but what the functions assert themselves.
  const expectIn = (ctx: AioContext, levels: number): void => {
    t.expectEqual(bs.aioContext.name, ctx.name, "bdrv_get_aio_context(bs)");
    t.expectEqual(bs.quiesceCounter, levels, "bs->quiesce_counter");
    t.expectEqual(testStateOf(bs).drainCount, levels, "s->drain_count");
    for (const each of [t.main, ctxA, ctxB]) {
      const disabled = each === ctx ? Math.min(levels, 1) : 0;
      t.expectEqual(each.externalDisableCount, disabled, `${each.name}->external_disable_cnt`);
    }
  };
  yield* bdrvDrainedBegin(bs, SITE_DRAIN);
  expectIn(t.main, 1);
  yield* bdrvTryChangeAioContext(bs, ctxA, null);
  expectIn(ctxA, 1);
  yield* aioContextAcquire(ctxA);
  yield* bdrvDrainedEnd(bs, SITE_DRAIN);
  expectIn(ctxA, 0);
  yield* bdrvDrainedBegin(bs, SITE_DRAIN);
  yield* bdrvTryChangeAioContext(bs, ctxB, null);
  aioContextRelease(ctxA);
  expectIn(ctxB, 1);
  yield* aioContextAcquire(ctxB);
  yield* bdrvTryChangeAioContext(bs, t.main, null);
  aioContextRelease(ctxB);
  expectIn(t.main, 1);
  yield* bdrvDrainedEnd(bs, SITE_DRAIN);
  expectIn(t.main, 0);
  yield* bdrvUnref(bs);
}

const cases: readonly QemuCase[] = [
  { name: "/bdrv-drain/set_aio_context", body: testSetAioContext },
];

export const bdrvDrainContext: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-context.ts",
  cases,
};
