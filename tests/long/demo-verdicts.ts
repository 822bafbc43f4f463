// With all patches on the demo's workload has no finding; with patches 10 and 11 off it races on both lists. Seeds take turns
// with the scheduling strategies.

import { judgeDemo, objectionToRaces, objectionToSilence } from "../demo-verdicts/verdicts.ts";

export const title =
  "The demo's workload: no finding in 1,000 seeds with all patches on, races in 95 of 100 with 10 and 11 off (about 4 min).";

const SILENT_SEEDS = 1000;
const RACING_SEEDS = 100;
/** Of a hundred. */
const RACING_AT_LEAST = 95;
const SAY_EVERY = 100;

/** Arguments: the number of seeds with all patches on, and with patches 10 and 11 off. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const silentSeeds = Number(args[0] ?? SILENT_SEEDS);
  const racingSeeds = Number(args[1] ?? RACING_SEEDS);
  let events = 0;
  const notSilent: string[] = [];
  for (let seed = 1; seed <= silentSeeds; seed++) {
    const verdict = judgeDemo(seed, []);
    events += verdict.events;
    const objection = objectionToSilence(verdict);
    if (objection !== "") notSilent.push(`seed ${seed}: ${objection}`);
    if (seed % SAY_EVERY === 0)
      say(`${seed} seeds with all patches on: ${notSilent.length} with findings`);
  }
  const notRacing: string[] = [];
  for (let seed = 1; seed <= racingSeeds; seed++) {
    const verdict = judgeDemo(seed, [10, 11]);
    events += verdict.events;
    const objection = objectionToRaces(verdict);
    if (objection !== "") notRacing.push(`seed ${seed}: ${objection}`);
  }
  const racing = racingSeeds - notRacing.length;
  say(`${racing} of ${racingSeeds} seeds with patches 10 and 11 off race on both lists`);
  return {
    passed: notSilent.length === 0 && racing * 100 >= racingSeeds * RACING_AT_LEAST,
    silentSeeds,
    racingSeeds,
    racing,
    events,
    notSilent: notSilent.slice(0, 20),
    notRacing,
  };
}
