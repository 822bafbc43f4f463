// Predicted races against every correct reordering of small random traces: sync-preserving races exactly, optimistic reversals by
// their definition, and no race that no reordering shows. Each witness is checked. Says also how many predictable races the
// methods find of all that there are.

import { smallTrace } from "../../analyzer/predict/oracle/test-support.ts";
import { comparePrediction } from "../../analyzer/predict/test-support.ts";

export const title =
  "Prediction finds what an enumeration of all correct reorderings finds, on 100,000 small random traces (about 2 min).";

const SEEDS = 100_000;

/** Arguments: the number of traces, and the first seed. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const seeds = Number(args[0] ?? SEEDS);
  const first = Number(args[1] ?? 1);
  const races = { syncp: 0, osr: 0, any: 0 };
  const differing: string[] = [];
  for (let seed = first; seed < first + seeds; seed++) {
    const { differences, found } = comparePrediction(smallTrace(seed));
    for (const method of ["syncp", "osr", "any"] as const) races[method] += found[method];
    if (differences.length > 0) differing.push(`${seed}: ${differences.join(", ")}`);
    if ((seed - first + 1) % 10_000 === 0)
      say(`${seed - first + 1} traces, ${differing.length} judged differently`);
  }
  return { passed: differing.length === 0, traces: seeds, races, differing };
}
