// Replay is exact, in a few seeds; `npm run long -- record-replay` is the full form.

import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { SCENARIOS } from "#explorer";
import { recordLive } from "./live-recording.ts";
import { roundTrip, roundTripOf } from "./round-trip.ts";

describe.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  "%s",
  (_name, scenario) => {
    it.each([1, 2])(
      "seed %i: recorded twice equal; inputs and full replay to the same bytes",
      (seed) => {
        for (const { without, lock } of scenario.expected ?? [{}]) {
          const options = {
            seed,
            ...(without === undefined ? {} : { without }),
            ...(lock === undefined ? {} : { lock }),
          };
          expect(roundTrip(scenario, options)).toMatchObject({ problem: "" });
        }
      },
    );
  },
);

const demo = must(
  SCENARIOS.find(({ name }) => name === "demo"),
  "the demo is built in",
);

describe("a demo whose disk answers every other time at once", () => {
  it.each([3, 4])("seed %i: is replayed to the same bytes", (seed) => {
    const cached = { ...demo, disk: { ...demo.disk, nowOneIn: 2 } };
    expect(roundTrip(cached, { seed })).toMatchObject({ problem: "" });
  });
});

describe("a live recording of the demo", () => {
  it("replays without its image files", async () => {
    const { outcome, bytes } = await recordLive(demo, { seed: 7 });
    expect(outcome).toBe("ok");
    expect(roundTripOf(demo, bytes)).toMatchObject({ problem: "" });
  });
});
