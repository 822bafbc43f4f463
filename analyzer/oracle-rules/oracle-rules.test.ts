// On hundreds of random traces each rule, and each policy, finds what its oracle finds, and every one of them finds something in
// many. The long form does so on many thousands.

import { describe, expect, it } from "vitest";
import { POLICIES, POLICY_IDS } from "../policies/policy.ts";
import { RULE_IDS } from "../rules.ts";
import {
  compareProtocol,
  compareRules,
  type RulesCompared,
} from "../test-support/compare-rules.ts";
import { ORACLE_RULES } from "./index.ts";

/** Rules whose oracle is that of the pairs, analyzer/oracle.ts. */
const PAIR_RULES = ["race", "covered-by-luck"];
/** Each policy with what it demands itself, as the lines of the comparison begin. */
const DEMANDS = POLICY_IDS.flatMap((id) => POLICIES[id].rules.map((rule) => `${id} ${rule}`));

/** Of each word, in how many traces both sides had something to say about it. */
const traces = new Map<string, number>();

function agree(seeds: number, compare: (seed: number, events: number) => RulesCompared): void {
  for (let seed = 1; seed <= seeds; seed++) {
    const { engine, expected } = compare(seed, 60 + (seed % 4) * 45);
    expect(engine, `seed ${seed}`).toEqual(expected);
    const words = engine.map((line) => /^(P\d )?\S+/.exec(line)?.[0] ?? "");
    for (const word of new Set(words)) traces.set(word, (traces.get(word) ?? 0) + 1);
  }
}

describe("the rules and their oracles agree", () => {
  it("about interleaving, lifetimes and wake-ups", () => agree(100, compareRules));

  it("about drains, edits, locks, jobs, the ends of runs, and policies", () =>
    agree(220, compareProtocol));

  it("and each of them has spoken often: a rule that hardly ever does would agree with anything", () => {
    for (const word of [...ORACLE_RULES, ...DEMANDS, "cost"])
      expect(traces.get(word) ?? 0, word).toBeGreaterThan(2);
  });

  it("and there is no rule without an oracle", () => {
    const covered = new Set<string>([
      // Predictions are held against all reorderings, and executed (analyzer/predict, explorer/held-run.test.ts).
      "predicted-race",
      ...ORACLE_RULES,
      ...PAIR_RULES,
      ...POLICY_IDS.flatMap((id) => POLICIES[id].rules),
    ]);
    expect(RULE_IDS.filter((rule) => !covered.has(rule))).toEqual([]);
  });
});
