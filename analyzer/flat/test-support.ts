// Tests of the flat engines: random abstract traces, and what the engines say of them, event by event.
// `oracle/test-support.ts` has the verdicts that the engines' are compared with.

import { Prng } from "#core/base";
import { bytesSource } from "#traces";
import {
  type AbstractBlock,
  type AbstractTrace,
  collect,
  NO_OPERAND,
  newBlock,
  StdOp,
  StdReader,
  sourceOf,
  stdLines,
} from "#traces/std";
import { FLAT_LIMITS } from "../limits.ts";
import { analyzeAtomicity } from "./atomicity.ts";
import type { FlatOrder } from "./flat.ts";
import { HbEngine } from "./hb-engine.ts";
import { analyzeLockSets } from "./lockset.ts";
import {
  type FlatVerdict,
  firstAtomicityViolation,
  locksetRaces,
  pairText,
} from "./oracle/test-support.ts";
import { ShbEngine } from "./shb-engine.ts";

/** The trace that `text` is in RAPID's form; blanks at line ends and empty lines do not count. */
export function stdTrace(text: string): AbstractTrace {
  const lines = text.split("\n").map((line) => line.trim());
  const bytes = Buffer.from(lines.filter((line) => line !== "").join("\n"));
  return collect(new StdReader(bytesSource(bytes)));
}

export function stdText({ events, names }: AbstractTrace): string {
  return Buffer.from(stdLines(events, names)).toString();
}

interface RandomTrace {
  readonly seed: number;
  readonly events: number;
  /** Also what no program does: releases of free locks, acquires of held ones, joins of threads that never ran. */
  readonly lawless?: boolean;
  /** Also blocks that begin and end, well nested. */
  readonly blocks?: boolean;
}

/** A random trace with up to six threads, three locks and four variables, full of races and of hand-offs. */
export function randomTrace(options: RandomTrace): AbstractTrace {
  return new RandomRun(options).trace;
}

class RandomRun {
  readonly trace: AbstractTrace;
  readonly #random: Prng;
  readonly #options: RandomTrace;
  readonly #threads: number;
  readonly #locks: number;
  readonly #variables: number;
  readonly #sites: number;
  /** Threads that may act, that were never started, and that ended. */
  readonly #running: number[] = [0];
  readonly #waiting: number[] = [];
  readonly #ended: number[] = [];
  readonly #holder: number[];
  readonly #depth: number[];

  constructor(options: RandomTrace) {
    const random = new Prng(options.seed);
    this.#random = random;
    this.#options = options;
    this.#threads = 2 + random.below(5);
    this.#locks = 1 + random.below(3);
    this.#variables = 1 + random.below(4);
    this.#sites = 3 + random.below(30);
    this.#holder = new Array<number>(this.#locks).fill(-1);
    this.#depth = new Array<number>(this.#threads).fill(0);
    for (let thread = 1; thread < this.#threads; thread++)
      (random.chance(1, 2) ? this.#running : this.#waiting).push(thread);
    const table = (count: number, prefix: string) => ({
      count,
      name: (i: number) => `${prefix}${i}`,
    });
    this.trace = {
      events: newBlock(options.events),
      names: {
        threads: table(this.#threads, "T"),
        variables: table(this.#variables, "V"),
        locks: table(this.#locks, "L"),
      },
    };
    while (this.trace.events.count < options.events) this.#step();
  }

  #step(): void {
    const random = this.#random;
    const thread = random.pick(this.#running);
    const kind = random.below(20);
    if (kind < 11) {
      const op = random.chance(3, 5) ? StdOp.read : StdOp.write;
      this.#emit(thread, op, random.below(this.#variables));
    } else if (kind < 16) this.#useLock(thread);
    else if (kind < 18) this.#forkOrJoin(thread);
    else if (kind < 19 && this.#options.blocks === true) this.#beginOrEnd(thread);
    else this.#end(thread);
  }

  #useLock(thread: number): void {
    const lock = this.#random.below(this.#locks);
    if (this.#options.lawless === true && this.#random.chance(1, 3))
      this.#emit(thread, this.#random.pick([StdOp.acquire, StdOp.release]), lock);
    else if (this.#holder[lock] === -1) {
      this.#holder[lock] = thread;
      this.#emit(thread, StdOp.acquire, lock);
    } else if (this.#holder[lock] === thread) {
      this.#holder[lock] = -1;
      this.#emit(thread, StdOp.release, lock);
    }
  }

  #forkOrJoin(thread: number): void {
    const child = this.#random.chance(1, 2) ? this.#waiting.pop() : undefined;
    if (child !== undefined) {
      this.#running.push(child);
      this.#emit(thread, StdOp.fork, child);
    } else if (this.#ended.length > 0)
      this.#emit(thread, StdOp.join, this.#random.pick(this.#ended));
    else if (this.#options.lawless === true && this.#waiting.length > 0) {
      const never = this.#waiting.pop()!;
      this.#ended.push(never);
      this.#emit(thread, StdOp.join, never);
    }
  }

  #beginOrEnd(thread: number): void {
    const depth = this.#depth[thread]!;
    const begins = depth === 0 || (depth < 3 && this.#random.chance(1, 4));
    this.#depth[thread] = depth + (begins ? 1 : -1);
    this.#emit(thread, begins ? StdOp.begin : StdOp.end, NO_OPERAND);
  }

  /** Rarely: a thread that holds nothing ends. */
  #end(thread: number): void {
    const isBusy = this.#holder.includes(thread) || this.#depth[thread]! > 0;
    if (isBusy || this.#running.length < 2 || !this.#random.chance(1, 4)) return;
    this.#running.splice(this.#running.indexOf(thread), 1);
    this.#ended.push(thread);
  }

  #emit(thread: number, op: StdOp, operand: number): void {
    const { events } = this.trace;
    if (events.count === this.#options.events) return;
    const at = events.count++;
    events.ops[at] = op;
    events.threads[at] = thread;
    events.operands[at] = operand;
    events.locations[at] = this.#random.below(this.#sites);
  }
}

/** What the engine says. It is fed event by event, so that each one's own verdict is seen. */
export function engineVerdict(trace: AbstractTrace, order: FlatOrder): FlatVerdict {
  const engine = order === "hb" ? new HbEngine(FLAT_LIMITS) : new ShbEngine(FLAT_LIMITS);
  const racyEvents: number[] = [];
  for (const block of singly(trace)) {
    const before = engine.tally.racyEvents;
    engine.feed(block, trace.names);
    if (engine.tally.racyEvents > before) racyEvents.push(engine.events - 1);
  }
  const { racyLocations, racyVariables, firstRacyEvent, pairs } = engine.tally;
  return {
    racyEvents,
    racyLocations,
    racyVariables,
    firstRacyEvent: firstRacyEvent < 0 ? null : firstRacyEvent,
    pairs: pairs.map(pairText).sort(),
  };
}

/** The trace in blocks of one event. */
function* singly({ events }: AbstractTrace): Generator<AbstractBlock, void, undefined> {
  for (let i = 0; i < events.count; i++)
    yield {
      ops: events.ops.subarray(i, i + 1),
      threads: events.threads.subarray(i, i + 1),
      operands: events.operands.subarray(i, i + 1),
      locations: events.locations.subarray(i, i + 1),
      count: 1,
    };
}

/** Whether the engine and sets of names judge the lock discipline differently. */
export function locksetDiffers(trace: AbstractTrace): boolean {
  const racy = locksetRaces(trace);
  const { racyEvents, firstRacyEvent } = analyzeLockSets(sourceOf(trace));
  return racyEvents !== racy.length || firstRacyEvent !== (racy[0] ?? null);
}

/** Whether the engine and a graph of all conflicting pairs see the first violation of atomicity at different events. */
export function atomicityDiffers(trace: AbstractTrace): boolean {
  const { violations } = analyzeAtomicity(sourceOf(trace));
  return (violations[0]?.event ?? null) !== firstAtomicityViolation(trace);
}
