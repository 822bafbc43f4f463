// The lock discipline (Eraser, TOCS'97), counted as RAPID's LockSet counts it: every variable has the set of locks that were held at
// each access so far; an access that leaves it empty is racy. What only reads so far is never racy, and neither is what one thread
// has for itself: each thread holds a lock of its own all the time. Fork and join do not count, hence its false alarms.
//
// Sets are numbered, and what acquiring, releasing and intersecting makes of them is remembered: there are few of them.

import { QuiesceError } from "#core/base";
import { type AbstractSource, StdOp } from "#traces/std";
import { FLAT_LIMITS, type FlatLimits } from "../limits.ts";

export interface LockSetResult {
  readonly racyEvents: number;
  readonly racyLocations: number;
  readonly racyVariables: number;
  /** Counted from 0; null when no event is racy. */
  readonly firstRacyEvent: number | null;
}

/** The empty set. */
const EMPTY = 0;
/** A variable that nobody has accessed. */
const UNTOUCHED = -1;

/** Judges all of `source`. */
export function analyzeLockSets(
  source: AbstractSource,
  options: { readonly limits?: Partial<FlatLimits> } = {},
): LockSetResult {
  const sets = new LockSets({ ...FLAT_LIMITS, ...options.limits });
  const held: number[] = [];
  const nested = new Map<string, number>();
  const candidates: { set: number; isOnlyRead: boolean }[] = [];
  const variables = new Set<number>();
  const places = new Set<number>();
  let [index, racyEvents, firstRacyEvent] = [0, 0, null as number | null];
  for (const { ops, threads, operands, locations, count } of source.blocks()) {
    for (let i = 0; i < count; i++, index++) {
      const op = ops[i] ?? 0;
      const thread = threads[i] ?? 0;
      const operand = operands[i] ?? 0;
      // A thread's own lock is negative, so that it differs from all of the trace.
      const holds = held[thread] ?? sets.with(EMPTY, -1 - thread);
      held[thread] = holds;
      if (op === StdOp.acquire || op === StdOp.release) {
        const key = `${thread} ${operand}`;
        const depth = Math.max(0, (nested.get(key) ?? 0) + (op === StdOp.acquire ? 1 : -1));
        if (depth === 0) nested.delete(key);
        else nested.set(key, depth);
        held[thread] = depth > 0 ? sets.with(holds, operand) : sets.without(holds, operand);
      } else if (op === StdOp.read || op === StdOp.write) {
        const candidate = candidates[operand] ?? { set: UNTOUCHED, isOnlyRead: true };
        candidates[operand] = candidate;
        candidate.set = candidate.set === UNTOUCHED ? holds : sets.both(candidate.set, holds);
        if (op === StdOp.write) candidate.isOnlyRead = false;
        if (candidate.set !== EMPTY || candidate.isOnlyRead) continue;
        firstRacyEvent ??= index;
        racyEvents++;
        variables.add(operand);
        places.add(locations[i] ?? 0);
      }
    }
  }
  return { racyEvents, racyLocations: places.size, racyVariables: variables.size, firstRacyEvent };
}

/** Sets of locks by number: equal sets have equal numbers. */
class LockSets {
  readonly #limits: FlatLimits;
  readonly #sets: (readonly number[])[] = [[]];
  readonly #numbers = new Map<string, number>([["", EMPTY]]);
  readonly #known = new Map<string, number>();
  #members = 0;

  constructor(limits: FlatLimits) {
    this.#limits = limits;
  }

  with(set: number, lock: number): number {
    return this.#remember(`${set}+${lock}`, () => [
      ...this.#of(set).filter((one) => one !== lock),
      lock,
    ]);
  }

  without(set: number, lock: number): number {
    return this.#remember(`${set}-${lock}`, () => this.#of(set).filter((one) => one !== lock));
  }

  both(a: number, b: number): number {
    if (a === b) return a;
    return this.#remember(`${a}&${b}`, () => {
      const other = new Set(this.#of(b));
      return this.#of(a).filter((lock) => other.has(lock));
    });
  }

  #of(set: number): readonly number[] {
    return this.#sets[set] ?? [];
  }

  #remember(question: string, compute: () => readonly number[]): number {
    const known = this.#known.get(question);
    if (known !== undefined) return known;
    const members = compute().toSorted((a, b) => a - b);
    const key = members.join();
    let number = this.#numbers.get(key);
    this.#members += 1 + members.length;
    if (this.#members > this.#limits.flatLockSetMembersMax) this.#refuse();
    if (number === undefined) {
      number = this.#sets.push(members) - 1;
      this.#numbers.set(key, number);
    }
    this.#known.set(question, number);
    return number;
  }

  #refuse(): never {
    const text = `The locks that are held together do not fit into ${this.#limits.flatLockSetMembersMax} entries; analyse a part of the trace.`;
    throw new QuiesceError("limit", text);
  }
}
