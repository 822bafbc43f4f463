// What cannot be trusted, for long: NBD connections, QMP connections and qcow2 images, each guided by the code that it reaches. Runs
// of what is new, of the corpus at the end and of one input in twenty are recorded, replay identically and have no finding.

import { canary } from "../fuzz/canary.ts";
import { type FuzzResult, fuzz } from "../fuzz/fuzzer.ts";
import { nbdTarget } from "../fuzz/nbd-target.ts";
import { qcow2Target } from "../fuzz/qcow2-target.ts";
import { qmpTarget } from "../fuzz/qmp-target.ts";

export const title =
  "Fuzz of NBD connections, QMP connections and qcow2 images, guided by coverage; new inputs, the corpus and one in twenty are replayed and judged (three times 3 min).";

const SECONDS = 180;

/** Arguments: seconds for each target, the seed. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const [secondsMax = SECONDS, seed = 1] = args.map(Number);
  const found = fuzz(canary, { seed, runs: 100_000, isGuided: true, failuresMax: 1 });
  say(
    `the canary was ${found.failures.length === 1 ? "" : "NOT "}found, after ${found.runs} inputs`,
  );
  const targets: Record<string, FuzzResult> = {};
  for (const target of [nbdTarget, qmpTarget, qcow2Target()]) {
    const runs = Number.POSITIVE_INFINITY;
    const result = fuzz(target, { seed, runs, secondsMax, isGuided: true });
    targets[target.name] = result;
    const { runs: done, judged, corpus, blocks, slowestMs, failures } = result;
    say(
      `${target.name}: ${done} inputs, ${judged} replayed and judged, ${corpus} in the corpus, ${blocks} blocks, slowest ${slowestMs} ms, ${failures.length} failures`,
    );
    for (const failure of failures) say(failure);
  }
  const isSound = Object.values(targets).every(({ failures }) => failures.length === 0);
  return { passed: isSound && found.failures.length === 1, canaryAfter: found.runs, targets };
}
