// The case of test-bdrv-drain.c in which a drained node moves between contexts.

import { bdrvTryChangeAioContext, bdrvUnref } from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "#core/io";
import { site } from "#core/probe";
import { aioContextAcquire, aioContextRelease, type Polls } from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode } from "./support/test-node.ts";

const SITE_DRAIN = site("qemu_case_set_aio_context");

/** C: test_set_aio_context: the drain that begins in one context ends in the next. */
function* testSetAioContext(t: CaseTest): Polls<void> {
  const ctxA = t.iothread("a");
  const ctxB = t.iothread("b");
  const bs = yield* newTestNode("test-node");
  yield* bdrvDrainedBegin(bs, SITE_DRAIN);
  yield* bdrvTryChangeAioContext(bs, ctxA, null);
  yield* aioContextAcquire(ctxA);
  yield* bdrvDrainedEnd(bs, SITE_DRAIN);
  yield* bdrvDrainedBegin(bs, SITE_DRAIN);
  yield* bdrvTryChangeAioContext(bs, ctxB, null);
  aioContextRelease(ctxA);
  yield* aioContextAcquire(ctxB);
  yield* bdrvTryChangeAioContext(bs, t.main, null);
  aioContextRelease(ctxB);
  yield* bdrvDrainedEnd(bs, SITE_DRAIN);
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
