// The verdicts of the flat engines by brute force.
//
// The oracle knows no clocks. It has, for every event, the set of all events before it (the transitive closure of the order's
// edges), and counts by the rules as they are written in words. A second, naive one has full vector clocks that are copied and
// compared in full; it also judges traces that no program can have, for which "before" is not defined by edges.

import { type AbstractBlock, type AbstractTrace, STD_WORDS, StdOp } from "#traces/std";
import type { FlatOrder } from "../flat.ts";
import type { FlatPair } from "../race-tally.ts";

/** What counts of an analysis; equal for engine and oracle. */
export interface FlatVerdict {
  readonly racyEvents: readonly number[];
  readonly racyLocations: number;
  readonly racyVariables: number;
  readonly firstRacyEvent: number | null;
  /** Sites and counts, one pair a string. */
  readonly pairs: readonly string[];
}

/** `r 3 / w 5 x2`: the two sites and how often. */
export function pairText({ sites, count }: Pick<FlatPair, "sites" | "count">): string {
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

/** The first event with which the blocks are no longer conflict-serialisable, by a graph of all conflicting pairs; null: none. */
export function firstAtomicityViolation({ events, names }: AbstractTrace): number | null {
  const depth = new Array<number>(names.threads.count).fill(0);
  const open = new Array<number>(names.threads.count).fill(-1);
  const of: number[] = [];
  const after: Set<number>[] = [];
  for (let event = 0; event < events.count; event++) {
    const [op, thread] = [events.ops[event]!, events.threads[event]!];
    if (depth[thread] === 0) open[thread] = after.push(new Set()) - 1;
    of[event] = open[thread]!;
    if (op === StdOp.begin) depth[thread]!++;
    if (op === StdOp.end) depth[thread]!--;
    for (let earlier = 0; earlier < event; earlier++)
      if (of[earlier] !== of[event] && areOrdered(events, earlier, event))
        after[of[earlier]!]!.add(of[event]!);
    if (hasCycle(after, of[event]!)) return event;
  }
  return null;
}

/** Whether the earlier event has to stay before the later one. */
function areOrdered(
  { ops, threads, operands }: AbstractBlock,
  earlier: number,
  later: number,
): boolean {
  const [first, second] = [ops[earlier]!, ops[later]!];
  if (threads[earlier] === threads[later]) return true;
  if (first === StdOp.fork && operands[earlier] === threads[later]) return true;
  if (second === StdOp.join && operands[later] === threads[earlier]) return true;
  if (operands[earlier] !== operands[later]) return false;
  if (first === StdOp.fork) return second === StdOp.join;
  if (first === StdOp.release) return second === StdOp.acquire;
  if (first === StdOp.write) return second === StdOp.read || second === StdOp.write;
  return first === StdOp.read && second === StdOp.write;
}

function hasCycle(after: readonly Set<number>[], through: number): boolean {
  const seen = new Set<number>();
  const open = [...after[through]!];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === through) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...after[next]!);
  }
  return false;
}

/** The racy events of the lock discipline, by sets of names. */
export function locksetRaces({ events, names }: AbstractTrace): number[] {
  const held = Array.from(
    { length: names.threads.count },
    (_, thread) => new Map([[`T${thread}`, 1]]),
  );
  const candidates = new Map<number, Set<string>>();
  const racy: number[] = [];
  for (let event = 0; event < events.count; event++) {
    const [op, thread, operand] = [
      events.ops[event]!,
      events.threads[event]!,
      events.operands[event]!,
    ];
    const mine = held[thread]!;
    const lock = `L${operand}`;
    if (op === StdOp.acquire) mine.set(lock, (mine.get(lock) ?? 0) + 1);
    if (op === StdOp.release) {
      mine.set(lock, (mine.get(lock) ?? 0) - 1);
      if (mine.get(lock)! <= 0) mine.delete(lock);
    }
    if (op !== StdOp.read && op !== StdOp.write) continue;
    const before = candidates.get(operand) ?? new Set([...mine.keys(), "nobody wrote"]);
    const isKept = (one: string) => mine.has(one) || (one === "nobody wrote" && op === StdOp.read);
    const after = new Set([...before].filter(isKept));
    candidates.set(operand, after);
    if (after.size === 0) racy.push(event);
  }
  return racy;
}
