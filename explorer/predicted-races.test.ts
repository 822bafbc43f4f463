// Every prediction about quiesce's own scenarios is confirmed by its execution; one that cannot be is named, and no finding.

import { describe, expect, it } from "vitest";
import { analyze } from "#analyzer";
import { blkIoPlug, blkIoUnplug } from "#core/backend";
import {
  aioBhScheduleOneshot,
  aioContextAcquire,
  aioContextRelease,
  type Polls,
} from "#core/sched";
import { bytesSource, TraceReader } from "#traces";
import { type PredictedRaces, predictedRaces } from "./predicted-races.ts";
import { type RecordOptions, recordScenario } from "./record-scenario.ts";
import type { Scenario } from "./scenario.ts";
import { closeChain, dropBackingAndStay, openChain, PAUSE_NS } from "./scenarios/hole-chain.ts";
import { SCENARIOS } from "./scenarios/index.ts";
import type { World } from "./world.ts";

function predicted(scenario: Scenario, options: RecordOptions): PredictedRaces {
  const reader = TraceReader.open(bytesSource(recordScenario(scenario, options).bytes));
  const { sites } = reader.header;
  const result = analyze({ batches: reader.batches(), sites, strings: reader.strings });
  return predictedRaces(scenario, reader, result, { method: "osr" });
}

/** As luck-lock, but the device looks at a variable that no trace tells: it plugs only when main was not there yet. */
const secretive: Scenario = {
  name: "secretive",
  title: "A device plugs only while main has not had the lock.",
  *main(world: World): Polls<void> {
    const chain = yield* openChain(world);
    const { ctx, drive } = chain;
    let mainWasThere = false;
    aioBhScheduleOneshot(ctx, () => {
      if (mainWasThere) return undefined;
      blkIoPlug(drive);
      blkIoUnplug(drive);
      return undefined;
    });
    yield* world.sleep(PAUSE_NS);
    yield* aioContextAcquire(ctx);
    mainWasThere = true;
    aioContextRelease(ctx);
    yield* world.sleep(PAUSE_NS);
    yield* dropBackingAndStay(world, chain);
    yield* closeChain(world, chain);
  },
};

describe("a prediction", () => {
  it("of a run of quiesce's own scenarios happens when it is executed", () => {
    let confirmed = 0;
    for (const scenario of SCENARIOS.filter(({ name }) => /^(luck|hole|wrong)-/.test(name)))
      for (const seed of [1, 2]) {
        const { races, unconfirmed, notExecuted } = predicted(scenario, { seed, lock: "aio" });
        expect([scenario.name, seed, unconfirmed, notExecuted]).toEqual([
          scenario.name,
          seed,
          [],
          0,
        ]);
        confirmed += races.length;
      }
    expect(confirmed).toBeGreaterThan(8);
  });

  it("that goes by what no trace tells does not happen: it is named, and no finding", () => {
    const { races, unconfirmed } = predicted(secretive, { seed: 1, lock: "aio" });
    expect(races).toEqual([]);
    expect(unconfirmed.map(({ rule, list }) => [rule, list])).toEqual([
      ["covered-by-luck", "children"],
      ["covered-by-luck", "children"],
      ["covered-by-luck", "edge_bs"],
      ["covered-by-luck", "edge_bs"],
    ]);
  });
});
