// The case of test-bdrv-drain.c that polls in the middle of bdrv_drop_intermediate.
//
//   job --> job-node --backing--> node-1        node-2 --chain--> node-1 --chain--> node-0        node-1 is dropped

import {
  BDRV_CHILD_COW,
  type BdrvChildClass,
  type BlockDriverState,
  bdrvAttachChild,
  bdrvDropIntermediate,
  bdrvSetBackingHd,
  bdrvUnref,
  childOfBds,
} from "#core/graph";
import { type BlockJobDriver, blockJobCreate, jobSleepNs, jobStart } from "#core/jobs";
import { aioPoll, type Co, type Polls } from "#core/sched";
import type { CaseTest, QemuCase, QemuFamily } from "./support/index.ts";
import { newTestNode } from "./support/test-node.ts";

/** C: TestSimpleBlockJob. */
interface SimpleJob {
  shouldComplete: boolean;
  didComplete: boolean;
}

/** C: test_simple_job_driver. */
function simpleDriver(state: SimpleJob): BlockJobDriver {
  return {
    jobType: "commit",
    *coRun(job): Co<number> {
      while (!state.shouldComplete) yield* jobSleepNs(job, 0);
      return 0;
    },
    *clean(): Polls<void> {
      state.didComplete = true;
    },
  };
}

/** C: drop_intermediate_poll_update_filename: were the job not drained, it would end here, and its node would go. */
function pollingClass(t: CaseTest): BdrvChildClass {
  return {
    ...childOfBds,
    *updateFilename(): Polls<void> {
      yield* aioPoll(t.main, false);
      yield* aioPoll(t.main, false);
    },
  };
}

/** C: test_drop_intermediate_poll. */
function* testDropIntermediatePoll(t: CaseTest): Polls<void> {
  const chain: BlockDriverState[] = [];
  for (const name of ["node-0", "node-1", "node-2"])
    chain.push(yield* newTestNode(name, { readOnly: true }));
  const [node0, node1, node2] = chain;
  t.check(node0 !== undefined && node1 !== undefined && node2 !== undefined, "that they exist");
  const jobNode = yield* newTestNode("job-node");
  yield* bdrvSetBackingHd(jobNode, node1);
  // Last, so that these edges come first in the lists of parents.
  const klass = pollingClass(t);
  yield* bdrvAttachChild(node1, node0, "chain", BDRV_CHILD_COW, klass);
  yield* bdrvAttachChild(node2, node1, "chain", BDRV_CHILD_COW, klass);
  const state: SimpleJob = { shouldComplete: false, didComplete: false };
  const { job } = yield* blockJobCreate("job", simpleDriver(state), jobNode);
  yield* bdrvUnref(jobNode);
  jobStart(job);
  state.shouldComplete = true;
  t.check(!state.didComplete, "!job_has_completed");
  yield* bdrvDropIntermediate(node1, node0);
  t.check(state.didComplete, "job_has_completed");
  yield* bdrvUnref(node2);
}

const cases: readonly QemuCase[] = [
  {
    name: "/bdrv-drain/bdrv_drop_intermediate/poll",
    body: testDropIntermediatePoll,
    findings: [
      {
        rule: "interleaved-operations",
        when: "always",
        why: "True, and what the case is about: the job completes in a poll of bdrv_drop_intermediate, and its node is deleted there. The drain keeps the edges alive that are still to be moved; it does not keep the two operations apart.",
      },
    ],
  },
];

export const bdrvDrainGraph: QemuFamily = {
  qemuFile: "tests/unit/test-bdrv-drain.c",
  file: "tests/qemu/bdrv-drain-graph.ts",
  cases,
};
