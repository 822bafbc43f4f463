// Traces that nobody recorded, many of them and at length: each stream in a process of its own, whose processor time and peak
// memory count.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { answerTo, mutatedRun, WITHOUT_END, withoutEnd } from "../../analyzer/test-support.ts";

export const title =
  "The analyzer answers 20,000 mutated runs and each endless stream of a million events, in bounded memory and time (about 10 min).";

const RUNS = 20_000;
const EVENTS = 1_000_000;
/** What one stream may take: far more than any does, and far less than one without bounds would. */
const SECONDS_MAX = 300;
const MEGABYTES_MAX = 3000;
/** The ways to follow the full order (analyzer/order/full.ts). */
const CLOCKS = ["main", "vectors"] as const;
const SENTENCE = /^(\d+ findings|The trace .*\.)$/;

interface Answer {
  readonly answer: string;
  readonly seconds: number;
  readonly megabytes: number;
}

/** Arguments: the number of mutated runs, and of events in each stream. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const runs = Number(args[0] ?? RUNS);
  const events = Number(args[1] ?? EVENTS);
  const failed: string[] = [];
  for (let seed = 1; seed <= runs; seed++) {
    const orders = seed % 3 === 0 ? "sanctioned" : "both";
    const answer = attempt(() => answerTo(() => [mutatedRun(seed)], clocksOf(seed), { orders }));
    if (!SENTENCE.test(answer)) failed.push(`seed ${seed}: ${answer}`);
    if (seed % 1000 === 0) say(`${seed} mutated runs, ${failed.length} failed`);
  }
  const streams: Record<string, Answer | null> = {};
  const cases = Object.keys(WITHOUT_END).flatMap((name) =>
    CLOCKS.map((clocks) => ({ name, clocks })),
  );
  for (const { name, clocks } of cases) {
    const answer = inProcess(name, clocks, events);
    streams[`${name}, ${clocks}`] = answer;
    const bounded =
      answer !== null && answer.seconds < SECONDS_MAX && answer.megabytes < MEGABYTES_MAX;
    if (!bounded || !SENTENCE.test(answer.answer)) failed.push(`${name}, ${clocks}`);
    say(`${name}, ${clocks}: ${answer === null ? "no answer" : JSON.stringify(answer)}`);
  }
  return { passed: failed.length === 0, runs, events, streams, failed };
}

function clocksOf(seed: number): (typeof CLOCKS)[number] {
  return CLOCKS[seed % CLOCKS.length] ?? "main";
}

function attempt(body: () => string): string {
  try {
    return body();
  } catch (error) {
    return String(error);
  }
}

/** What a stream comes to; null when it does not end. */
function inProcess(name: string, clocks: string, events: number): Answer | null {
  const self = fileURLToPath(import.meta.url);
  const child = spawnSync(process.execPath, [self, "--one", name, clocks, String(events)], {
    encoding: "utf8",
    timeout: SECONDS_MAX * 3000,
  });
  return child.status === 0 ? (JSON.parse(child.stdout) as Answer) : null;
}

const [mode, name = "", clocks, events] = process.argv.slice(2);
if (mode === "--one") {
  const answer = answerTo(
    () => withoutEnd(name, Number(events)),
    clocks === "main" ? clocks : "vectors",
  );
  const { user, system } = process.cpuUsage();
  const seconds = Math.round((user + system) / 1e6);
  const megabytes = Math.round(process.resourceUsage().maxRSS / 1024);
  process.stdout.write(JSON.stringify({ answer, seconds, megabytes } satisfies Answer));
}
