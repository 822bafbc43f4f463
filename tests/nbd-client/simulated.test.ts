// The NBD client in simulated runs: each twice the same, replayed, judged; and under many schedules.

import { describe, expect, it } from "vitest";
import { NullProbe } from "#core/probe";
import { runScenario } from "#explorer";
import { checkRun, judge } from "../../explorer/scenarios/test-support.ts";
import { nbdClientAlone, nbdClientUnderLoad } from "./simulated.ts";

describe("the NBD client", () => {
  it("loses no request while its server goes and comes back", () => {
    for (const seed of [1, 2]) {
      const run = checkRun(nbdClientUnderLoad, { seed });
      expect([run.outcome, ...run.notes]).toEqual(["ok", "48 requests, 0 failed", "status known"]);
      expect(judge(run.bytes).findings).toEqual([]);
    }
  });

  it("keeps a drain no longer than its requests, which wait as long as they were told to", () => {
    const run = checkRun(nbdClientAlone, { seed: 1 });
    expect([run.outcome, ...run.notes]).toEqual([
      "ok",
      "Requested export not available",
      "flush 0",
      "failed after 2 s",
      "failed after 2 s",
      "failed after 2 s",
      "drained after 2 s, 0 in flight",
      "flush 0 after 2 s",
    ]);
    expect(judge(run.bytes).findings).toEqual([]);
  });

  it("does so under 100 random schedules", () => {
    const ends = new Set<string>();
    for (let seed = 1; seed <= 100; seed++) {
      const scenario = seed % 20 === 0 ? nbdClientUnderLoad : nbdClientAlone;
      ends.add(
        runScenario(scenario, { seed, scheduler: "random", probe: new NullProbe() }).outcome,
      );
    }
    expect([...ends]).toEqual(["ok"]);
  });
});
