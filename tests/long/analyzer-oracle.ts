// The analyzer's engine against the brute-force oracle, on far more random traces than `npm test` has time for: of each seed
// one trace where only main edits, one where everybody does, with many sites and with few, one whose logs are folded at every
// turn, and one whose groups are merged at every turn. And one trace for the rules about interleaving, lifetimes and wake-ups.

import { compareRules, compareWithOracle } from "../../analyzer/test-support.ts";

export const title =
  "The analyzer judges every pair as the brute-force oracle does, on 6 x 20,000 random traces, and finds what the oracles of the rules find on 20,000 more (about 6 min).";

const SEEDS = 20_000;
const FOLDED = { logEntriesMax: 2, groupsMax: 1000 };
const MERGED = { logEntriesMax: 512, groupsMax: 2 };

/** Arguments: the number of seeds, and the first one. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const seeds = Number(args[0] ?? SEEDS);
  const first = Number(args[1] ?? 1);
  const differing: string[] = [];
  for (let seed = first; seed < first + seeds; seed++) {
    const events = 60 + (seed % 4) * 60;
    const traces = [
      [{ seed, events, uniqueSites: true, exotic: false }, {}],
      [{ seed, events, uniqueSites: false, exotic: false }, {}],
      [{ seed, events, uniqueSites: true, exotic: true }, {}],
      [{ seed, events, uniqueSites: false, exotic: true }, {}],
      [{ seed, events, uniqueSites: false, exotic: true }, { limits: FOLDED }],
      [{ seed, events, uniqueSites: false, exotic: false, narrow: true }, { limits: MERGED }],
    ] as const;
    for (const [trace, engine] of traces) {
      const { engine: found, expected } = compareWithOracle(trace, engine);
      if (found.join() !== expected.join()) differing.push(JSON.stringify({ ...trace, ...engine }));
    }
    const rules = compareRules(seed, events);
    if (rules.engine.join() !== rules.expected.join())
      differing.push(JSON.stringify({ seed, events, rules: true }));
    if ((seed - first + 1) % 1000 === 0)
      say(`${seed - first + 1} seeds, ${differing.length} traces judged differently`);
  }
  return { passed: differing.length === 0, seeds, traces: 7 * seeds, differing };
}
