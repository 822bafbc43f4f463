// The rules that look at no pair, engine against oracle, in words that both can say.

import { analyze } from "../analysis.ts";
import type { Finding } from "../findings.ts";
import { ORACLE_RULES, ruleOracle } from "../oracle-rules/index.ts";
import { RandomRules } from "./random-rules.ts";

/** Both verdicts on a random trace; they must be equal. */
export function compareRules(
  seed: number,
  events: number,
): { engine: string[]; expected: string[] } {
  const random = new RandomRules(seed, events);
  const { batches } = random.writer;
  const { findings } = analyze({ batches, sites: random.sites, strings: [""] });
  return {
    engine: findings
      .filter(({ rule }) => ORACLE_RULES.includes(rule))
      .map(lineOf)
      .sort(),
    expected: ruleOracle(batches),
  };
}

function lineOf({ rule, accesses, count, first, last }: Finding): string {
  const said = accesses.map(({ what, event }) => `${what}@${event}`).join(" ");
  return `${rule} ${said} x${count} ${first}-${last}`;
}
