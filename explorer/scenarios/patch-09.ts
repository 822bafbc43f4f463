// What patch 9 repairs: a job with a rate limit is paused by drains again and again, and its sleeps with it.
//
//   main                                      io0, a job on top: UNITS units, SPEED of them a second
//                                               a unit, job_sleep_ns(what block_job_ratelimit_get_delay says)
//   drained_begin(top): pauses the job            sleeps; is woken for its pause point
//   drained_end(top): resumes the job             off: the rest of its sleep is lost; on: it sleeps again until its deadline
//   and again every DRAIN_NS                    the next unit
//
// The limit comes to a time that UNITS units must take at least. The job's own note says what they took.

import { must } from "#core/base";
import { bdrvDrain } from "#core/io";
import {
  BLOCK_JOB_SLICE_TIME_NS,
  type BlockJobDriver,
  blockJobCreate,
  blockJobRatelimitGetDelay,
  type Job,
  jobSleepNs,
  jobStart,
} from "#core/jobs";
import { site } from "#core/probe";
import { type Co, clockNs, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeChain, openChain } from "./hole-chain.ts";

const DRAIN = site("patch_09_drain");

const UNITS = 20;
const SPEED = 20;
/** What the units take at least. A slice of 100 ms has room for two, and the last slice is not waited for: 9 times 100 ms. */
const LEAST_NS = (UNITS / 2 - 1) * BLOCK_JOB_SLICE_TIME_NS;
const DRAIN_NS = 10_000_000;

const patch09: Scenario = {
  name: "patch-09",
  title: "A job with a rate limit is paused by drains in its sleep (patch 9).",
  expected: [
    { finds: [] },
    { without: [9], finds: [{ rule: "job-sleep-cut-short", node: "limited" }] },
  ],
  main,
};

export default patch09;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  const driver = limitedDriver(world);
  const { job } = yield* blockJobCreate("limited", driver, chain.top, { speed: SPEED });
  jobStart(job);
  while (job.status !== "null") {
    yield* world.sleep(DRAIN_NS);
    yield* bdrvDrain(chain.top, DRAIN);
  }
  yield* closeChain(world, chain);
}

/** Its work is nothing but units that count for the limit. */
function limitedDriver(world: World): BlockJobDriver {
  return {
    jobType: "stream",
    *coRun(job: Job): Co<number> {
      const blockJob = must(job.blockJob, "the job is a block job");
      const began = clockNs();
      for (let unit = 1; unit <= UNITS; unit++) {
        const delayNs = blockJobRatelimitGetDelay(blockJob, 1);
        if (unit < UNITS) yield* jobSleepNs(job, delayNs);
      }
      const took = clockNs() - began;
      const kept = took >= LEAST_NS ? "keeps" : "ignores";
      world.note(
        `the job ${kept} its limit: ${UNITS} units in ${inMs(took)} ms, at least ${inMs(LEAST_NS)} allowed`,
      );
      return 0;
    },
  };
}

function inMs(ns: number): number {
  return Math.floor(ns / 1e6);
}
