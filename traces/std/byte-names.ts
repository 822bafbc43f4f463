// Names to numbers, straight from the bytes of a file: no string is made for an event, only for a name that a report shows.
//
// An open hash table; the bytes of all names lie one behind the other. The caller computes the hash while it looks for the end
// of the name. A file whose names were chosen to collide is refused before it can make the look-ups slow.

import { QuiesceError } from "#core/base";
import type { NameTable } from "./abstract-trace.ts";
import { nameBytesMax, nameProbesMax, namesMax } from "./limits.ts";

/** FNV-1a's start and factor; a byte is mixed in by `Math.imul(hash ^ byte, HASH_FACTOR)`. */
export const HASH_START = 0x811c9dc5 | 0;
export const HASH_FACTOR = 0x01000193;

/** 2^32 by the golden ratio: spreads a hash's information into its upper bits. */
const SPREAD = 0x9e3779b1 | 0;
const SLOTS_START_LOG2 = 10;

export class ByteNames implements NameTable {
  count = 0;
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
  intern(bytes: Uint8Array, start: number, end: number, hash: number): number {
    // hot loop
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (Math.imul(hash, SPREAD) >>> this.#shift) << 1;
    for (let probes = 0; ; probes++) {
      const entry = slots[slot + 1]!;
      if (entry === 0) return this.#add(bytes, start, end, hash, slot);
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

  #add(bytes: Uint8Array, start: number, end: number, hash: number, slot: number): number {
    const index = this.count;
    const at = this.#starts[index] ?? 0;
    const after = at + end - start;
    if (index === namesMax || after > nameBytesMax) this.#refuseSize();
    if (after > this.#bytes.length) this.#bytes = grown(this.#bytes, after);
    if (index + 2 > this.#starts.length) this.#starts = grownInts(this.#starts);
    this.#bytes.set(bytes.subarray(start, end), at);
    this.#starts[index + 1] = after;
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = index + 1;
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
