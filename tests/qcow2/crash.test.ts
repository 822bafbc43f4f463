// Wherever an image is cut off, the next one who opens it finds leaks at most, and everything that was flushed.

import { describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import { problemAfter, recordCrashRun } from "./crash.ts";
import { CRASH_PLANS } from "./crash-plans.ts";

const CUTS = 12;

describe("an image that is cut off", () => {
  it.each(CRASH_PLANS)("%s", (_name, rest) => {
    const plan = { seed: 3, operations: 60, ...rest };
    const run = recordCrashRun(plan);
    const prng = new Prng(plan.seed, 9);
    const problems: string[] = [];
    for (let i = 0; i < CUTS; i++) {
      const cut = run.start + prng.below(run.log.length - run.start + 1);
      const problem = problemAfter(run, cut, prng);
      if (problem !== "") problems.push(problem);
    }
    expect(problems).toEqual([]);
  });
});
