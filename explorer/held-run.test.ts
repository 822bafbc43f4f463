// Predicted races are made real: the schedule of each candidate is executed, and the ordinary analysis of that run has the race.

import { describe, expect, it } from "vitest";
import { type Prediction, raceCandidates } from "#analyzer/predict";
import { siteTable } from "#core/probe";
import { replayTrace } from "#replay";
import { MemorySink, Recorder } from "#tracer";
import { bytesSource, TraceReader } from "#traces";
import { heldSchedules, runHeld } from "./held-run.ts";
import { recordScenario } from "./record-scenario.ts";
import { worldBuilder } from "./run-scenario.ts";
import type { Scenario } from "./scenario.ts";
import luckLock from "./scenarios/luck-lock.ts";
import luckLockAfter from "./scenarios/luck-lock-after.ts";
import { judge } from "./scenarios/test-support.ts";

const racesIn = (bytes: Uint8Array) =>
  judge(bytes)
    .findings.filter(({ rule }) => rule === "race")
    .map(({ list, accesses }) => `${list} ${accesses.map(({ site }) => site.name).sort()}`);

/** Of each candidate whether a schedule of its shows it; every run is replayed, too. */
function confirmed(scenario: Scenario, seed: number, method: Prediction): string[] {
  const { bytes } = recordScenario(scenario, { seed, lock: "aio" });
  expect(racesIn(bytes)).toEqual([]);
  const reader = TraceReader.open(bytesSource(bytes));
  const { candidates } = raceCandidates(reader.batches(), method);
  const build = worldBuilder(() => scenario);
  const schedules = heldSchedules(reader, build, candidates);
  return candidates.map(({ list, accesses }, i) => {
    const sites = accesses.map(({ site }) => siteTable[site - 1]?.name).sort();
    const isShown = (schedules[i] ?? []).some((schedule) => {
      const sink = new MemorySink(reader.header);
      const recorder = new Recorder(sink);
      const run = runHeld(scenario, reader, schedule, recorder);
      recorder.close();
      const again = TraceReader.open(bytesSource(sink.bytes()));
      expect(replayTrace(again, { buildWorld: build }).identical).toBe(true);
      return run.isAsAsked && racesIn(sink.bytes()).includes(`${list} ${sites}`);
    });
    return `${list} ${sites}: ${isShown}`;
  });
}

describe("what is predicted, and executed under the schedule that shows it, races", () => {
  it.each([1, 2, 3])("when sections change places: luck-lock, seed %i", (seed) => {
    expect(confirmed(luckLock, seed, "syncp")).toEqual([]);
    expect(confirmed(luckLock, seed, "osr")).toEqual([
      "children bdrv_child_cb_detach,bdrv_io_plug: true",
      "children bdrv_child_cb_detach,bdrv_io_unplug: true",
      "edge_bs bdrv_io_plug,bdrv_replace_child_noperm: true",
      "edge_bs bdrv_io_unplug,bdrv_replace_child_noperm: true",
    ]);
  });

  it.each([1, 2, 3])("when sections keep their order: luck-lock-after, seed %i", (seed) => {
    for (const method of ["syncp", "osr"] as const)
      expect(confirmed(luckLockAfter, seed, method)).toEqual([
        // Unplug comes after plug, which saw the edit: what plug did if it had not is another question.
        "children bdrv_child_cb_detach,bdrv_io_plug: true",
      ]);
  });
});
