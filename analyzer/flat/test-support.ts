// Tests of the flat engines: random abstract traces, and the same verdicts by brute force.
//
// The oracle knows no clocks. It has, for every event, the set of all events before it (the transitive closure of the order's
// edges), and counts by the rules as they are written in words. A second, naive engine has full vector clocks and follows RAPID
// line by line; it also judges traces that no program can have, for which "before" is not defined by edges.

import { Prng } from "#core/base";
import { bytesSource } from "#traces";
import {
  type AbstractBlock,
  type AbstractTrace,
  collect,
  NO_OPERAND,
  newBlock,
  STD_WORDS,
  StdOp,
  StdReader,
  stdLines,
} from "#traces/std";
import { FLAT_LIMITS } from "../limits.ts";
import type { FlatOrder } from "./flat.ts";
import { HbEngine } from "./hb-engine.ts";
import type { FlatPair } from "./race-tally.ts";
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

/** What counts of an analysis; equal for engine and oracle. */
export interface FlatVerdict {
  readonly racyEvents: readonly number[];
  readonly racyLocations: number;
  readonly racyVariables: number;
  readonly firstRacyEvent: number | null;
  /** Sites and counts, one pair a string. */
  readonly pairs: readonly string[];
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

/** `r 3 / w 5 x2`: the two sites and how often. */
function pairText({ sites, count }: Pick<FlatPair, "sites" | "count">): string {
  const [first, second] = sites.map(({ op, location }) => `${STD_WORDS[op]} ${location}`);
  return `${first} / ${second} x${count}`;
}

/** An access that a variable's record holds. */
interface Access {
  readonly event: number;
  readonly thread: number;
  readonly op: number;
  readonly location: number;
}

/** Collects a verdict from each event's racing accesses. */
class Verdict {
  readonly #racyEvents: number[] = [];
  readonly #locations = new Set<number>();
  readonly #variables = new Set<number>();
  readonly #pairs = new Map<string, Pick<FlatPair, "sites"> & { count: number }>();

  add(access: Access, variable: number, racing: readonly Access[]): void {
    if (racing.length === 0) return;
    this.#racyEvents.push(access.event);
    this.#locations.add(access.location);
    this.#variables.add(variable);
    for (const other of racing) {
      const [first, second] = [access, other].sort(
        (a, b) => a.location - b.location || a.op - b.op,
      );
      const sites = [first!, second!] as const;
      const key = pairText({ sites, count: 0 });
      const pair = this.#pairs.get(key) ?? { sites, count: 0 };
      pair.count++;
      this.#pairs.set(key, pair);
    }
  }

  get result(): FlatVerdict {
    return {
      racyEvents: this.#racyEvents,
      racyLocations: this.#locations.size,
      racyVariables: this.#variables.size,
      firstRacyEvent: this.#racyEvents[0] ?? null,
      pairs: [...this.#pairs.values()].map(pairText).sort(),
    };
  }
}

/** What an order puts before an event, so far. */
interface Order {
  /** Is `earlier` before `event`? For a read in SHB: leaving out the edge from the write that it reads from. */
  isBefore(earlier: Access, event: number): boolean;
  /** Event `event` comes next. */
  advance(event: number): void;
  /** The access `event` was judged. */
  judged(event: number): void;
  /** Did `thread` publish nothing (release, fork; in SHB write) since `earlier`, its own access? */
  isSameEpoch(earlier: Access, event: number): boolean;
}

/** The verdict by the transitive closure. Only of lawful traces. */
export function closureVerdict(trace: AbstractTrace, order: FlatOrder): FlatVerdict {
  return judge(trace, order, new Closure(trace, order === "shb"));
}

/** The verdict by full vector clocks, of any trace. */
export function naiveVerdict(trace: AbstractTrace, order: FlatOrder): FlatVerdict {
  return judge(trace, order, new VectorClocks(trace, order === "shb"));
}

/** The counting rules. */
function judge({ events, names }: AbstractTrace, order: FlatOrder, before: Order): FlatVerdict {
  const records = Array.from({ length: names.variables.count }, () => new Record());
  const verdict = new Verdict();
  for (let event = 0; event < events.count; event++) {
    before.advance(event);
    const op = events.ops[event]!;
    if (op !== StdOp.read && op !== StdOp.write) continue;
    const variable = events.operands[event]!;
    const access = {
      event,
      op,
      thread: events.threads[event]!,
      location: events.locations[event]!,
    };
    const record = records[variable]!;
    const isRacing = (other: Access) =>
      other.thread !== access.thread && !before.isBefore(other, event);
    const against = op === StdOp.read ? record.writes : [...record.writes, ...record.reads];
    const racing = against.filter(isRacing);
    verdict.add(access, variable, racing);
    before.judged(event);
    if (order === "hb") record.afterHb(access, racing.length > 0, before);
    else record.afterShb(access, isRacing, before);
  }
  return verdict.result;
}

/** The accesses of a variable that later ones are judged against. */
class Record {
  reads: Access[] = [];
  writes: Access[] = [];
  /** Whether reads were several at once since they were last forgotten: then they are not replaced. */
  #areSeveral = false;

  afterHb(access: Access, isRacy: boolean, before: Order): void {
    if (access.op === StdOp.read) {
      if (!isRacy) this.#read(access, before);
      return;
    }
    const [last] = this.writes;
    const isNewEpoch = last?.thread !== access.thread || !before.isSameEpoch(last, access.event);
    this.writes = [access];
    if (isNewEpoch && this.#areSeveral) this.#forgetReads();
  }

  /** As the engine does it: reads are forgotten by a write that is ordered after all of them. */
  afterShb(access: Access, isRacing: (other: Access) => boolean, before: Order): void {
    if (access.op === StdOp.read) this.#read(access, before);
    else {
      if (!this.reads.some(isRacing)) this.#forgetReads();
      if (!this.writes.some(isRacing)) this.writes = [];
      this.writes = [...this.writes.filter(({ thread }) => thread !== access.thread), access];
    }
  }

  #read(access: Access, before: Order): void {
    const others = this.reads.filter(({ thread }) => thread !== access.thread);
    const replaces =
      !this.#areSeveral && others.every((other) => before.isBefore(other, access.event));
    this.reads = replaces ? [access] : [...others, access];
    this.#areSeveral ||= !replaces;
  }

  #forgetReads(): void {
    this.reads = [];
    this.#areSeveral = false;
  }
}

/** "Before" as the closure of the edges: program order, release to acquire, fork, join, and for SHB write to read. */
class Closure implements Order {
  readonly #trace: AbstractTrace;
  readonly #readsFrom: boolean;
  readonly #before: Set<number>[] = [];
  readonly #lastOf = new Map<string, number>();
  readonly #publishing: ReadonlySet<number>;

  constructor(trace: AbstractTrace, readsFrom: boolean) {
    this.#trace = trace;
    this.#readsFrom = readsFrom;
    const publishing: number[] = [StdOp.release, StdOp.fork];
    this.#publishing = new Set(readsFrom ? [...publishing, StdOp.write] : publishing);
  }

  advance(event: number): void {
    const { events } = this.#trace;
    const [op, thread, operand] = [
      events.ops[event]!,
      events.threads[event]!,
      events.operands[event]!,
    ];
    this.#before[event] = new Set();
    this.#addEdge(`thread ${thread}`, event);
    this.#addEdge(`fork ${thread}`, event);
    if (op === StdOp.acquire) this.#addEdge(`lock ${operand}`, event);
    if (op === StdOp.join) {
      this.#addEdge(`thread ${operand}`, event);
      this.#addEdge(`fork ${operand}`, event);
    }
    if (op === StdOp.release) this.#lastOf.set(`lock ${operand}`, event);
    if (op === StdOp.fork) this.#lastOf.set(`fork ${operand}`, event);
    this.#lastOf.set(`thread ${thread}`, event);
  }

  judged(event: number): void {
    const { events } = this.#trace;
    const variable = `variable ${events.operands[event]!}`;
    if (!this.#readsFrom) return;
    if (events.ops[event] === StdOp.read) this.#addEdge(variable, event);
    else this.#lastOf.set(variable, event);
  }

  isBefore(earlier: Access, event: number): boolean {
    return this.#before[event]!.has(earlier.event);
  }

  isSameEpoch(earlier: Access, event: number): boolean {
    const { events } = this.#trace;
    for (let i = earlier.event; i < event; i++)
      if (events.threads[i] === earlier.thread && this.#publishing.has(events.ops[i]!))
        return false;
    return true;
  }

  #addEdge(from: string, event: number): void {
    const source = this.#lastOf.get(from);
    if (source === undefined) return;
    const before = this.#before[event]!;
    before.add(source);
    for (const earlier of this.#before[source]!) before.add(earlier);
  }
}

/** "Before" by full vector clocks: copied, never shared, never compared by one entry. */
class VectorClocks implements Order {
  readonly #trace: AbstractTrace;
  readonly #countsWrites: boolean;
  readonly #clocks: number[][];
  readonly #released = new Map<number, number[]>();
  readonly #written = new Map<number, number[]>();
  /** Each event's own clock. */
  readonly #at: number[] = [];

  constructor(trace: AbstractTrace, countsWrites: boolean) {
    this.#trace = trace;
    this.#countsWrites = countsWrites;
    const { count } = trace.names.threads;
    this.#clocks = Array.from({ length: count }, (_, thread) =>
      Array.from({ length: count }, (_, other) => (other === thread ? 1 : 0)),
    );
  }

  advance(event: number): void {
    const { events } = this.#trace;
    const [op, thread, operand] = [
      events.ops[event]!,
      events.threads[event]!,
      events.operands[event]!,
    ];
    const clock = this.#clocks[thread]!;
    this.#at[event] = clock[thread]!;
    if (op === StdOp.acquire) learn(clock, this.#released.get(operand));
    if (op === StdOp.join) learn(clock, this.#clocks[operand]);
    if (op === StdOp.fork) {
      const own = this.#clocks[operand]![operand]!;
      this.#clocks[operand] = [...clock];
      this.#clocks[operand]![operand] = own;
    }
    if (op === StdOp.release) this.#released.set(operand, [...clock]);
    if (op === StdOp.release || op === StdOp.fork) clock[thread]!++;
  }

  judged(event: number): void {
    const { events } = this.#trace;
    const thread = events.threads[event]!;
    const clock = this.#clocks[thread]!;
    const variable = events.operands[event]!;
    if (!this.#countsWrites) return;
    if (events.ops[event] === StdOp.read) learn(clock, this.#written.get(variable));
    else {
      this.#written.set(variable, [...clock]);
      clock[thread]!++;
    }
  }

  isBefore(earlier: Access, event: number): boolean {
    return (
      this.#clocks[this.#trace.events.threads[event]!]![earlier.thread]! >= this.#at[earlier.event]!
    );
  }

  isSameEpoch(earlier: Access, event: number): boolean {
    return this.#at[earlier.event] === this.#at[event];
  }
}

function learn(clock: number[], published: readonly number[] | undefined): void {
  published?.forEach((value, i) => {
    clock[i] = Math.max(clock[i]!, value);
  });
}

/** The racy events of SHB by the definition alone: an earlier conflicting access that is not before, whichever. */
export function racyBySchedulability(trace: AbstractTrace): number[] {
  const { events } = trace;
  const before = new Closure(trace, true);
  const racy: number[] = [];
  for (let event = 0; event < events.count; event++) {
    before.advance(event);
    const op = events.ops[event]!;
    if (op !== StdOp.read && op !== StdOp.write) continue;
    const isRacy = Array.from({ length: event }, (_, earlier) => earlier).some((earlier) => {
      const other = events.ops[earlier]!;
      if (other !== StdOp.write && (other !== StdOp.read || op === StdOp.read)) return false;
      if (events.operands[earlier] !== events.operands[event]) return false;
      if (events.threads[earlier] === events.threads[event]) return false;
      return !before.isBefore({ event: earlier, thread: 0, op: other, location: 0 }, event);
    });
    if (isRacy) racy.push(event);
    before.judged(event);
  }
  return racy;
}
