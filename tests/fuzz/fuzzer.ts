// The fuzzer: inputs are mutated; one that reaches code which none reached before joins the corpus. An input must end with an
// answer, soon, and in bounded memory.

import { must, Prng } from "#core/base";
import { Coverage } from "./coverage.ts";
import { mutate } from "./mutate.ts";

/** Something that reads what it cannot trust. */
export interface FuzzTarget {
  readonly name: string;
  /** Inputs that are right, to begin with. */
  readonly seeds: readonly Uint8Array[];
  /**
   * Read `input`; throws what is no answer. If `isJudged` the run is recorded, replayed and judged as well, and what is not sound is
   * thrown, too.
   */
  readonly run: (input: Uint8Array, seed: number, isJudged: boolean) => void;
  /** Folder of the code whose coverage guides. */
  readonly code: readonly string[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  readonly secondsMax?: number;
  readonly isGuided: boolean;
  /** Inputs that go wrong before it is over. */
  readonly failuresMax?: number;
}

/** What came of it. */
export interface FuzzResult {
  readonly runs: number;
  /** How many of the runs were recorded, replayed identically and judged: what is new, what was drawn, and the corpus at the end. */
  readonly judged: number;
  readonly corpus: number;
  readonly blocks: number;
  readonly slowestMs: number;
  readonly growthMb: number;
  /** Each with the input in base64, by which it is had again. */
  readonly failures: readonly string[];
}

/** One input may take so long, on a machine that has other things to do, and all of them leave so much behind. */
const INPUT_MS_MAX = 20_000;
/** One run in so many is judged, whatever its input reaches: to judge one takes as long as some ten that are not. */
const JUDGED_ONE_IN = 20;
const GROWTH_MB_MAX = 400;

/** Run `target` on many inputs. */
export function fuzz(target: FuzzTarget, options: FuzzOptions): FuzzResult {
  const { seed, runs, secondsMax = Number.POSITIVE_INFINITY, isGuided, failuresMax = 10 } = options;
  const prng = new Prng(seed, 5);
  const corpus = [...target.seeds];
  const failures: string[] = [];
  const coverage = new Coverage((url) => target.code.some((folder) => url.includes(folder)));
  if (isGuided) coverage.start();
  const started = milliseconds();
  let slowestMs = 0;
  let done = 0;
  let judged = 0;
  const attempt = (input: Uint8Array, isJudged: boolean): boolean => {
    const before = milliseconds();
    const problem = problemOf(target, input, seed + done, isJudged);
    if (isJudged) judged++;
    const tookMs = milliseconds() - before;
    slowestMs = Math.max(slowestMs, tookMs);
    const why = problem ?? (tookMs > INPUT_MS_MAX ? `took ${tookMs} ms` : null);
    if (why !== null) failures.push(`${why}; input ${Buffer.from(input).toString("base64")}`);
    done++;
    return why === null;
  };
  for (const input of target.seeds) attempt(input, true);
  coverage.news();
  const memory = settledMb();
  while (
    done < runs &&
    failures.length < failuresMax &&
    milliseconds() - started < secondsMax * 1000
  ) {
    const input = mutate(must(corpus[prng.below(corpus.length)], "an input"), corpus, prng);
    const isAnswered = attempt(input, done % JUDGED_ONE_IN === 0);
    if (!isGuided || coverage.news() === 0 || !isAnswered) continue;
    corpus.push(input);
    attempt(input, true);
    // What is reached by judging alone makes no input worth more.
    coverage.news();
  }
  // Once more with another seed, which is another schedule and other pieces.
  for (const input of corpus) if (failures.length < failuresMax) attempt(input, true);
  const blocks = coverage.blocks;
  if (isGuided) coverage.stop();
  const growthMb = Math.max(0, Math.round(settledMb() - memory));
  if (growthMb > GROWTH_MB_MAX) failures.push(`${growthMb} MB are left behind`);
  return {
    ...{ runs: done, judged },
    corpus: corpus.length,
    blocks,
    slowestMs: Math.round(slowestMs),
    growthMb,
    failures,
  };
}

function problemOf(
  { run }: FuzzTarget,
  input: Uint8Array,
  seed: number,
  isJudged: boolean,
): string | null {
  try {
    run(input, seed, isJudged);
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

function milliseconds(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Memory in use, without garbage where that can be asked for. */
function settledMb(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 1e6;
}
