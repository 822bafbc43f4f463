import { describe, expect, it } from "vitest";
import { MOVES } from "./moves.ts";
import { runStorms, STORM_REGIMES } from "./run-storms.ts";

it("a storm that goes wrong is told with the command that runs it again", () => {
  // A storm whose operations no one can count stops before its first.
  const { violations } = runStorms(
    { name: "broken", without: [4, 11] },
    { firstSeed: 7, seeds: 1, operations: -1 },
  );
  expect(violations).toEqual([
    'seed 7: The parameter operations is a whole number, not "-1".\n' +
      "Again: quiesce record storm --seed 7 --param operations=-1 --without-patch 4,11 --check -o storm.trace",
  ]);
});

describe("a storm keeps every invariant", () => {
  for (const regime of STORM_REGIMES) {
    it(regime.name, () => {
      const report = runStorms(regime, { firstSeed: 1, seeds: 25, operations: 150 });
      expect(report.violations).toEqual([]);
      const tried = (name: string): number => report.moves.get(name)?.done ?? 0;
      expect(MOVES.filter(({ name, counted }) => counted && tried(name) === 0)).toEqual([]);
      const all = [...report.moves.values()];
      expect(all.reduce((sum, { refused }) => sum + refused, 0)).toBeGreaterThan(50);
      expect(all.reduce((sum, { injected }) => sum + injected, 0)).toBeGreaterThan(50);
    });
  }
});
