// A million random operations on graphs under load, with failures injected: no invariant is broken, no drain is endless, and
// whatever is refused or made to fail leaves the graph as it was.

import { runStorms, STORM_REGIMES } from "#explorer";

export const title =
  "A million random graph operations with failures injected, and every invariant after every step (about 10 min).";

const OPERATIONS = 1_000_000;
/** Operations of one storm. */
const OF_A_STORM = 200;
/** Storms between two lines of progress. */
const STORMS = 250;

/** Argument: the number of operations. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const perRegime = Math.ceil(Number(args[0] ?? OPERATIONS) / STORM_REGIMES.length / OF_A_STORM);
  const violations: string[] = [];
  const tallies: Record<string, Record<string, unknown>> = {};
  let operations = 0;
  for (const regime of STORM_REGIMES) {
    const moves: Record<string, unknown> = {};
    for (let seed = 1; seed <= perRegime; seed += STORMS) {
      const seeds = Math.min(STORMS, perRegime - seed + 1);
      const report = runStorms(regime, { firstSeed: seed, seeds, operations: OF_A_STORM });
      operations += report.operations;
      violations.push(...report.violations.map((what) => `${regime.name}: ${what}`));
      for (const [move, { done, refused, injected }] of report.moves) {
        const before = (moves[move] as number[] | undefined) ?? [0, 0, 0];
        moves[move] = [done, refused, injected].map((count, i) => count + (before[i] ?? 0));
      }
      say(`${operations} operations, ${violations.length} violations`);
    }
    tallies[regime.name] = moves;
  }
  return { passed: violations.length === 0, operations, violations, doneRefusedInjected: tallies };
}
