// Cases of test-bdrv-drain.c with a request in an iothread that cannot end before another iothread has run a bottom half, drained
// from main and from the iothread itself.
//
//   main: drained_begin . . . . . . . . . . . . . . . . . . waits . . . . . . . in_flight is 0
//   a:      read: sleeps 100 us; bottom half in b . . . . . goes on, callback . event
//   a:      a bottom half that takes the lock of a, and flushes
//   b:                           wakes the request

import { blkAioPreadv, blkInsertBs, blkNew, blkSetAioContext, blkUnref } from "#core/backend";
import { type BlockDriverState, bdrvUnref } from "#core/graph";
import { bdrvFlush, qiovOf } from "#core/io";
import { site } from "#core/probe";
import {
  type AioContext,
  aioBhScheduleOneshot,
  aioContextAcquire,
  aioContextRelease,
  hostAllocate,
  iothreadCreate,
  iothreadStopJoin,
  type Polls,
  QemuEvent,
  qemuEventSet,
  qemuEventWait,
} from "#core/sched";
import { DRAIN_TYPES, type DrainType, doDrainBegin, doDrainEnd } from "./support/drain-types.ts";
import type { CaseTest, DeclaredFinding, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode, testStateOf } from "./support/test-node.ts";

const SITE_DONE = site("qemu_case_done_event");
const EINPROGRESS = 115;

/** What a drain in one of the threads looks at. */
interface Request {
  readonly bs: BlockDriverState;
  readonly type: DrainType;
  readonly ctxA: AioContext;
  readonly done: QemuEvent;
  ret: number;
}

/** C: test_iothread_common. */
function* testIothread(t: CaseTest, type: DrainType, drainsIn: "main" | "a"): Polls<void> {
  const ctxA = iothreadCreate("a");
  const ctxB = iothreadCreate("b");
  const blk = blkNew(t.main);
  const bs = yield* newTestNode("test-node");
  yield* blkInsertBs(blk, bs);
  blk.disableRequestQueuing = true;
  yield* blkSetAioContext(blk, ctxA);
  yield* aioContextAcquire(ctxA);
  testStateOf(bs).bhIndirectionCtx = ctxB;
  const request: Request = { bs, type, ctxA, done: new QemuEvent(), ret: -EINPROGRESS };
  blkAioPreadv(blk, 0, 0, qiovOf(hostAllocate(0)), (ret) => {
    request.ret = ret;
    if (drainsIn === "main") qemuEventSet(request.done);
    return undefined;
  });
  t.expectEqual(request.ret, -EINPROGRESS, "aio_ret");
  aioContextRelease(ctxA);

  if (drainsIn === "main") yield* drainInMain(t, request);
  else {
    aioBhScheduleOneshot(ctxA, () => drainInIothread(t, request));
    yield* qemuEventWait(request.done, SITE_DONE);
  }

  yield* aioContextAcquire(ctxA);
  yield* blkSetAioContext(blk, t.main);
  aioContextRelease(ctxA);
  yield* bdrvUnref(bs);
  yield* blkUnref(blk);
  yield* iothreadStopJoin(ctxA);
  yield* iothreadStopJoin(ctxB);
}

/** The lock of the node's context is held around a drain of the node, and not around one of everything. */
function* drainInMain(t: CaseTest, request: Request): Polls<void> {
  const { bs, type, ctxA, done } = request;
  const isLocked = type !== "drain_all";
  if (isLocked) yield* aioContextAcquire(ctxA);
  // Were the lock still held while the drain waits, this would never end.
  aioBhScheduleOneshot(ctxA, function* (): Polls<void> {
    yield* aioContextAcquire(ctxA);
    yield* bdrvFlush(bs);
    aioContextRelease(ctxA);
  });
  yield* doDrainBegin(type, bs);
  t.expectEqual(bs.inFlight, 0, "bs->in_flight");
  if (isLocked) aioContextRelease(ctxA);
  yield* qemuEventWait(done, SITE_DONE);
  if (isLocked) yield* aioContextAcquire(ctxA);
  t.expectEqual(request.ret, 0, "aio_ret");
  yield* doDrainEnd(type, bs);
  if (isLocked) aioContextRelease(ctxA);
}

/** C: test_iothread_drain_entry. */
function* drainInIothread(t: CaseTest, request: Request): Polls<void> {
  const { bs, type, ctxA, done } = request;
  yield* aioContextAcquire(ctxA);
  yield* doDrainBegin(type, bs);
  t.expectEqual(request.ret, 0, "*data->aio_ret");
  yield* doDrainEnd(type, bs);
  aioContextRelease(ctxA);
  qemuEventSet(done);
}

/** A case: drained from main, and, where an iothread may drain, from there. */
function* bothThreads(t: CaseTest, type: DrainType): Polls<void> {
  yield* testIothread(t, type, "main");
  if (type !== "drain_all") yield* testIothread(t, type, "a");
}

/** What is found where the iothread drains. */
const DRAINED_IN_IOTHREAD: readonly DeclaredFinding[] = [
  "bdrv_parent_drained_begin",
  "bdrv_parent_drained_poll",
  "bdrv_parent_drained_end",
].map((reader) => ({
  rule: "covered-by-luck",
  list: "parents",
  node: "test-node",
  reader,
  operation: "bdrv_root_unref_child",
  when: "always",
  why: "True, the hole of hole-iothread-drain: the drain that the iothread runs walks the parents of the node and is itself counted nowhere, so that no drain of main waits for it. Here main removes the BlockBackend's edge only after the test's own event has told it that the iothread is done.",
}));

const cases: readonly QemuCase[] = DRAIN_TYPES.flatMap((type): QemuCase[] => {
  const name = `/bdrv-drain/iothread/${type}`;
  const body = (t: CaseTest): Polls<void> => bothThreads(t, type);
  const findings = type === "drain_all" ? [] : DRAINED_IN_IOTHREAD;
  return [
    { name, body, lock: "aio", findings },
    { name: `${name} (no AioContext lock)`, body, findings, ours: true },
  ];
});

/** See the file comment. */
export const bdrvDrainIothread: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-iothread.ts",
  cases,
};
