// What the edges "job resumes" and "job is idle" of the sanctioned order are for.
//
//   main                                       io0, a job on top
//                                                walks: reads backing(top)
//   drained_begin(top): pauses the job           sleeps: not busy
//     reads busy 0
//     set_backing_hd(top, none)
//     edits backing(top)
//   drained_end(top): resumes the job            reads pause count 0, walks: reads backing(top)
//
// A job is counted in flight nowhere and passes no gate: its pause count and its busy flag are all that keeps it and the edit
// apart.

import { bdrvFilterOrCowChild } from "#core/graph";
import { type BlockJobDriver, blockJobCreate, type Job, jobSleepNs, jobStart } from "#core/jobs";
import type { Co, Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { type Chain, closeChain, dropBackingAndStay, openChain, PAUSE_NS } from "./hole-chain.ts";

/** The job walks this often; it sleeps in between for a quarter of main's pause. */
const WALKS = 12;

const orderJob: Scenario = {
  name: "order-job",
  title: "A job that walks the chain is paused by the drain around an edit.",
  expected: [{ finds: [], restsOn: ["job-resume", "job-idle"] }],
  main,
};

export default orderJob;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  const { job } = yield* blockJobCreate("walker", driverOf(chain), chain.top);
  jobStart(job);
  yield* world.sleep(PAUSE_NS);
  yield* dropBackingAndStay(world, chain);
  yield* world.until(() => job.status === "null");
  yield* closeChain(world, chain);
}

function driverOf({ top }: Chain): BlockJobDriver {
  return {
    jobType: "stream",
    *coRun(job: Job): Co<number> {
      for (let walk = 0; walk < WALKS; walk++) {
        bdrvFilterOrCowChild(top);
        yield* jobSleepNs(job, PAUSE_NS / 4);
      }
      return 0;
    },
  };
}
