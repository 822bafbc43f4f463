// What was found: RAPID's four figures, and every racing pair of sites once, with a count.
//
// A pair is unordered: the same two operations at the same two locations count together, whichever came first. A trace may have
// millions of racy events, so a pair that is known already costs a look-up in a table of integers, and arguments are plain numbers.

import { QuiesceError } from "#core/base";
import type { FlatLimits } from "../limits.ts";
import { grownBytes } from "./grown.ts";

/** One side of a pair: a StdOp, read or write, and where in the program. */
export interface FlatSite {
  readonly op: number;
  readonly location: number;
}

/** A racing pair of sites. Event, variable and threads are those of its first occurrence. */
export interface FlatPair {
  /** By location, then operation. */
  readonly sites: readonly [FlatSite, FlatSite];
  readonly count: number;
  /** The later access, counted from 0. */
  readonly firstEvent: number;
  readonly variable: number;
  /** Who did the earlier access, and who the later one. */
  readonly threads: readonly [number, number];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const SPREAD = 0x9e3779b1 | 0;

export class RaceTally {
  racyEvents = 0;
  racyVariables = 0;
  /** From 0; -1 when there is none. */
  firstRacyEvent = -1;
  /** Occurrences of pairs that are not told apart, as there are too many of them. */
  pairsBeyondLimit = 0;
  readonly pairs: Mutable<FlatPair>[] = [];
  readonly #limits: FlatLimits;
  readonly #locations: IntTable;
  readonly #numbers: IntTable;
  #isRacy = new Uint8Array(1024);
  /** The racy event whose pairs are being told. */
  #index = -1;
  #thread = 0;
  #op = 0;
  #variable = 0;
  #location = 0;

  constructor(limits: FlatLimits) {
    this.#limits = limits;
    this.#locations = new IntTable(limits.flatLocationsMax);
    this.#numbers = new IntTable(limits.flatPairsMax);
  }

  get racyLocations(): number {
    return this.#locations.count;
  }

  /** Event `index` races; `against` tells with what. Telling the same event again does not count it again. */
  event(index: number, thread: number, op: number, variable: number, location: number): void {
    if (index === this.#index) return;
    this.#index = index;
    this.#thread = thread;
    this.#op = op;
    this.#variable = variable;
    this.#location = location;
    if (this.firstRacyEvent < 0) this.firstRacyEvent = index;
    this.racyEvents++;
    if (this.#locations.numberOf(location, 0, 0) < 0) this.#refuse();
    if (variable >= this.#isRacy.length) this.#isRacy = grownBytes(this.#isRacy, 2 * variable + 1);
    if (this.#isRacy[variable] !== 0) return;
    this.#isRacy[variable] = 1;
    this.racyVariables++;
  }

  /** The racy event races with an earlier `op` by `thread` at `location`. */
  against(op: number, thread: number, location: number): void {
    const isLater = location > this.#location || (location === this.#location && op > this.#op);
    const first = isLater ? this.#location : location;
    const second = isLater ? location : this.#location;
    const ops = isLater ? (this.#op << 3) | op : (op << 3) | this.#op;
    const number = this.#numbers.numberOf(first, second, ops);
    const known = this.pairs[number];
    if (known !== undefined) known.count++;
    else if (number < 0) this.#beyond();
    else
      this.pairs.push({
        sites: [
          { op: ops >> 3, location: first },
          { op: ops & 7, location: second },
        ],
        count: 1,
        firstEvent: this.#index,
        variable: this.#variable,
        threads: [thread, this.#thread],
      });
  }

  #beyond(): void {
    if (++this.pairsBeyondLimit <= this.#limits.flatPairsBeyondMax) return;
    const { flatPairsMax, flatPairsBeyondMax } = this.#limits;
    const text = `The trace has more than ${flatPairsMax} racing pairs of sites, and more than ${flatPairsBeyondMax} occurrences of others; analyse a part of it.`;
    throw new QuiesceError("limit", text);
  }

  #refuse(): never {
    const text = `The trace has races at more than ${this.#limits.flatLocationsMax} locations; analyse a part of it.`;
    throw new QuiesceError("limit", text);
  }
}

/** Numbers triples of integers in the order in which they first come, up to a limit. */
class IntTable {
  count = 0;
  readonly #max: number;
  /** Three words and number + 1 of each slot. */
  #slots = new Int32Array(4 << 8);
  #shift = 32 - 8;

  constructor(max: number) {
    this.#max = max;
  }

  /** The number of (a, b, c); -1 when it is new and there are too many. */
  numberOf(a: number, b: number, c: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#slotOf(a, b, c);
    for (;;) {
      const entry = slots[slot + 3] ?? 0;
      if (entry === 0) break;
      if (slots[slot] === a && slots[slot + 1] === b && slots[slot + 2] === c) return entry - 1;
      slot = (slot + 4) & mask;
    }
    if (this.count === this.#max) return -1;
    slots[slot] = a;
    slots[slot + 1] = b;
    slots[slot + 2] = c;
    slots[slot + 3] = ++this.count;
    if (8 * this.count > slots.length) this.#rehash();
    return this.count - 1;
  }

  #slotOf(a: number, b: number, c: number): number {
    const mixed = Math.imul(Math.imul(a, SPREAD) ^ b, SPREAD) ^ c;
    return (Math.imul(mixed ^ (mixed >>> 15), SPREAD) >>> this.#shift) << 2;
  }

  #rehash(): void {
    const old = this.#slots;
    const slots = new Int32Array(2 * old.length);
    this.#slots = slots;
    this.#shift--;
    for (let from = 0; from < old.length; from += 4) {
      const entry = old[from + 3] ?? 0;
      if (entry === 0) continue;
      let slot = this.#slotOf(old[from] ?? 0, old[from + 1] ?? 0, old[from + 2] ?? 0);
      while (slots[slot + 3] !== 0) slot = (slot + 4) & (slots.length - 1);
      slots.set(old.subarray(from, from + 4), slot);
    }
  }
}
