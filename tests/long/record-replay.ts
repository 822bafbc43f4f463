// Replay is exact: every scenario, as its expectations ask for patches and lock, under many seeds; and live recordings of the
// demo whose image files are gone.

import { must } from "#core/base";
import { SCENARIOS } from "#explorer";
import { recordLive } from "../record-replay/live-recording.ts";
import { type RoundTrip, roundTrip, roundTripOf } from "../record-replay/round-trip.ts";

export const title =
  "Replay is exact: every scenario x 200 seeds simulated, 20 live recordings of the demo (about 15 min).";

const SEEDS = 200;
const LIVE = 20;

/** Arguments: the number of seeds and of live recordings. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const seeds = Number(args[0] ?? SEEDS);
  const live = Number(args[1] ?? LIVE);
  const problems: string[] = [];
  const total = { recordings: 0, events: 0, inputs: 0 };
  const count = (what: string, trip: Omit<RoundTrip, "outcome">): void => {
    total.recordings++;
    total.events += trip.events;
    total.inputs += trip.inputs;
    if (trip.problem !== "") problems.push(`${what}: ${trip.problem}`);
  };
  for (const scenario of SCENARIOS) {
    for (let seed = 1; seed <= seeds; seed++) {
      for (const { without, lock } of scenario.expected ?? [{}]) {
        const options = {
          seed,
          ...(without === undefined ? {} : { without }),
          ...(lock === undefined ? {} : { lock }),
        };
        count(`${scenario.name} ${JSON.stringify(options)}`, roundTrip(scenario, options));
      }
    }
    say(`${scenario.name}: ${total.recordings} recordings so far, ${problems.length} problems`);
  }
  const demo = must(
    SCENARIOS.find(({ name }) => name === "demo"),
    "the demo is built in",
  );
  for (let seed = 1; seed <= live; seed++) {
    const { bytes } = await recordLive(demo, { seed });
    count(`live demo, seed ${seed}`, roundTripOf(demo, bytes));
  }
  say(`${live} live recordings of the demo replayed without their images`);
  return { passed: problems.length === 0, seeds, live, ...total, problems: problems.slice(0, 20) };
}
