// The lists of which the full order is asked. A pair that some protocol orders is ordered in the full order too, and is judged the
// same with it and without, under either reading. So `analyze` follows the sanctioned order first, and gathers the lists with
// other pairs; the full order is followed afterwards for these alone (by context, and by units where the task reading is asked for,
// order/units.ts), no further than to the last such pair, and not at all in a run whose every pair some protocol orders.

import { SUSPECTS_MAX } from "../limits.ts";
import type { EditRecord, Variable } from "./variable.ts";

/** Events of a part of the run, as a power of 2. */
const PART_BITS = 12;

/** Accidents order pairs all over the run: whoever asks for the full order should follow it from the start. */
export class SuspectsEverywhere extends Error {
  constructor() {
    super("Accidents order pairs all over the run.");
    this.name = "SuspectsEverywhere";
  }
}

export class Suspects {
  /** Owners by kind of list. */
  readonly #owners: Set<number>[] = [];
  /** Events of edits of what nobody else could see, as far as such a pair has them. */
  readonly #privateEdits = new Set<number>();
  #knowsPrivate = true;
  readonly #max: number;
  /** Parts of the run with such a pair; in one with more than `#partsMax` it is no exception. */
  readonly #partsMax: number;
  #parts = 0;
  #count = 0;
  /** The event that made the last such pair. */
  last = -1;

  /** With no room for any (`max`), all lists are suspect as soon as one is. */
  constructor(max = SUSPECTS_MAX, partsMax = Number.POSITIVE_INFINITY) {
    this.#max = max;
    this.#partsMax = partsMax;
  }

  get isEmpty(): boolean {
    return this.last < 0;
  }

  /** Whether they are not told apart. */
  get areAll(): boolean {
    return this.#count + this.#privateEdits.size > this.#max;
  }

  /**
   * No protocol orders two accesses of `variable`: the later one is event `index`, the earlier one `edit`; null for a read, and
   * undefined where nobody knows.
   */
  add(
    { list, owner }: Pick<Variable, "list" | "owner">,
    index: number,
    edit?: EditRecord | null,
  ): void {
    if (edit === undefined) this.#knowsPrivate = false;
    if (this.last < 0 || index >>> PART_BITS !== this.last >>> PART_BITS) this.#parts++;
    if (this.#parts > this.#partsMax) throw new SuspectsEverywhere();
    this.last = index;
    if (edit?.isPrivate === true) this.#privateEdits.add(edit.index);
    if (this.areAll) return;
    for (let i = this.#owners.length; i <= list; i++) this.#owners.push(new Set());
    const owners = this.#owners[list] as Set<number>;
    if (owners.has(owner)) return;
    owners.add(owner);
    this.#count++;
  }

  /** Whether the edit at event `index` was of what nobody else could see, if it is one of such a pair; null where that is not known. */
  wasPrivate(index: number): boolean | null {
    return this.#knowsPrivate ? this.#privateEdits.has(index) : null;
  }

  has(list: number, owner: number): boolean {
    return this.areAll || this.#owners[list]?.has(owner) === true;
  }
}
