// On thousands of random traces, each rule finds what its oracle finds, and every rule finds something in many of them.

import { expect, it } from "vitest";
import { compareRules } from "../test-support/compare-rules.ts";
import { ORACLE_RULES } from "./index.ts";

it("the rules and their oracles agree", () => {
  const traces = new Map<string, number>();
  for (let seed = 1; seed <= 250; seed++) {
    const { engine, expected } = compareRules(seed, 60 + (seed % 4) * 40);
    expect(engine, `seed ${seed}`).toEqual(expected);
    for (const rule of new Set(engine.map((line) => line.split(" ")[0] ?? "")))
      traces.set(rule, (traces.get(rule) ?? 0) + 1);
  }
  // A rule that hardly ever speaks would agree with anything.
  for (const rule of ORACLE_RULES) expect(traces.get(rule) ?? 0, rule).toBeGreaterThan(15);
});
