// The lists that may hold what only the task reading finds (order/units.ts). That reading has fewer edges in the full order and the
// same sanctioned order, so it can judge a pair in another way only where the thread reading found a pair that no protocol orders and
// some accident does. `analyze` follows the thread reading first, and the task reading afterwards for these lists alone:
// not at all in a run whose every pair some protocol orders, and no further than to the last such pair.

import { SUSPECTS_MAX } from "../limits.ts";
import type { Variable } from "./variable.ts";

export class Suspects {
  /** Owners by kind of list. */
  readonly #owners: Set<number>[] = [];
  readonly #max: number;
  #count = 0;
  /** The event that made the last such pair. */
  last = -1;

  /** With no room for any, all lists are suspect as soon as one is. */
  constructor(max = SUSPECTS_MAX) {
    this.#max = max;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether they are not told apart. */
  get areAll(): boolean {
    return this.#count > this.#max;
  }

  /** Two accesses of `variable` that no protocol orders are ordered by an accident; event `index` is the later one. */
  add({ list, owner }: Pick<Variable, "list" | "owner">, index: number): void {
    this.last = index;
    if (this.areAll) return;
    for (let i = this.#owners.length; i <= list; i++) this.#owners.push(new Set());
    const owners = this.#owners[list] as Set<number>;
    if (owners.has(owner)) return;
    owners.add(owner);
    this.#count++;
  }

  has(list: number, owner: number): boolean {
    return this.areAll || this.#owners[list]?.has(owner) === true;
  }
}
