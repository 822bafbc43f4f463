// A witness: the order of events that shows a predicted race, and the check that it is one. The check shares nothing with the
// search: it runs the events one after the other, in the order of the witness, and looks whether a program could have done that.
//
// What it demands is a correct reordering: each thread does its first events, in its own order, after it was forked; a
// lock is taken when nobody else has it; a join comes after all that the joined thread had done; each read reads from the write
// that it read from in the recording. Then both accesses are what their threads do next, and nothing keeps them apart.

import { type AbstractBlock, type AbstractNames, STD_WORDS, StdOp } from "#traces/std";
import type { Held } from "./window.ts";

export interface Witness {
  /** All events before this one run as recorded. */
  readonly from: number;
  /** Then these run, in this order; numbered as in the trace. */
  readonly order: readonly number[];
  /** And then these two can run, either of them first. */
  readonly race: readonly [number, number];
}

/**
 * What is wrong with `witness`, as a sentence; null when it shows a race. `events` are those of the trace from number
 * `witness.from` on, and `held` the locks that are held there; threads that were forked before are those that `events` do not fork.
 */
export function faultOf(
  witness: Witness,
  events: AbstractBlock,
  held: readonly Held[],
): string | null {
  const run = new Run(events, held);
  for (const number of witness.order) {
    const fault = run.step(number - witness.from);
    if (fault !== null) return `Event ${number} ${fault}.`;
  }
  const [first, second] = witness.race;
  return run.raceFault(first - witness.from, second - witness.from);
}

/** A thread, as far as it has got. */
interface Progress {
  readonly events: number[];
  done: number;
}

class Run {
  readonly #events: AbstractBlock;
  readonly #threads = new Map<number, Progress>();
  readonly #forkOf = new Map<number, number>();
  readonly #forked = new Set<number>();
  /** By lock: who has it, and how often. */
  readonly #holders = new Map<number, { readonly thread: number; depth: number }>();
  /** By read: the write that it saw; and by variable the last write, here. */
  readonly #sawWrite = new Map<number, number | undefined>();
  readonly #lastWrite = new Map<number, number>();

  constructor(events: AbstractBlock, held: readonly Held[]) {
    this.#events = events;
    for (const { thread, lock, depth } of held) this.#holders.set(lock, { thread, depth });
    const lastWrite = new Map<number, number>();
    for (let i = 0; i < events.count; i++) {
      const { op, thread, operand } = this.#at(i);
      this.#progressOf(thread).events.push(i);
      if (op === StdOp.fork) this.#forkOf.set(operand, i);
      if (op === StdOp.read) this.#sawWrite.set(i, lastWrite.get(operand));
      if (op === StdOp.write) lastWrite.set(operand, i);
    }
  }

  /** Does event `i` next; says what keeps it from being done. */
  step(i: number): string | null {
    const turn = this.#turnFault(i);
    if (turn !== null) return turn;
    const { op, thread, operand } = this.#at(i);
    const holder = this.#holders.get(operand);
    if (op === StdOp.acquire) {
      if (holder !== undefined && holder.thread !== thread) return "takes a lock that is taken";
      if (holder === undefined) this.#holders.set(operand, { thread, depth: 1 });
      else holder.depth++;
    } else if (op === StdOp.release) {
      if (holder?.thread !== thread) return "lets go of a lock that it does not hold";
      if (--holder.depth === 0) this.#holders.delete(operand);
    } else if (op === StdOp.read) {
      if (this.#lastWrite.get(operand) !== this.#sawWrite.get(i)) return "reads from another write";
    } else if (op === StdOp.write) this.#lastWrite.set(operand, i);
    else if (op === StdOp.fork) this.#forked.add(operand);
    else if (op === StdOp.join && !this.#isJoinable(i, operand))
      return "joins a thread that is not as far as it was";
    this.#progressOf(thread).done++;
    return null;
  }

  /** What keeps the two from being a race now. */
  raceFault(first: number, second: number): string | null {
    const [a, b] = [this.#at(first), this.#at(second)];
    const isAccess = (op: number) => op === StdOp.read || op === StdOp.write;
    if (!isAccess(a.op) || !isAccess(b.op) || a.operand !== b.operand)
      return "The two are no accesses to one variable.";
    if (a.op === StdOp.read && b.op === StdOp.read) return "The two only read.";
    if (a.thread === b.thread) return "The two are of one thread.";
    for (const event of [first, second])
      if (this.#turnFault(event) !== null) return "One of the two cannot come next.";
    return null;
  }

  /** Why `i` is not what its thread does next. */
  #turnFault(i: number): string | null {
    const { thread } = this.#at(i);
    const { events, done } = this.#progressOf(thread);
    if (events[done] !== i) return "is not what its thread does next";
    if (this.#forkOf.has(thread) && !this.#forked.has(thread))
      return "comes before its thread is forked";
    return null;
  }

  #isJoinable(join: number, thread: number): boolean {
    if (this.#forkOf.has(thread) && !this.#forked.has(thread)) return false;
    const { events, done } = this.#progressOf(thread);
    const next = events[done];
    return next === undefined || next > join;
  }

  #at(i: number) {
    const { ops, threads, operands } = this.#events;
    return { op: ops[i] ?? -1, thread: threads[i] ?? -1, operand: operands[i] ?? -1 };
  }

  #progressOf(thread: number): Progress {
    const progress = this.#threads.get(thread) ?? { events: [], done: 0 };
    this.#threads.set(thread, progress);
    return progress;
  }
}

/** The witness of a window as one of the trace, where the window begins at event `from`. */
export function moved(witness: Witness, from: number): Witness {
  const [first, second] = witness.race;
  return {
    from: witness.from + from,
    order: witness.order.map((event) => event + from),
    race: [first + from, second + from],
  };
}

/** Event `i` of `events` in the words of the text form: `T1 w(x) at 6`. */
export function eventText(events: AbstractBlock, i: number, names: AbstractNames): string {
  const op = events.ops[i] ?? 0;
  const operand = events.operands[i] ?? 0;
  const tables = [
    names.locks,
    names.locks,
    names.variables,
    names.variables,
    names.threads,
    names.threads,
  ];
  const what = tables[op] === undefined ? "" : `(${tables[op].name(operand)})`;
  return `${names.threads.name(events.threads[i] ?? 0)} ${STD_WORDS[op]}${what} at ${events.locations[i]}`;
}
