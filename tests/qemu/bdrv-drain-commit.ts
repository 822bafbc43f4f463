// The case of test-bdrv-drain.c in which a job completes while a drained section ends, and changes what that end walks over.
//
//   parent-node-0   parent-node-1   parent-node-2 <--main node-- job
//         \               |               /
//          `---backing--> child-node <---'          drained_begin(child-node), drained_end(child-node)
//
// The end of the section reaches parent-node-2 first, as the newest parent, and lets the job go on, which then completes. Its
// commit takes the child away from parent-node-2 and parent-node-0. Did the end poll for each parent in turn, that would
// happen in the middle of its walk over the parents of the child: the edge of parent-node-0 is freed before the walk is there.

import { type BlockDriverState, bdrvSetBackingHd, bdrvUnref } from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "#core/io";
import { type BlockJobDriver, blockJobCreate, jobSleepNs, jobStart } from "#core/jobs";
import { site } from "#core/probe";
import type { Co, Polls } from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode } from "./support/test-node.ts";

const SITE_DRAIN = site("qemu_case_commit_by_drained_end");

/** C: TestDropBackingBlockJob. */
interface DropBackingJob {
  readonly bs: BlockDriverState;
  readonly detachAlso: BlockDriverState;
  shouldComplete: boolean;
  didComplete: boolean;
}

/** C: test_drop_backing_job_driver. */
function dropBackingDriver(state: DropBackingJob): BlockJobDriver {
  return {
    jobType: "commit",
    *coRun(job): Co<number> {
      while (!state.shouldComplete) yield* jobSleepNs(job, 0);
      return 0;
    },
    *commit(): Polls<void> {
      yield* bdrvSetBackingHd(state.bs, null);
      yield* bdrvSetBackingHd(state.detachAlso, null);
      state.didComplete = true;
    },
  };
}

/** C: test_blockjob_commit_by_drained_end. */
function* testCommitByDrainedEnd(t: CaseTest): Polls<void> {
  const child = yield* newTestNode("child-node");
  const parents: BlockDriverState[] = [];
  for (const name of ["parent-node-0", "parent-node-1", "parent-node-2"]) {
    const parent = yield* newTestNode(name);
    yield* bdrvSetBackingHd(parent, child);
    parents.push(parent);
  }
  const [detachAlso, , bs] = parents;
  t.check(detachAlso !== undefined && bs !== undefined, "that they exist");
  const state: DropBackingJob = { bs, detachAlso, shouldComplete: false, didComplete: false };
  const { job } = yield* blockJobCreate("job", dropBackingDriver(state), bs);
  jobStart(job);
  state.shouldComplete = true;
  yield* bdrvDrainedBegin(child, SITE_DRAIN);
  t.expectEqual(state.didComplete, false, "job_has_completed");
  yield* bdrvDrainedEnd(child, SITE_DRAIN);
  t.expectEqual(state.didComplete, true, "job_has_completed");
  for (const parent of parents) yield* bdrvUnref(parent);
  yield* bdrvUnref(child);
}

const cases: readonly QemuCase[] = [
  { name: "/bdrv-drain/blockjob/commit_by_drained_end", body: testCommitByDrainedEnd },
];

/** See the file comment. */
export const bdrvDrainCommit: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-commit.ts",
  cases,
};
