// Schedulable happens-before over quiesce's own traces: the engine against the brute-force oracle, where a read comes after the edit
// that it saw once it was judged, in both readings of program order.

import { compareWithOracle } from "../../analyzer/test-support.ts";

export const title =
  "By schedulable happens-before, too, the analyzer judges every pair as the brute-force oracle does, on 5,000 random traces (about 2 min).";

const SEEDS = 5_000;

/** Arguments: the number of seeds, and the first one. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const seeds = Number(args[0] ?? SEEDS);
  const first = Number(args[1] ?? 1);
  const differing: number[] = [];
  let changed = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const reading = seed % 5 === 0 ? "task" : "thread";
    const trace = {
      seed,
      events: 60 + (seed % 4) * 40,
      uniqueSites: seed % 2 === 0,
      // Read as tasks, only what main edits is compared, as in the smoke form.
      exotic: reading === "thread" && seed % 3 === 0,
      contexts: 2 + (seed % 4),
    };
    const { engine, expected } = compareWithOracle(trace, { order: "shb", reading });
    if (engine.join() !== expected.join()) differing.push(seed);
    if (engine.join() !== compareWithOracle(trace, { reading }).engine.join()) changed++;
    if ((seed - first + 1) % 1000 === 0)
      say(`${seed - first + 1} traces, ${differing.length} judged differently`);
  }
  const passed = differing.length === 0 && changed > 0;
  return { passed, traces: seeds, otherThanHappensBefore: changed, differing };
}
