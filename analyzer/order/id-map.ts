// A map from positive 32-bit ids to objects: open addressing, linear probing, no tombstones. Ids of a trace count up and
// most of them are gone soon (a coroutine, an operation), so that a plain array would grow with the trace, and a Map costs
// three times as much (about 20 ns an operation against 6).

const EMPTY = 0;

/** Ids (never 0) to values. */
export class IdMap<T> {
  #keys = new Int32Array(64);
  #values: (T | undefined)[] = new Array<T | undefined>(64).fill(undefined);
  #mask = 63;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    const keys = this.#keys;
    const mask = this.#mask;
    for (let at = hash(id) & mask; ; at = (at + 1) & mask) {
      const key = keys[at];
      if (key === id) return this.#values[at];
      if (key === EMPTY) return undefined;
    }
  }

  set(id: number, value: T): void {
    if (this.#size * 2 > this.#mask) this.#grow();
    const at = this.#slotOf(id);
    if (this.#keys[at] === EMPTY) this.#size++;
    this.#keys[at] = id;
    this.#values[at] = value;
  }

  delete(id: number): void {
    const keys = this.#keys;
    const mask = this.#mask;
    let hole = this.#slotOf(id);
    if (keys[hole] === EMPTY) return;
    this.#size--;
    // Move up whatever the hole would hide: an entry whose home is not between the hole and itself.
    for (let at = (hole + 1) & mask; keys[at] !== EMPTY; at = (at + 1) & mask) {
      const home = hash(keys[at] as number) & mask;
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
  }

  #slotOf(id: number): number {
    let at = hash(id) & this.#mask;
    while (this.#keys[at] !== EMPTY && this.#keys[at] !== id) at = (at + 1) & this.#mask;
    return at;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const size = keys.length * 2;
    this.#keys = new Int32Array(size);
    this.#values = new Array<T | undefined>(size).fill(undefined);
    this.#mask = size - 1;
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === EMPTY) continue;
      const at = this.#slotOf(keys[i] as number);
      this.#keys[at] = keys[i] as number;
      this.#values[at] = values[i];
    }
  }
}

/** Ids are dense, so that they may stay in order: neighbours share a cache line. */
function hash(id: number): number {
  return id;
}
