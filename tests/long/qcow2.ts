// Images are right both ways, and whole after a cut: random work over random geometry, judged by qemu-img; images of qemu-img
// with every option; cuts at random moments.

import { Prng } from "#core/base";
import { type CrashPlan, problemAfter, recordCrashRun } from "../qcow2/crash.ts";
import { CRASH_PLANS } from "../qcow2/crash-plans.ts";
import { randomProblem } from "../qcow2/random-run.ts";
import { NO_QEMU, scratchFolder } from "../qcow2/test-support.ts";
import { CONVERT_OPTIONS, convertProblem } from "../qcow2/theirs.ts";

export const title =
  "qcow2: random work on 100 images of random geometry, every option of qemu-img convert, 8,000 cuts (about 35 min).";

const IMAGES = 100;
const ROUNDS = 20;
const CRASH_SEEDS = 20;
const CUTS = 50;

/** Arguments: how many images, how many seeds of the cuts. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  if (NO_QEMU !== "") return { passed: false, problems: [NO_QEMU] };
  const problems: string[] = [];
  const note = (what: string, problem: string) => {
    if (problem === "") return;
    problems.push(`${what}: ${problem}`);
    say(`${what}: ${problem}`);
  };
  const images = Number(args[0] ?? IMAGES);
  for (let seed = 1; seed <= images; seed++) {
    note(`random image ${seed}`, await randomProblem(seed, ROUNDS));
    if (seed % 10 === 0) say(`${seed} images of ours, ${problems.length} problems`);
  }
  const folder = scratchFolder();
  for (const options of CONVERT_OPTIONS)
    note(`convert -o ${options}`, await convertProblem(folder.path, options));
  folder.remove();
  say(`${CONVERT_OPTIONS.length} images of qemu-img, ${problems.length} problems`);
  const seeds = Number(args[1] ?? CRASH_SEEDS);
  let cuts = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    for (const [name, plan] of CRASH_PLANS)
      cuts += cutAll({ ...plan, seed, operations: 80 }, name, note);
    say(`${cuts} cuts, ${problems.length} problems`);
  }
  return { passed: problems.length === 0, images, options: CONVERT_OPTIONS.length, cuts, problems };
}

function cutAll(plan: CrashPlan, name: string, note: (what: string, problem: string) => void) {
  const run = recordCrashRun(plan);
  const prng = new Prng(plan.seed, 9);
  for (let i = 0; i < CUTS; i++) {
    const cut = run.start + prng.below(run.log.length - run.start + 1);
    note(`${name}, seed ${plan.seed}`, problemAfter(run, cut, prng));
  }
  return CUTS;
}
