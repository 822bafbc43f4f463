// What the engines of the flat analysis have in common: they are fed blocks of events, and end with what they found.

import { type AbstractBlock, type AbstractNames, StdOp } from "#traces/std";
import type { FlatLimits } from "../limits.ts";
import { AccessVectors } from "./access-vectors.ts";
import { Clocks } from "./clocks.ts";
import { grownInts } from "./grown.ts";
import { OrderCheck } from "./order-check.ts";
import { RaceTally } from "./race-tally.ts";

/** Words of a variable's record: 32 bytes, half a cache line. */
export const VARIABLE_LOG2 = 3;
/** A lock's record: who released it last, at which own clock (0: never), and the slot of what it knew. */
const LOCK_LOG2 = 2;

/** A variable's last reads: a thread, or IN_VECTOR when there are several. */
export const IN_VECTOR = -1;

/** State and slow paths that the happens-before engines share; how accesses are judged is theirs. */
export abstract class FlatEngine {
  readonly tally: RaceTally;
  readonly order = new OrderCheck();
  events = 0;
  protected readonly clocks: Clocks;
  protected readonly vectors: AccessVectors;
  protected variables = new Int32Array(1 << (VARIABLE_LOG2 + 6));
  protected locks = new Int32Array(1 << (LOCK_LOG2 + 6));

  constructor(limits: FlatLimits) {
    this.tally = new RaceTally(limits);
    this.clocks = new Clocks(limits);
    this.vectors = new AccessVectors(limits);
  }

  /** Judges the events of `block`, whose names are all in `names`. */
  feed(block: AbstractBlock, names: AbstractNames): void {
    const threads = names.threads.count;
    this.clocks.ensureThreads(threads);
    this.vectors.ensureThreads(threads);
    this.order.ensure(threads, names.locks.count);
    this.variables = withRoom(this.variables, names.variables.count << VARIABLE_LOG2);
    this.locks = withRoom(this.locks, names.locks.count << LOCK_LOG2);
    this.judge(block);
    this.events += block.count;
  }

  protected abstract judge(block: AbstractBlock): void;

  /** Everything but reads and writes; `index` is the event's place in its block. Replaces arrays of clocks. */
  protected synchronise(op: number, thread: number, operand: number, index: number): void {
    // hot loop
    switch (op) {
      case StdOp.acquire:
        this.order.acquire(thread, operand, this.events + index);
        this.#acquire(thread, operand);
        break;
      case StdOp.release:
        this.order.release(thread, operand, this.events + index);
        this.#release(thread, operand);
        break;
      case StdOp.fork:
      case StdOp.join:
        this.order.forkOrJoin(op, thread, operand, this.events + index);
        if (operand !== thread) this.#forkOrJoin(op, thread, operand);
        break;
    }
  }

  /** `thread` takes `lock`: it learns what the last holder knew when it let go. */
  #acquire(thread: number, lock: number): void {
    // hot loop
    const locks = this.locks;
    const at = lock << LOCK_LOG2;
    const clock = locks[at + 1]!;
    const other = locks[at]!;
    if (clock === 0 || other === thread) return;
    const { words, strideLog2, threads } = this.clocks;
    if (words[(threads[2 * thread + 1]! << strideLog2) + other]! >= clock) return;
    this.clocks.learn(thread, other, clock, locks[at + 2]!);
  }

  #release(thread: number, lock: number): void {
    // hot loop
    const { clocks, locks } = this;
    const at = lock << LOCK_LOG2;
    locks[at] = thread;
    locks[at + 1] = clocks.threads[2 * thread]!;
    locks[at + 2] = clocks.publish(thread, locks[at + 2]!);
  }

  #forkOrJoin(op: number, thread: number, other: number): void {
    const { clocks } = this;
    if (op === StdOp.join) clocks.learnAll(thread, other);
    else {
      clocks.inherit(other, thread);
      clocks.tick(thread);
    }
  }
}

function withRoom(records: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  return length <= records.length
    ? records
    : grownInts(records, Math.max(length, 2 * records.length));
}
