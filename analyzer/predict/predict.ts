// Races that a reordering of the trace must allow, though its own order may hide them.
//
// The trace is looked at through a window that moves by half of its size, so each access is judged once, against all conflicting
// ones at most half a window, and up to a whole one, before it. In a trace that fits into one window nothing is missed that the
// method finds; in a longer one, races over a longer distance are. Every race comes with a witness, which is checked before it is
// told. Searches are bounded, and what was left out is counted.

import { assert } from "#core/base";
import {
  type AbstractBlock,
  type AbstractNames,
  type AbstractSource,
  newBlock,
  StdOp,
} from "#traces/std";
import { OrderCheck } from "../flat/order-check.ts";
import type { FlatSite } from "../flat/race-tally.ts";
import { Closure } from "./closure.ts";
import { heldAt, shortened } from "./shorten.ts";
import { isSyncPreservingRace } from "./sync-preserving.ts";
import { syncReversalOrder } from "./sync-reversal.ts";
import { type Held, Window } from "./window.ts";
import { eventText, faultOf, moved, type Witness } from "./witness.ts";

/** Sync-preserving races, or also those that need the order of critical sections reversed. */
export type Prediction = "syncp" | "osr";

export interface PredictOptions {
  readonly method: Prediction;
  readonly limits?: Partial<PredictLimits>;
  /** Whether accesses to this variable can race; by default all can. */
  readonly isShared?: (variable: number) => boolean;
  readonly onProgress?: (events: number) => void;
}

export interface PredictLimits {
  /** Events that are looked at together. */
  readonly windowEventsMax: number;
  /** Words of the cuts of a window: with many threads it is shorter. */
  readonly windowWordsMax: number;
  /** Steps of all searches together, some nanoseconds each. */
  readonly workMax: number;
  /** How often a pair of sites is tried in vain in one window. */
  readonly failuresMax: number;
}

export const PREDICT_LIMITS: PredictLimits = {
  windowEventsMax: 1 << 13,
  windowWordsMax: 1 << 22,
  workMax: 2 ** 31,
  failuresMax: 256,
};

/** A pair of sites that races in some reordering. Events, variable and threads are those of its first occurrence. */
export interface PredictedPair {
  /** By location, then operation. */
  readonly sites: readonly [FlatSite, FlatSite];
  /** Accesses that were found in such a race, as the later one. */
  count: number;
  readonly variable: number;
  readonly threads: readonly [number, number];
  /** The two accesses in the recorded order. */
  readonly accesses: readonly [FlatSite, FlatSite];
  readonly witness: Witness;
  /** What a scheduler has to do: hold the earlier access's thread back at `holdAt` until the other one has done `letGoAfter`. */
  readonly holdAt: number;
  /** Null: until it has done its access. */
  readonly letGoAfter: number | null;
  /** The events of the witness, in words, as names of a trace are only known while it is read. */
  readonly steps: readonly string[];
}

export interface PredictResult {
  readonly method: Prediction;
  readonly events: number;
  /** Accesses that race, in some reordering, with an earlier one; counted as RAPID's engines count. */
  readonly racyEvents: number;
  readonly pairs: readonly PredictedPair[];
  /** Pairs of accesses that were not tried, as the budget was spent or their sites were tried often. */
  readonly untried: number;
  /** The event at which prediction stopped, as no program does what it does; null: none. */
  readonly unlawful: number | null;
}

/** Predicts the races of `source`. */
export function predictRaces(source: AbstractSource, options: PredictOptions): PredictResult {
  const predictor = new Predictor(source.names, options);
  for (const block of source.blocks()) {
    predictor.feed(block);
    options.onProgress?.(predictor.events);
  }
  return predictor.finish();
}

class Predictor {
  events = 0;
  readonly #names: AbstractNames;
  readonly #options: PredictOptions;
  readonly #limits: PredictLimits;
  readonly #order = new OrderCheck();
  /** The window's events, of which the first `#judged` were judged before; its first event is number `#from` of the trace. */
  readonly #block: AbstractBlock;
  readonly #inWindow = new Set<number>();
  #from = 0;
  #judged = 0;
  /** Locks held where the window begins. */
  #held: readonly Held[] = [];
  #unlawful: number | null = null;
  readonly #pairs = new Map<string, PredictedPair>();
  #racyEvents = 0;
  #untried = 0;
  #work = 0;

  constructor(names: AbstractNames, options: PredictOptions) {
    this.#names = names;
    this.#options = options;
    this.#limits = { ...PREDICT_LIMITS, ...options.limits };
    assert(this.#limits.windowEventsMax >= 2, "a window has two halves");
    this.#block = newBlock(this.#limits.windowEventsMax);
  }

  feed(block: AbstractBlock): void {
    const { threads, locks } = this.#names;
    this.#order.ensure(threads.count, locks.count);
    for (let i = 0; i < block.count; i++) {
      this.events++;
      if (this.#unlawful === null) this.#add(block, i);
    }
  }

  finish(): PredictResult {
    this.#judge();
    return {
      method: this.#options.method,
      events: this.events,
      racyEvents: this.#racyEvents,
      pairs: [...this.#pairs.values()],
      untried: this.#untried,
      unlawful: this.#unlawful,
    };
  }

  #add(block: AbstractBlock, i: number): void {
    const [op, thread, operand] = [
      block.ops[i] ?? 0,
      block.threads[i] ?? 0,
      block.operands[i] ?? 0,
    ];
    if (!this.#isLawful(op, thread, operand)) {
      this.#unlawful = this.events - 1;
      return;
    }
    const window = this.#block;
    this.#inWindow.add(thread);
    const words = (window.count + 1) * this.#inWindow.size;
    if (window.count === window.ops.length || words > this.#limits.windowWordsMax) {
      this.#judge();
      this.#shift();
      this.#inWindow.add(thread);
    }
    const at = window.count++;
    window.ops[at] = op;
    window.threads[at] = thread;
    window.operands[at] = operand;
    window.locations[at] = block.locations[i] ?? 0;
  }

  #isLawful(op: number, thread: number, operand: number): boolean {
    const order = this.#order;
    if (op === StdOp.acquire) order.acquire(thread, operand, this.events);
    else if (op === StdOp.release) order.release(thread, operand, this.events);
    else if (op === StdOp.fork || op === StdOp.join)
      order.forkOrJoin(op, thread, operand, this.events);
    order.ran[thread] = 1;
    return order.result.count === 0;
  }

  /** Forgets the older half of the window. */
  #shift(): void {
    const { ops, threads, operands, locations, count } = this.#block;
    const gone = count >> 1 || count;
    this.#held = heldAt(this.#block, this.#held, gone);
    for (const array of [ops, threads, operands, locations]) array.copyWithin(0, gone, count);
    this.#block.count = count - gone;
    this.#from += gone;
    this.#judged = this.#block.count;
    this.#inWindow.clear();
    for (let i = 0; i < this.#block.count; i++) this.#inWindow.add(threads[i] ?? 0);
  }

  /** Judges the accesses of the window that were not judged yet. */
  #judge(): void {
    const { count } = this.#block;
    if (this.#judged === count) return;
    const held = this.#held;
    const search = new WindowSearch(new Window(this.#block, held), this.#options, this.#limits);
    search.work = this.#work;
    for (let event = this.#judged; event < count; event++) {
      const found = search.partnersOf(event, this.#pairs);
      if (found.length > 0) this.#racyEvents++;
      for (const { other, order } of found) this.#note(event, other, order, held);
    }
    this.#judged = count;
    this.#work = search.work;
    this.#untried += search.untried;
  }

  #note(
    event: number,
    other: number,
    order: readonly number[] | null,
    held: readonly Held[],
  ): void {
    const block = this.#block;
    const key = pairKey(block, event, other);
    const known = this.#pairs.get(key);
    if (known !== undefined) {
      known.count++;
      return;
    }
    if (order === null) return;
    const shown = shortened(
      { events: block, held, first: other, second: event, order },
      this.#options,
    );
    const fault = faultOf(shown.witness, shown.events, shown.held);
    assert(fault === null, "a prediction's witness is a correct reordering");
    const [first, second] = sitesOf(block, event, other);
    this.#pairs.set(key, {
      sites: [first, second],
      count: 1,
      variable: block.operands[event] ?? 0,
      threads: [block.threads[other] ?? 0, block.threads[event] ?? 0],
      accesses: [siteOf(block, other), siteOf(block, event)],
      witness: moved(shown.witness, this.#from),
      holdAt: shown.holdAt + this.#from,
      letGoAfter: shown.letGoAfter === null ? null : shown.letGoAfter + this.#from,
      steps: [...shown.witness.order, other, event].map((one) =>
        eventText(block, one, this.#names),
      ),
    });
  }
}

/** An earlier access that races with the one that is judged; the order of the witness, unless the pair of sites has one already. */
interface Found {
  readonly other: number;
  readonly order: readonly number[] | null;
}

/** The search for races in one window. */
export class WindowSearch {
  work = 0;
  untried = 0;
  readonly #window: Window;
  readonly #method: Prediction;
  readonly #isShared: (variable: number) => boolean;
  readonly #limits: PredictLimits;
  readonly #keeping: Closure;
  readonly #reversing: Closure;
  /** Accesses so far by variable, then thread. */
  readonly #accesses = new Map<number, Map<number, number[]>>();
  #seen = 0;
  readonly #failures = new Map<string, number>();

  constructor(window: Window, options: PredictOptions, limits: PredictLimits) {
    this.#window = window;
    this.#method = options.method;
    this.#isShared = options.isShared ?? (() => true);
    this.#limits = limits;
    this.#keeping = new Closure(window);
    this.#reversing = new Closure(window);
  }

  /** Earlier accesses that race with access `event`: for each thread the first one, and one of each pair of sites that `known` lacks. */
  partnersOf(event: number, known: ReadonlyMap<string, unknown>): Found[] {
    const { events, threads } = this.#window;
    this.#note(event);
    const op = events.ops[event];
    const found: Found[] = [];
    if (op !== StdOp.read && op !== StdOp.write) return found;
    for (const [thread, accesses] of this.#accesses.get(events.operands[event] ?? 0) ?? [])
      if (thread !== threads[event]) this.#among(accesses, event, known, found);
    return found;
  }

  /** Takes the accesses before `event` into account. */
  #note(event: number): void {
    const { events, threads } = this.#window;
    for (; this.#seen < event; this.#seen++) {
      const [op, variable] = [events.ops[this.#seen], events.operands[this.#seen] ?? 0];
      if ((op !== StdOp.read && op !== StdOp.write) || !this.#isShared(variable)) continue;
      const byThread = this.#accesses.get(variable) ?? new Map<number, number[]>();
      this.#accesses.set(variable, byThread);
      const thread = threads[this.#seen] ?? 0;
      const accesses = byThread.get(thread);
      if (accesses === undefined) byThread.set(thread, [this.#seen]);
      else accesses.push(this.#seen);
    }
  }

  /** Races of `event` with accesses of one thread, oldest first: what the older one needs the newer one needs, too. */
  #among(
    accesses: readonly number[],
    event: number,
    known: ReadonlyMap<string, unknown>,
    found: Found[],
  ): void {
    const { events } = this.#window;
    const isRead = events.ops[event] === StdOp.read;
    const keeping = this.#keeping;
    keeping.reset();
    keeping.addBefore(event);
    // What the newer one needs in any order; `keeping` may soon hold more, which says nothing of reversals.
    const needed = keeping.cut.slice();
    const isNew = new Set<string>();
    let isFound = false;
    for (const other of accesses) {
      if (this.#window.contains(this.#method === "osr" ? needed : keeping.cut, other)) continue;
      if (isRead && events.ops[other] === StdOp.read) continue;
      if (!this.#window.shareNoLock(other, event)) continue;
      const key = pairKey(events, event, other);
      const isKnown = known.has(key) || isNew.has(key);
      if (isFound && isKnown) continue;
      if (!this.#mayTry(key)) continue;
      const order = this.orderFor(other, event, keeping, !isKnown);
      if (order === false) {
        this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1);
        continue;
      }
      isFound = true;
      isNew.add(key);
      found.push({ other, order });
    }
  }

  /** The order of a witness (null when none is asked for), or false when this is no race that the method finds. */
  orderFor(
    other: number,
    event: number,
    keeping: Closure,
    isAsked: boolean,
  ): readonly number[] | null | false {
    const window = this.#window;
    const before = keeping.work + this.#reversing.work;
    let order: readonly number[] | null | false = false;
    if (isSyncPreservingRace(keeping, other, event))
      order = isAsked ? window.eventsOf(keeping.cut) : null;
    else if (this.#method === "osr")
      order = syncReversalOrder(window, this.#reversing, other, event) ?? false;
    this.work += keeping.work + this.#reversing.work - before;
    return order;
  }

  #mayTry(key: string): boolean {
    const { workMax, failuresMax } = this.#limits;
    if (this.work < workMax && (this.#failures.get(key) ?? 0) < failuresMax) return true;
    this.untried++;
    return false;
  }
}

function siteOf({ ops, locations }: AbstractBlock, event: number): FlatSite {
  return { op: ops[event] ?? 0, location: locations[event] ?? 0 };
}

function sitesOf(block: AbstractBlock, a: number, b: number): readonly [FlatSite, FlatSite] {
  const [first, second] = [siteOf(block, a), siteOf(block, b)];
  const isSorted =
    first.location < second.location ||
    (first.location === second.location && first.op <= second.op);
  return isSorted ? [first, second] : [second, first];
}

function pairKey(block: AbstractBlock, a: number, b: number): string {
  const [first, second] = sitesOf(block, a, b);
  return siteKey(first, second);
}

/** A pair of sites as a key. */
export function siteKey(first: FlatSite, second: FlatSite): string {
  return `${first.op} ${first.location} ${second.op} ${second.location}`;
}
