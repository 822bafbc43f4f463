// What is to happen in virtual time: a binary heap by time, and by order of insertion among equals, so that the order of
// what is due never depends on anything but the run itself.

import { assert } from "#core/base";

interface Entry<T> {
  readonly at: number;
  readonly order: number;
  readonly what: T;
}

/** A queue of things with the time at which each is due. */
export class DueQueue<T> {
  readonly #heap: Entry<T>[] = [];
  #inserted = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the first of them is due; Infinity when there is none. */
  get nextAt(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** `what` happens at time `at`. */
  push(at: number, what: T): void {
    assert(Number.isFinite(at), "what is due has a time");
    const entry = { at, order: this.#inserted++, what };
    const heap = this.#heap;
    let hole = heap.length;
    heap.push(entry);
    while (hole > 0) {
      const above = (hole - 1) >> 1;
      const parent = heap[above] as Entry<T>;
      if (!isBefore(entry, parent)) break;
      heap[hole] = parent;
      hole = above;
    }
    heap[hole] = entry;
  }

  /** Take the first if it is due at `now`. */
  popDue(now: number): T | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    const last = this.#heap.pop() as Entry<T>;
    if (last !== first) this.#sink(last);
    return first.what;
  }

  #sink(entry: Entry<T>): void {
    const heap = this.#heap;
    let hole = 0;
    for (let below = 1; below < heap.length; below = 2 * hole + 1) {
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, heap[below] as Entry<T>)) below++;
      const child = heap[below] as Entry<T>;
      if (!isBefore(child, entry)) break;
      heap[hole] = child;
      hole = below;
    }
    heap[hole] = entry;
  }
}

function isBefore<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
