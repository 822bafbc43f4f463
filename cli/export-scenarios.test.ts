// The scenarios of an export keep their promises, as those of explorer/ do; each run is recorded twice and replayed on the way.

import { describe, expect, it } from "vitest";
import { checkExpectation, titleOf } from "../explorer/scenarios/test-support.ts";
import { EXPORT_SCENARIOS } from "./export-scenarios.ts";
import { allScenarios } from "./find-scenario.ts";

describe.each(EXPORT_SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  "scenario %s",
  (_name, scenario) => {
    const runs = (scenario.expected ?? []).map((run) => [titleOf(run), run] as const);

    it.each(runs)("keeps its promise with %s", (_title, run) => {
      checkExpectation(scenario, run, [1, 2, 3, 4, 5]);
    });

    it("is found by its name", () => {
      expect(allScenarios().filter(({ name }) => name === scenario.name)).toEqual([scenario]);
    });
  },
);
