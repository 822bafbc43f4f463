// The analyzer's engine against the brute-force oracle, on far more random traces than `npm test` has time for: of each seed
// one trace where only main edits, one where everybody does, with many sites and with few, one whose logs are folded at every
// turn, and one whose groups are merged at every turn, with two to six contexts. And two traces for all other rules: one about
// interleaving, lifetimes and wake-ups, one about drains, edits, locks, jobs, the ends of runs, and what policies demand.

import { compareProtocol, compareRules, compareWithOracle } from "../../analyzer/test-support.ts";

export const title =
  "On 100,000 random traces the analyzer judges every pair as the brute-force oracle does, and every rule and policy finds what its oracle finds (about 8 min).";

/** Eight traces a seed. */
const SEEDS = 12_500;
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
    const events = 50 + (seed % 4) * 50;
    const contexts = 2 + (seed % 5);
    const traces = [
      [{ seed, events, uniqueSites: true, exotic: false, contexts }, {}],
      [{ seed, events, uniqueSites: false, exotic: false, contexts }, {}],
      [{ seed, events, uniqueSites: true, exotic: true, contexts }, {}],
      [{ seed, events, uniqueSites: false, exotic: true, contexts }, {}],
      [{ seed, events, uniqueSites: false, exotic: true, contexts }, { limits: FOLDED }],
      [
        { seed, events, uniqueSites: false, exotic: false, narrow: true, contexts },
        { limits: MERGED },
      ],
    ] as const;
    for (const [trace, engine] of traces) {
      const { engine: found, expected } = compareWithOracle(trace, engine);
      if (found.join() !== expected.join()) differing.push(JSON.stringify({ ...trace, ...engine }));
    }
    for (const compare of [compareRules, compareProtocol]) {
      const { engine, expected } = compare(seed, events);
      if (engine.join() !== expected.join())
        differing.push(JSON.stringify({ seed, events, compare: compare.name }));
    }
    if ((seed - first + 1) % 1000 === 0)
      say(`${seed - first + 1} seeds, ${differing.length} traces judged differently`);
  }
  return { passed: differing.length === 0, seeds, traces: 8 * seeds, differing };
}
