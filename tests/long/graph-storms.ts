// A million random operations on graphs under load, with failures injected: no invariant is broken, no drain is endless, and
// whatever is refused or made to fail leaves the graph as it was.
//
// Each storm has its own seed and machine, so two threads share them; what comes out is the same with one.

import { parentPort, Worker, workerData } from "node:worker_threads";
import { runStorms, STORM_REGIMES, type StormTally } from "#explorer";

export const title =
  "A million random graph operations with failures injected, and every invariant after every step (about 4 min).";

const OPERATIONS = 1_000_000;
/** Operations of one storm. */
const OF_A_STORM = 200;
/** Storms that a thread does before it tells. */
const STORMS = 250;
const THREADS = 2;

interface Chunk {
  /** Index of the regime. */
  readonly regime: number;
  readonly firstSeed: number;
  readonly seeds: number;
}

interface ChunkReport {
  readonly operations: number;
  readonly violations: readonly string[];
  readonly holes: readonly string[];
  readonly moves: readonly (readonly [string, StormTally])[];
}

/** Argument: the number of operations. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const perRegime = Math.ceil(Number(args[0] ?? OPERATIONS) / STORM_REGIMES.length / OF_A_STORM);
  const waiting = chunksOf(perRegime);
  const tallies = STORM_REGIMES.map(() => new Map<string, [number, number, number]>());
  const violations: string[] = [];
  const holes: string[] = [];
  let operations = 0;
  const note = ({ regime }: Chunk, report: ChunkReport): void => {
    operations += report.operations;
    const { name } = STORM_REGIMES[regime] ?? { name: "" };
    violations.push(...report.violations.map((what) => `${name}: ${what}`));
    holes.push(...report.holes.map((what) => `${name}: ${what}`));
    for (const [move, { done, refused, injected }] of report.moves) {
      const [d, r, i] = tallies[regime]?.get(move) ?? [0, 0, 0];
      tallies[regime]?.set(move, [d + done, r + refused, i + injected]);
    }
    say(`${operations} operations, ${violations.length} violations`);
  };
  await Promise.all(Array.from({ length: THREADS }, () => thread(waiting, note)));
  const doneRefusedInjected = Object.fromEntries(
    STORM_REGIMES.map(({ name }, at) => [
      name,
      Object.fromEntries([...(tallies[at] ?? [])].sort()),
    ]),
  );
  return { passed: violations.length === 0, operations, violations, holes, doneRefusedInjected };
}

function chunksOf(perRegime: number): Chunk[] {
  return STORM_REGIMES.flatMap((_regime, regime) => {
    const chunks: Chunk[] = [];
    for (let firstSeed = 1; firstSeed <= perRegime; firstSeed += STORMS)
      chunks.push({ regime, firstSeed, seeds: Math.min(STORMS, perRegime - firstSeed + 1) });
    return chunks;
  });
}

/** One thread after the other takes what is `waiting`, until there is nothing left. */
async function thread(
  waiting: Chunk[],
  note: (chunk: Chunk, report: ChunkReport) => void,
): Promise<void> {
  for (let chunk = waiting.shift(); chunk !== undefined; chunk = waiting.shift()) {
    const worker = new Worker(new URL(import.meta.url), { workerData: chunk });
    const report = await new Promise<ChunkReport>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    await worker.terminate();
    note(chunk, report);
  }
}

function runChunk({ regime, firstSeed, seeds }: Chunk): ChunkReport {
  const which = STORM_REGIMES[regime];
  if (which === undefined) throw new Error(`there is no regime ${regime}`);
  const report = runStorms(which, { firstSeed, seeds, operations: OF_A_STORM });
  return { ...report, moves: [...report.moves] };
}

// This file is its own worker; in the main thread, and as a worker of somebody else, it is a module.
if (parentPort !== null && isChunk(workerData)) parentPort.postMessage(runChunk(workerData));

function isChunk(data: unknown): data is Chunk {
  return typeof data === "object" && data !== null && "firstSeed" in data && "regime" in data;
}
