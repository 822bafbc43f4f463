// Cases of test-bdrv-drain.c about a job that is drained, through each of the nodes around it.
//
//   blk_src --> source-overlay --backing--> source --backing--> source-backing
//                                              ^ main node
//                                            job0 --target--> target <-- blk_target
//
// A drain of any of them pauses the job, once for each of its edges that is drained, and lets it go on afterwards. When the job
// completes, its callbacks flush, which polls: that must not hang.

import {
  type BlockBackend,
  blkGetAioContext,
  blkInsertBs,
  blkNew,
  blkSetAioContext,
  blkUnref,
} from "#core/backend";
import { assert, EIO } from "#core/base";
import { BLK_PERM_ALL, type BlockDriverState, bdrvSetBackingHd, bdrvUnref } from "#core/graph";
import { bdrvFlush } from "#core/io";
import {
  type BlockJob,
  type BlockJobDriver,
  blockJobAddBdrv,
  blockJobCreate,
  type Job,
  jobCompleteSyncLocked,
  jobPausePoint,
  jobStart,
  jobTransitionToReady,
  withJobLock,
  withJobLockPolls,
} from "#core/jobs";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  aioPoll,
  type Co,
  iothreadCreate,
  iothreadStopJoin,
  type Polls,
  qemuCoSleepNs,
} from "#core/sched";
import { DRAIN_TYPES, type DrainType, doDrainBegin, doDrainEnd } from "./support/drain-types.ts";
import type { CaseTest, DeclaredFinding, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode } from "./support/test-node.ts";

const WORK_NS = 1_000_000;

/** How the job ends. */
type Result = "success" | "fail run" | "fail prepare";

/** Which node is drained. */
type Drained = "source" | "source-backing" | "source-overlay";

/** C: TestBlockJob. */
class TestJobState {
  bs: BlockDriverState | null = null;
  runRet = 0;
  prepareRet = 0;
  running = false;
  shouldComplete = false;
  /** The callbacks at the end that have flushed, in order. */
  readonly flushed: string[] = [];
}

function stateOf(job: Job): TestJobState {
  assert(job.opaque instanceof TestJobState, "the job is a test job");
  return job.opaque;
}

/** A poll in each of the callbacks at the end, to show that it does not hang. Polls. */
function* flush(job: Job, callback: string): Polls<void> {
  const { bs, flushed } = stateOf(job);
  assert(bs !== null, "the job knows its source");
  yield* bdrvFlush(bs);
  flushed.push(callback);
}

/** C: test_job_driver. */
const testJobDriver: BlockJobDriver = {
  jobType: "commit",
  *coRun(job): Co<number> {
    const state = stateOf(job);
    state.running = true;
    jobTransitionToReady(job);
    while (!state.shouldComplete) {
      // Work in flight, for which a drain must wait: a job_sleep_ns would make the job idle.
      yield* qemuCoSleepNs(WORK_NS);
      yield* jobPausePoint(job);
    }
    return state.runRet;
  },
  requestCompletion: (job) => {
    stateOf(job).shouldComplete = true;
    return undefined;
  },
  *prepare(job): Polls<number> {
    yield* flush(job, "prepare");
    return stateOf(job).prepareRet;
  },
  commit: (job): Polls<void> => flush(job, "commit"),
  abort: (job): Polls<void> => flush(job, "abort"),
};

/** The callbacks of a job that ends so. */
const CALLBACKS: Readonly<Record<Result, string>> = {
  success: "prepare commit",
  "fail run": "abort",
  "fail prepare": "prepare abort",
};

interface Graph {
  readonly blkSource: BlockBackend;
  readonly blkTarget: BlockBackend;
  readonly nodes: Readonly<Record<Drained, BlockDriverState>>;
  readonly target: BlockDriverState;
}

/** The graph above without the job; the source's part is in `ctx`. Polls. */
function* openGraph(t: CaseTest, ctx: AioContext): Polls<Graph> {
  const source = yield* newTestNode("source");
  const backing = yield* newTestNode("source-backing");
  const overlay = yield* newTestNode("source-overlay");
  yield* bdrvSetBackingHd(overlay, source);
  yield* bdrvUnref(source);
  yield* bdrvSetBackingHd(source, backing);
  yield* bdrvUnref(backing);
  const blkSource = blkNew(t.main);
  yield* blkInsertBs(blkSource, overlay);
  if (ctx !== t.main) yield* blkSetAioContext(blkSource, ctx);
  const target = yield* newTestNode("target");
  const blkTarget = blkNew(t.main, { allowAioContextChange: true });
  yield* blkInsertBs(blkTarget, target);
  const nodes = { source, "source-backing": backing, "source-overlay": overlay };
  return { blkSource, blkTarget, nodes, target };
}

/**
 * do_drain_begin_unlocked, what the job is like inside, do_drain_end_unlocked, and that it goes on: at once when it is in main,
 * as the end of the drain itself lets it go on. Polls.
 */
function* drainAround(t: CaseTest, type: DrainType, bs: BlockDriverState, job: Job): Polls<void> {
  const isLocked = type !== "drain_all";
  if (isLocked) yield* aioContextAcquire(bs.aioContext);
  yield* doDrainBegin(type, bs);
  if (isLocked) aioContextRelease(bs.aioContext);
  withJobLock(() => {
    t.expectEqual(job.pauseCount, type === "drain_all" ? 2 : 1, "job->job.pause_count");
    t.expectEqual<boolean>(job.paused, true, "job->job.paused");
    t.expectEqual<boolean>(job.busy, false, "job->job.busy");
  });
  if (isLocked) yield* aioContextAcquire(bs.aioContext);
  yield* doDrainEnd(type, bs);
  if (isLocked) aioContextRelease(bs.aioContext);
  if (job.aioContext !== t.main) yield* untilInMain(t, () => !job.paused);
  expectAtWork(t, job);
}

/** Poll in main until the iothread has done something: nobody kicks main for it, so time goes by in turns. Polls. */
function* untilInMain(t: CaseTest, condition: () => boolean): Polls<void> {
  while (!condition()) {
    yield* t.world.sleep(WORK_NS / 100);
    yield* aioPoll(t.main, false);
  }
}

function expectAtWork(t: CaseTest, job: Job): void {
  withJobLock(() => {
    t.expectEqual(job.pauseCount, 0, "job->job.pause_count");
    t.expectEqual<boolean>(job.paused, false, "job->job.paused");
    t.expectEqual<boolean>(stateOf(job).running, true, "tjob->running");
    t.expectEqual<boolean>(job.busy, true, "job->job.busy");
  });
}

/** C: test_blockjob_common_drain_node. */
function* testDrainNode(
  t: CaseTest,
  type: DrainType,
  usesIothread: boolean,
  result: Result,
  drained: Drained,
): Polls<void> {
  const ctx = usesIothread ? iothreadCreate("iothread") : t.main;
  const { blkSource, blkTarget, nodes, target } = yield* openGraph(t, ctx);
  yield* aioContextAcquire(ctx);
  const state = new TestJobState();
  const blockJob: BlockJob = yield* blockJobCreate("job0", testJobDriver, nodes.source, {
    opaque: state,
  });
  state.bs = nodes.source;
  yield* blockJobAddBdrv(blockJob, "target", target, { perm: 0, sharedPerm: BLK_PERM_ALL });
  if (result === "fail run") state.runRet = -EIO;
  if (result === "fail prepare") state.prepareRet = -EIO;
  aioContextRelease(ctx);

  const { job } = blockJob;
  jobStart(job);
  if (usesIothread) yield* untilInMain(t, () => state.running);
  expectAtWork(t, job);
  yield* drainAround(t, type, nodes[drained], job);
  yield* drainAround(t, type, target, job);

  const ret = yield* withJobLockPolls(() => jobCompleteSyncLocked(job));
  t.expectEqual(ret, result === "success" ? 0 : -EIO, "ret");
  t.expectEqual(state.flushed.join(" "), CALLBACKS[result], "the callbacks that ran");
  yield* aioContextAcquire(ctx);
  if (usesIothread) {
    yield* blkSetAioContext(blkSource, t.main);
    t.check(blkGetAioContext(blkTarget) === t.main, "blk_target is in main");
  }
  aioContextRelease(ctx);
  yield* blkUnref(blkSource);
  yield* blkUnref(blkTarget);
  yield* bdrvUnref(nodes["source-overlay"]);
  yield* bdrvUnref(target);
  if (usesIothread) yield* iothreadStopJoin(ctx);
}

/** C: test_blockjob_common. */
function* testBlockjob(
  t: CaseTest,
  type: DrainType,
  usesIothread: boolean,
  results: readonly Result[],
): Polls<void> {
  const drained: readonly Drained[] =
    type === "drain_subtree"
      ? ["source", "source-backing", "source-overlay"]
      : ["source", "source-backing"];
  for (const result of results)
    for (const node of drained) yield* testDrainNode(t, type, usesIothread, result, node);
}

/** What is found where the job, and with it its node, is in an iothread. */
const FLUSH_BEFORE_COUNTER: readonly DeclaredFinding[] = [
  {
    rule: "covered-by-luck",
    list: "children",
    node: "source",
    reader: "bdrv_primary_child",
    operation: "bdrv_root_unref_child",
    why: "True, a walk before the raise: bdrv_co_flush looks for the primary child before it raises the in-flight counter (io.c:2937). The job's callbacks flush the source from main, the flush runs in the iothread, and main cuts the edge only after it has waited for the flush.",
  },
];

const SLEEPS =
  "Where QEMU spins in aio_poll until the job has started, or goes on, main sleeps a little between two looks.";

const SUCCESS: readonly Result[] = ["success"];
const FAILURE: readonly Result[] = ["fail run", "fail prepare"];

const cases: readonly QemuCase[] = [false, true].flatMap((usesIothread) =>
  [SUCCESS, FAILURE].flatMap((results) =>
    DRAIN_TYPES.map((type): QemuCase => {
      const where = usesIothread ? "/iothread" : "";
      const how = results === FAILURE ? "/error" : "";
      return {
        name: `/bdrv-drain/blockjob${where}${how}/${type}`,
        body: (t): Polls<void> => testBlockjob(t, type, usesIothread, results),
        findings: usesIothread ? FLUSH_BEFORE_COUNTER : [],
        ...(usesIothread ? { differs: SLEEPS } : {}),
      };
    }),
  ),
);

/** See the file comment. */
export const bdrvDrainBlockjob: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-blockjob.ts",
  cases,
};
