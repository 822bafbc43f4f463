// A map from 32-bit ids to objects: open addressing, linear probing, no tombstones. Ids of a trace count up and most of them
// are gone soon (a coroutine, an operation), so that a plain array would grow with the trace, and a Map costs three times as
// much (about 20 ns an operation against 6). Ids that were chosen to meet in one place, and 0, go to a Map nevertheless.

import { refuseMore } from "../bounds.ts";
import { OBJECTS_MAX } from "../limits.ts";

const EMPTY = 0;
/** An id is at most so far from its home, which only ids that somebody chose need, at a load of at most a half. */
const PROBES_MAX = 256;
const NOWHERE = -1;

/** Ids to values; at most `max` of them, which are called `what` when there are more. */
export class IdMap<T> {
  #keys = new Int32Array(64);
  #values: (T | undefined)[] = new Array<T | undefined>(64).fill(undefined);
  #mask = 63;
  #size = 0;
  /** Ids that found no place in the table; null as nearly always. */
  #others: Map<number, T> | null = null;
  readonly #what: string;
  readonly #max: number;

  constructor(what: string, max = OBJECTS_MAX) {
    this.#what = what;
    this.#max = max;
  }

  get size(): number {
    return this.#others === null ? this.#size : this.#size + this.#others.size;
  }

  get(id: number): T | undefined {
    const at = id & this.#mask;
    const key = this.#keys[at];
    if (key === id && id !== EMPTY) return this.#values[at];
    if (key === EMPTY && this.#others === null) return undefined;
    return this.#getFarther(id);
  }

  #getFarther(id: number): T | undefined {
    const at = this.#slotOf(id);
    const isHere = at !== NOWHERE && this.#keys[at] === id && id !== EMPTY;
    return isHere ? this.#values[at] : this.#others?.get(id);
  }

  set(id: number, value: T): void {
    if (this.#others?.has(id) === true) {
      this.#others.set(id, value);
      return;
    }
    if (this.#size * 2 > this.#mask) this.#grow();
    const at = this.#slotOf(id);
    if (at !== NOWHERE && this.#keys[at] === id && id !== EMPTY) this.#values[at] = value;
    else {
      if (this.size >= this.#max) refuseMore(this.#max, this.#what);
      this.#add(id, value, at);
    }
  }

  #add(id: number, value: T | undefined, at: number): void {
    if (id === EMPTY || at === NOWHERE) {
      this.#others ??= new Map();
      this.#others.set(id, value as T);
      return;
    }
    this.#size++;
    this.#keys[at] = id;
    this.#values[at] = value;
  }

  delete(id: number): void {
    if (this.#others?.delete(id) === true) return;
    const keys = this.#keys;
    const mask = this.#mask;
    let hole = this.#slotOf(id);
    if (hole === NOWHERE || keys[hole] === EMPTY) return;
    this.#size--;
    // Move up whatever the hole would hide: an entry whose home is not between the hole and itself.
    for (let at = (hole + 1) & mask; keys[at] !== EMPTY; at = (at + 1) & mask) {
      const home = (keys[at] as number) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      keys[hole] = keys[at] as number;
      this.#values[hole] = this.#values[at];
      hole = at;
    }
    keys[hole] = EMPTY;
    this.#values[hole] = undefined;
  }

  /** All values, in an order that depends on the ids alone. `body` changes nothing in the map. */
  forEach(body: (value: T) => void): void {
    for (let at = 0; at <= this.#mask; at++) {
      if (this.#keys[at] !== EMPTY) body(this.#values[at] as T);
    }
    this.#others?.forEach(body);
  }

  /** Where `id` is or could be; NOWHERE when that is too far from its home. */
  #slotOf(id: number): number {
    const keys = this.#keys;
    let at = id & this.#mask;
    for (let probes = 0; probes < PROBES_MAX; probes++) {
      if (keys[at] === EMPTY || keys[at] === id) return at;
      at = (at + 1) & this.#mask;
    }
    return NOWHERE;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const size = keys.length * 2;
    this.#keys = new Int32Array(size);
    this.#values = new Array<T | undefined>(size).fill(undefined);
    this.#mask = size - 1;
    this.#size = 0;
    for (let i = 0; i < keys.length; i++) {
      const id = keys[i] as number;
      if (id !== EMPTY) this.#add(id, values[i], this.#slotOf(id));
    }
  }
}
