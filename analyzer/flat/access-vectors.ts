// The last access of each thread to a variable, where one epoch does not do: several threads read it, or raced to write it.
//
// Vector v has a clock (0: no access) and a location for each thread, side by side, from `v << strideLog2` on.

import { QuiesceError } from "#core/base";
import type { FlatLimits } from "../limits.ts";

export class AccessVectors {
  words = new Int32Array(64 * 32);
  strideLog2 = 5;
  readonly #limits: FlatLimits;
  #vectors = 0;
  readonly #free: number[] = [];

  constructor(limits: FlatLimits) {
    this.#limits = limits;
  }

  /** Makes room for threads below `count` in every vector. Replaces the array. */
  ensureThreads(count: number): void {
    while (2 * count > 1 << this.strideLog2) {
      const old = this.words;
      const from = this.strideLog2++;
      this.words = new Int32Array(
        Math.max(this.#checked(this.#vectors * 2 ** this.strideLog2), old.length),
      );
      for (let vector = 0; vector < this.#vectors; vector++)
        this.words.set(
          old.subarray(vector << from, (vector + 1) << from),
          vector << this.strideLog2,
        );
    }
  }

  /** A vector without accesses. Replaces the array. */
  take(): number {
    const vector = this.#free.pop() ?? this.#vectors++;
    const start = vector * 2 ** this.strideLog2;
    const end = start + 2 ** this.strideLog2;
    if (end > this.words.length) {
      const larger = new Int32Array(
        Math.min(2 * this.#checked(end), 2 * this.#limits.flatAccessEntriesMax),
      );
      larger.set(this.words);
      this.words = larger;
    }
    this.words.fill(0, start, end);
    return vector;
  }

  drop(vector: number): void {
    this.#free.push(vector);
  }

  set(vector: number, thread: number, clock: number, location: number): void {
    // hot loop
    const at = (vector << this.strideLog2) + 2 * thread;
    this.words[at] = clock;
    this.words[at + 1] = location;
  }

  #checked(length: number): number {
    if (length <= 2 * this.#limits.flatAccessEntriesMax) return length;
    const text = `The accesses of variables that several threads read or raced on do not fit into ${this.#limits.flatAccessEntriesMax} entries; analyse a part of the trace, or one with fewer threads.`;
    throw new QuiesceError("limit", text);
  }
}
