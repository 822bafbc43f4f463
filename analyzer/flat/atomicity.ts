// Conflict-serialisability of the blocks that ought to be atomic (Velodrome, PLDI'08): is there an order of whole blocks that
// gives every conflict the direction that it had? What no race detector sees: an iteration that yields, and a list that is
// edited meanwhile, with every access locked.
//
// A transaction is an outermost block of a thread, or a single event outside of one. An edge says that one had to come first:
// program order, fork, join, a lock let go and taken, a variable written and accessed, or read and written. A cycle is a violation;
// the edge that would close it is not drawn, so that the graph stays without cycles and the next violation is seen, too. A
// transaction that has ended and that no edge leads to can be in no cycle to come: it is forgotten, and what it led to with it,
// if that was all that led there.

import { QuiesceError } from "#core/base";
import { type AbstractSource, StdOp } from "#traces/std";
import { FLAT_LIMITS, type FlatLimits } from "../limits.ts";

export interface AtomicityViolation {
  /** The event that closed the cycle, from 0, and the thread whose block it is. */
  readonly event: number;
  readonly thread: number;
  /** The event that began this block. */
  readonly begin: number;
}

export interface AtomicityResult {
  /** The first violation of each block that has one. */
  readonly violations: readonly AtomicityViolation[];
}

/** Judges all of `source`. */
export function analyzeAtomicity(
  source: AbstractSource,
  options: { readonly limits?: Partial<FlatLimits> } = {},
): AtomicityResult {
  const engine = new Atomicity({ ...FLAT_LIMITS, ...options.limits });
  let event = 0;
  for (const { ops, threads, operands, count } of source.blocks())
    for (let i = 0; i < count; i++, event++)
      engine.event(event, threads[i] ?? 0, { op: ops[i] ?? 0, operand: operands[i] ?? 0 });
  return { violations: engine.violations };
}

/** A block, or an event outside of one. */
class Transaction {
  readonly thread: number;
  readonly begin: number;
  readonly after = new Set<Transaction>();
  /** Edges that lead here. */
  incoming = 0;
  depth = 0;
  hasEnded = false;
  isForgotten = false;
  isViolated = false;
  /** The search that was here last. */
  search = 0;

  constructor(thread: number, begin: number) {
    this.thread = thread;
    this.begin = begin;
  }
}

interface Variable {
  writer: Transaction | undefined;
  /** By thread, since the last write. */
  readonly readers: Map<number, Transaction>;
}

class Atomicity {
  readonly violations: AtomicityViolation[] = [];
  readonly #limits: FlatLimits;
  /** The last transaction of each thread, and who forked it. */
  readonly #last: (Transaction | undefined)[] = [];
  readonly #locks: (Transaction | undefined)[] = [];
  readonly #variables: Variable[] = [];
  #event = 0;
  #alive = 0;
  #searches = 0;
  #visited = 0;

  constructor(limits: FlatLimits) {
    this.#limits = limits;
  }

  event(
    event: number,
    thread: number,
    what: { readonly op: number; readonly operand: number },
  ): void {
    this.#event = event;
    const current = this.#current(thread);
    if (what.op === StdOp.begin) current.depth++;
    else if (what.op === StdOp.end) current.depth = Math.max(0, current.depth - 1);
    else this.#conflicts(current, what.op, what.operand);
    if (current.depth === 0) this.#end(current);
  }

  /** The open block of `thread`, else a new transaction. */
  #current(thread: number): Transaction {
    const last = this.#last[thread];
    if (last?.thread === thread && last.depth > 0) return last;
    const next = new Transaction(thread, this.#event);
    this.#last[thread] = next;
    if (++this.#alive > this.#limits.flatTransactionsMax) this.#refuse();
    this.#edge(last, next);
    return next;
  }

  #conflicts(current: Transaction, op: number, operand: number): void {
    switch (op) {
      case StdOp.acquire:
        this.#edge(this.#locks[operand], current);
        break;
      case StdOp.release:
        this.#locks[operand] = current;
        break;
      case StdOp.fork:
        // The child's first transaction comes after its last one, which this takes the place of.
        if (operand !== current.thread) this.#last[operand] = current;
        break;
      case StdOp.join:
        this.#edge(this.#last[operand], current);
        break;
      default:
        this.#access(current, op, operand);
    }
  }

  #access(current: Transaction, op: number, operand: number): void {
    const variable = this.#variables[operand] ?? { writer: undefined, readers: new Map() };
    this.#variables[operand] = variable;
    this.#edge(variable.writer, current);
    if (op === StdOp.read) {
      variable.readers.set(current.thread, current);
      return;
    }
    for (const reader of variable.readers.values()) this.#edge(reader, current);
    variable.readers.clear();
    variable.writer = current;
  }

  /** `from` had to come before `to`, which is the transaction that is going on. */
  #edge(from: Transaction | undefined, to: Transaction): void {
    if (from === undefined || from === to || from.isForgotten || from.after.has(to)) return;
    if (this.#reaches(to, from)) {
      if (!to.isViolated)
        this.violations.push({ event: this.#event, thread: to.thread, begin: to.begin });
      to.isViolated = true;
      return;
    }
    from.after.add(to);
    to.incoming++;
  }

  #reaches(from: Transaction, to: Transaction): boolean {
    const search = ++this.#searches;
    const open = [from];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next === to) return true;
      if (next.search === search) continue;
      next.search = search;
      if (++this.#visited > this.#limits.flatSearchStepsMax) this.#refuse();
      open.push(...next.after);
    }
    return false;
  }

  #end(transaction: Transaction): void {
    transaction.hasEnded = true;
    const open = [transaction];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (!next.hasEnded || next.incoming > 0 || next.isForgotten) continue;
      next.isForgotten = true;
      this.#alive--;
      for (const after of next.after) {
        after.incoming--;
        open.push(after);
      }
      next.after.clear();
    }
  }

  #refuse(): never {
    const text =
      "Too many blocks and events of the trace depend on blocks that have not ended; analyse a part of it.";
    throw new QuiesceError("limit", text);
  }
}
