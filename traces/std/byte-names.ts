// Names to numbers, straight from the bytes of a file: no string is made for an event, only for a name that a report shows.
//
// An open hash table; the bytes of all names lie one behind the other. A file whose names were chosen to collide is refused
// before it can make the look-ups slow. In nearly all traces, names are one letter and a number: such numbers index a table,
// which the reader's inner loop looks into itself.

import { QuiesceError } from "#core/base";
import type { NameTable } from "./abstract-trace.ts";
import { nameBytesMax, nameProbesMax, namesMax } from "./limits.ts";

/** FNV-1a's start and factor. */
const HASH_START = 0x811c9dc5 | 0;
const HASH_FACTOR = 0x01000193;
/** 2^32 by the golden ratio: spreads a hash's information into its upper bits. */
const SPREAD = 0x9e3779b1 | 0;
const SLOTS_START_LOG2 = 10;
const DIGIT_0 = 0x30;
/** Digits of a number that `decimalAt` reads. */
const DIGITS_MAX = 6;
/** Above every number of so many digits. */
const NUMBERS_MAX = 10 ** DIGITS_MAX;

export class ByteNames implements NameTable {
  count = 0;
  /** The letter that the first name begins with, if it goes on with a number as decimalAt reads it; else 0. */
  prefix = 0;
  /** Number + 1 of the name made of the prefix and this index; 0 if there is none. */
  readonly numbered = new Int32Array(NUMBERS_MAX);
  readonly #what: string;
  /** Hash and number + 1 of each slot, side by side; 0 is an empty slot. */
  #slots = new Int32Array(2 << SLOTS_START_LOG2);
  #shift = 32 - SLOTS_START_LOG2;
  #bytes = new Uint8Array(1 << 14);
  /** Where the bytes of name i begin; those of the next name begin where they end. */
  #starts = new Int32Array(1 << SLOTS_START_LOG2);

  /** `what` says in a complaint what these are names of: "variables". */
  constructor(what: string) {
    this.#what = what;
  }

  name(index: number): string {
    return Buffer.from(
      this.#bytes.subarray(this.#starts[index], this.#starts[index + 1]),
    ).toString();
  }

  /** The number of the name that `bytes` has from `start` to `end`, a new one when it is new. */
  intern(bytes: Uint8Array, start: number, end: number): number {
    // hot loop
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hash = HASH_START;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, HASH_FACTOR);
    let slot = (Math.imul(hash, SPREAD) >>> this.#shift) << 1;
    for (let probes = 0; ; probes++) {
      const entry = slots[slot + 1]!;
      if (entry === 0) {
        slots[slot] = hash;
        slots[slot + 1] = this.count + 1;
        return this.#add(bytes, start, end);
      }
      if (slots[slot] === hash && this.#is(entry - 1, bytes, start, end)) return entry - 1;
      if (probes === nameProbesMax) this.#refuseCollisions();
      slot = (slot + 2) & mask;
    }
  }

  #is(index: number, bytes: Uint8Array, start: number, end: number): boolean {
    // hot loop
    const own = this.#bytes;
    let at = this.#starts[index]!;
    if (this.#starts[index + 1]! - at !== end - start) return false;
    for (let from = start; from < end; from++) if (own[at++] !== bytes[from]) return false;
    return true;
  }

  #add(bytes: Uint8Array, start: number, end: number): number {
    const index = this.count;
    const at = this.#starts[index] ?? 0;
    const after = at + end - start;
    if (index === namesMax || after > nameBytesMax) this.#refuseSize();
    if (after > this.#bytes.length) this.#bytes = grown(this.#bytes, after);
    if (index + 2 > this.#starts.length) this.#starts = grownInts(this.#starts);
    this.#bytes.set(bytes.subarray(start, end), at);
    this.#starts[index + 1] = after;
    const number = decimalAt(bytes, start + 1);
    if (number !== 0 && start + 1 + (number & 15) === end) {
      if (index === 0) this.prefix = bytes[start] ?? 0;
      if (bytes[start] === this.prefix) this.numbered[number >> 4] = index + 1;
    }
    this.count++;
    if (4 * this.count > this.#slots.length) this.#rehash();
    return index;
  }

  /** Twice the slots: at most half of them are in use. */
  #rehash(): void {
    const old = this.#slots;
    const slots = new Int32Array(2 * old.length);
    this.#shift--;
    for (let from = 0; from < old.length; from += 2) {
      const entry = old[from + 1] ?? 0;
      if (entry === 0) continue;
      const hash = old[from] ?? 0;
      let slot = (Math.imul(hash, SPREAD) >>> this.#shift) << 1;
      while (slots[slot + 1] !== 0) slot = (slot + 2) & (slots.length - 1);
      slots[slot] = hash;
      slots[slot + 1] = entry;
    }
    this.#slots = slots;
  }

  #refuseSize(): never {
    const text = `The trace has more ${this.#what} than can be kept apart: at most ${namesMax} with ${nameBytesMax} bytes of names.`;
    throw new QuiesceError("limit", text);
  }

  #refuseCollisions(): never {
    const text = `The names of the ${this.#what} all have the same hash, as if chosen to; rename them.`;
    throw new QuiesceError("limit", text);
  }
}

/**
 * The number that stands at `at`, times 16, plus how many digits it has; 0 when there is none, when it has a needless zero in
 * front, or more than six digits.
 */
export function decimalAt(bytes: Uint8Array, at: number): number {
  // hot loop
  let digit = bytes[at]! - DIGIT_0;
  if (digit >>> 0 > 9) return 0;
  let number = digit;
  let digits = 1;
  digit = bytes[at + 1]! - DIGIT_0;
  while (digit >>> 0 <= 9) {
    if (++digits > DIGITS_MAX || number === 0) return 0;
    number = number * 10 + digit;
    digit = bytes[at + digits]! - DIGIT_0;
  }
  return (number << 4) | digits;
}

function grown(bytes: Uint8Array, needed: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(needed, 2 * bytes.length));
  larger.set(bytes);
  return larger;
}

function grownInts(ints: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * ints.length);
  larger.set(ints);
  return larger;
}
