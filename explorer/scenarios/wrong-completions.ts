// Two jobs complete in the same moment, and the first one's completion polls: what made iotest 030 crash now and then.
//
//      top                    stream wants to take `middle` out: top's backing file is to be `base`
//       |  backing            commit wants to take `base` away from below `middle`
//     middle
//       |  backing
//      base
//
//   main: stream completes                                   commit completes, in the poll of the first
//     base = middle->backing->bs
//     writes the name of the backing file: polls
//                                                              set_backing_hd(middle, none)
//     set_backing_hd(top, base)
//
// Both are in the main context, one inside the other: nothing is concurrent, no drain stops a completion that has begun, and a
// reference to `base` does not help. Stream puts back a node that commit has taken out of the chain.

import { overlayOpen } from "#core/drivers";
import {
  type BlockDriverState,
  backingOf,
  bdrvRef,
  bdrvSetBackingHd,
  bdrvUnref,
  edgeBs,
} from "#core/graph";
import { type BlockJobDriver, blockJobCreate, jobStart } from "#core/jobs";
import { site } from "#core/probe";
import type { Co, Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { NODE_BYTES } from "./hole-chain.ts";

const SITE_PREPARE = site("wrong_completions_prepare");

const wrongCompletions: Scenario = {
  name: "wrong-completions",
  title: "A job completes in the poll of another job's completion.",
  expected: [
    {
      finds: [
        { rule: "interleaved-operations", list: "backing", node: "middle" },
        { rule: "stale-pointer", list: "edge_bs", reader: "wrong_completions_prepare" },
      ],
    },
  ],
  main,
};

export default wrongCompletions;

function* main(world: World): Polls<void> {
  const base = yield* overlayOpen({ nodeName: "base", size: NODE_BYTES });
  bdrvRef(base);
  const middle = yield* overlayOpen({ nodeName: "middle", size: NODE_BYTES, backing: base });
  bdrvRef(middle);
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES, backing: middle });
  let committed = false;
  const stream = jobThatEndsWith(function* (): Polls<void> {
    const edge = backingOf(middle, SITE_PREPARE);
    const below = edge === null ? null : edgeBs(edge, SITE_PREPARE);
    yield* world.until(() => committed);
    yield* bdrvSetBackingHd(top, below);
  });
  const commit = jobThatEndsWith(function* (): Polls<void> {
    yield* bdrvSetBackingHd(middle, null);
    committed = true;
  });
  // What is scheduled last runs first: the bottom half of stream's completion, and that of commit's in its poll.
  yield* runBoth(world, [commit, middle], [stream, top]);
  for (const bs of [top, middle, base]) yield* bdrvUnref(bs);
}

type Plan = readonly [driver: BlockJobDriver, bs: BlockDriverState];

/** Start the two jobs, and wait until both are gone. Polls. */
function* runBoth(world: World, ...plans: readonly Plan[]): Polls<void> {
  const jobs = [];
  for (const [driver, bs] of plans) {
    const { job } = yield* blockJobCreate(`job-${bs.nodeName}`, driver, bs);
    jobs.push(job);
  }
  for (const job of jobs) jobStart(job);
  while (jobs.some((job) => job.status !== "null")) yield* world.sleep(1000);
}

/** A job without work: all that it does is its completion. */
function jobThatEndsWith(end: () => Polls<void>): BlockJobDriver {
  return {
    jobType: "stream",
    *coRun(): Co<number> {
      return 0;
    },
    *prepare(): Polls<number> {
      yield* end();
      return 0;
    },
  };
}
