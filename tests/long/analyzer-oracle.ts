// The analyzer's engine against the brute-force oracle, on far more random traces than `npm test` has time for: of each seed
// one trace where only main edits, one where everybody does, with many sites and with few, one whose logs are folded at every
// turn, and one whose groups are merged at every turn, with two to six contexts. And two traces for all other rules: one about
// interleaving, lifetimes and wake-ups, one about drains, edits, locks, jobs, the ends of runs, and what policies demand.

import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { compareProtocol, compareRules, compareWithOracle } from "../../analyzer/test-support.ts";

export const title =
  "On 100,000 random traces the analyzer judges every pair as the brute-force oracle does, and every rule and policy finds what its oracle finds (about 4 min).";

/** Eight traces a seed. */
const SEEDS = 12_500;
const FOLDED = { logEntriesMax: 2, groupsMax: 1000 };
const MERGED = { logEntriesMax: 512, groupsMax: 2 };

/** Seeds that one process judges before it says how far it is. */
const SEEDS_A_PART = 500;

/** What a process found in its part of the seeds. */
interface Part {
  readonly differing: readonly string[];
}

/** Arguments: the number of seeds, and the first one. As many processes as there are cores share the seeds. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const seeds = Number(args[0] ?? SEEDS);
  const first = Number(args[1] ?? 1);
  const parts: [first: number, count: number][] = [];
  for (let from = 0; from < seeds; from += SEEDS_A_PART)
    parts.push([first + from, Math.min(SEEDS_A_PART, seeds - from)]);
  const differing: string[] = [];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      differing.push(...(await inProcess(...part)).differing);
      done += part[1];
      say(`${done} seeds, ${differing.length} traces judged differently`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return { passed: differing.length === 0, seeds, traces: 9 * seeds, differing };
}

async function inProcess(first: number, count: number): Promise<Part> {
  const self = fileURLToPath(import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, [
    self,
    "--part",
    `${first}`,
    `${count}`,
  ]);
  return JSON.parse(stdout) as Part;
}

/** Judges `count` seeds. */
function judge(first: number, count: number): Part {
  const differing: string[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const events = 50 + (seed % 4) * 50;
    const contexts = 2 + (seed % 5);
    const traces = [
      [{ seed, events, uniqueSites: true, exotic: false, contexts }, {}],
      [{ seed, events, uniqueSites: false, exotic: false, contexts }, {}],
      [{ seed, events, uniqueSites: true, exotic: true, contexts }, {}],
      [{ seed, events, uniqueSites: false, exotic: true, contexts }, {}],
      [{ seed, events, uniqueSites: false, exotic: true, contexts }, { limits: FOLDED }],
      [{ seed, events, uniqueSites: false, exotic: seed % 2 === 0, contexts }, { reading: "task" }],
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
  }
  return { differing };
}

const [mode, ...part] = process.argv.slice(2);
if (mode === "--part") {
  const [first = 1, count = 0] = part.map(Number);
  process.stdout.write(JSON.stringify(judge(first, count)));
}
