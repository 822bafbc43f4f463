// The flat engines against brute force, on far more random traces than `npm test` has time for: of each seed the races by both
// orders, the lock discipline, and the atomicity of blocks. Half of the traces are ones that no program can make; these are
// judged by full vector clocks, the others by the transitive closure.

import { closureVerdict, naiveVerdict } from "../../analyzer/flat/oracle/test-support.ts";
import {
  atomicityDiffers,
  engineVerdict,
  locksetDiffers,
  randomTrace,
} from "../../analyzer/flat/test-support.ts";

export const title =
  "The flat engines count races as the transitive closure and full vector clocks do, on 100,000 random traces (about 10 min).";

const SEEDS = 100_000;

/** Arguments: the number of traces, and the first seed. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const seeds = Number(args[0] ?? SEEDS);
  const first = Number(args[1] ?? 1);
  const differing: string[] = [];
  const racy = { hb: 0, shb: 0 };
  let events = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const lawless = seed % 2 === 0;
    const trace = randomTrace({
      seed,
      events: 20 + (seed % 10) * 20,
      lawless,
      blocks: seed % 4 === 1,
    });
    events += trace.events.count;
    for (const order of ["hb", "shb"] as const) {
      const engine = engineVerdict(trace, order);
      const expected = lawless ? naiveVerdict(trace, order) : closureVerdict(trace, order);
      if (JSON.stringify(engine) !== JSON.stringify(expected)) differing.push(`${order} ${seed}`);
      racy[order] += engine.racyEvents.length;
    }
    if (locksetDiffers(trace)) differing.push(`lockset ${seed}`);
    if (seed % 4 === 1 && atomicityDiffers(trace)) differing.push(`atomicity ${seed}`);
    if ((seed - first + 1) % 5000 === 0)
      say(`${seed - first + 1} traces, ${differing.length} judged differently`);
  }
  return { passed: differing.length === 0, traces: seeds, events, racyEvents: racy, differing };
}
