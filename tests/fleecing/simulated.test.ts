// Fleecing in simulated runs: each twice the same, replayed, judged; and under many schedules.

import { describe, expect, it } from "vitest";
import { NullProbe } from "#core/probe";
import { runScenario } from "#explorer";
import { checkRun, judge } from "../../explorer/scenarios/test-support.ts";
import { fleecing } from "./simulated.ts";

const RUNS: readonly (readonly [string, Record<string, string>, readonly string[]])[] = [
  ["copies and reads", {}, ["75 writes, none failed", "40 reads, none failed"]],
  ["copies in time", { timeout: "60" }, ["75 writes, none failed", "40 reads, none failed"]],
  ["fails a write", { fails: "yes" }, ["75 writes, some failed", "40 reads, none failed"]],
  [
    "breaks the snapshot",
    { fails: "yes", on: "break-snapshot" },
    ["75 writes, none failed", "40 reads, some failed"],
  ],
];

describe("fleecing under load", () => {
  it.each(RUNS)("%s, again in a replay, and without a finding", (_name, params, notes) => {
    const run = checkRun(fleecing, { seed: 1, params });
    expect([run.outcome, ...run.notes]).toEqual(["ok", ...notes]);
    expect(judge(run.bytes).findings).toEqual([]);
  });

  it.each(RUNS)("%s under 12 random schedules, with the invariants checked", (_name, params) => {
    const ends = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const how = { seed, scheduler: "random" as const, params, checkInvariants: seed % 6 === 0 };
      ends.add(runScenario(fleecing, { ...how, probe: new NullProbe() }).outcome);
    }
    expect([...ends]).toEqual(["ok"]);
  });
});
