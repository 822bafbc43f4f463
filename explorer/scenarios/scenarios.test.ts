// Every scenario keeps what it promises: how it ends and what the analyzer finds, in each way to run it. (Each run is
// recorded twice and replayed on the way: test-support.ts.)

import { describe, expect, it } from "vitest";
import { SANCTIONED_EDGES } from "#analyzer";
import { SCENARIOS } from "./index.ts";
import { checkExpectation, checkRestsOn, titleOf } from "./test-support.ts";

describe.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  "scenario %s",
  (_name, scenario) => {
    const runs = (scenario.expected ?? []).map((run) => [titleOf(run), run] as const);

    it("says what it shows", () => {
      expect(scenario.title).toMatch(/^[A-Z].*\.$/);
      expect(runs.length).toBeGreaterThan(0);
    });

    it.each(runs)("keeps its promise with %s", (_title, run) => {
      checkExpectation(scenario, run);
      checkRestsOn(scenario, run);
    });
  },
);

it("every kind of edge of the sanctioned order is one that some scenario cannot do without", () => {
  const needed = SCENARIOS.flatMap(({ expected = [] }) =>
    expected.flatMap((run) => run.restsOn ?? []),
  );
  expect([...new Set(needed)]).toEqual(expect.arrayContaining([...SANCTIONED_EDGES]));
});

it("no two scenarios have the same name", () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
