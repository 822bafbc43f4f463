// Every scenario keeps what it promises: how it ends and what the analyzer finds, in each way to run it. (Each run is
// recorded twice and replayed on the way: test-support.ts.)

import { describe, expect, it } from "vitest";
import { SCENARIOS } from "./index.ts";
import { checkExpectation, titleOf } from "./test-support.ts";

describe.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  "scenario %s",
  (_name, scenario) => {
    const runs = (scenario.expected ?? []).map((run) => [titleOf(run), run] as const);

    it("says what it shows", () => {
      expect(scenario.title).toMatch(/^[A-Z].*\.$/);
      expect(runs.length).toBeGreaterThan(0);
    });

    it.each(runs)("keeps its promise with %s", (_title, run) => checkExpectation(scenario, run));
  },
);

it("no two scenarios have the same name", () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
