// Wherever an image is cut off, the next one who opens it finds leaks at most, and everything that was flushed.

import { describe, expect, it } from "vitest";
import { must, Prng } from "#core/base";
import { type CrashRun, problemAfter, problemOrRefusal, recordCrashRun } from "./crash.ts";
import { CRASH_PLANS } from "./crash-plans.ts";

const CUTS = 12;

/** In turn a moment at random, one right after the L1 table was written, and one while the image is closed. */
function cutOf(run: CrashRun, turn: number, prng: Prng): number {
  const writes = run.writesToL1();
  const write = writes[prng.below(Math.max(1, writes.length))];
  if (turn % 3 === 1 && write !== undefined) return write + 1;
  if (turn % 3 === 2) return run.log.length - Math.floor(turn / 3);
  return run.start + prng.below(run.log.length - run.start + 1);
}

describe("an image that is cut off", () => {
  it.each(CRASH_PLANS)("%s", (_name, rest) => {
    const plan = { seed: 3, operations: 60, ...rest };
    const run = recordCrashRun(plan);
    const prng = new Prng(plan.seed, 9);
    const problems: string[] = [];
    for (let i = 0; i < CUTS; i++) {
      const cut = cutOf(run, i, prng);
      const problem = problemAfter(run, cut, prng);
      if (problem !== "") problems.push(problem);
    }
    expect(problems).toEqual([]);
  });

  it("keeps what was written in place beside a subcluster that a request had to allocate", () => {
    const [, rest] = must(
      CRASH_PLANS.find(([name]) => name === "subclusters"),
      "planned",
    );
    // In this run two guests meet in one subcluster: one allocates others of its cluster, one writes in place.
    const run = recordCrashRun({ seed: 4, operations: 80, ...rest });
    expect(problemAfter(run, run.log.length, new Prng(4, 9))).toBe("");
  });

  it("would be found broken without the barrier before its L1 table", () => {
    const [, rest] = must(
      CRASH_PLANS.find(([name]) => name === "tables where data was"),
      "planned",
    );
    const run = recordCrashRun({ seed: 3, operations: 60, ...rest }).withoutBarrierBeforeL1();
    const prng = new Prng(3, 9);
    // The moments at which it matters: the table has been written, and nothing was flushed since.
    const cuts = run.writesToL1().flatMap((index) => Array.from({ length: 6 }, () => index + 1));
    const isBroken = cuts.some((cut) => problemOrRefusal(run, cut, prng) !== "");
    expect(isBroken).toBe(true);
  });
});
