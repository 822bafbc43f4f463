// Races by schedulable happens-before, counted as RAPID's SHBEpoch counts them (OOPSLA'18): a read is also ordered after the
// write that it read from. So what a race lets through is not taken for another race, and every racy event is one that some
// schedule shows, not only the first.
//
// An access is racy, once, when it is unordered with an earlier conflicting one, whichever; a read is judged before it learns
// from its write. Every write counts up its thread's clock. RAPID keeps all reads for ever; here a write that is ordered after
// all of them forgets them: whoever is unordered with one of these is unordered with that write, hence racy anyway.
//
// Record of a variable: [0] last write's thread, [1] its clock, [2] the recorded read's thread or IN_VECTOR, [3] its clock,
// [4] last write's location, [5] the read's location or vector, [6] number + 1 of the vector of writes when they raced, else 0,
// [7] the slot of what the last write's thread knew.

import { type AbstractBlock, StdOp } from "#traces/std";
import { FlatEngine, IN_VECTOR, VARIABLE_LOG2 } from "./engine.ts";

export class ShbEngine extends FlatEngine {
  protected override judge(block: AbstractBlock): void {
    // hot loop
    const { ops, threads, operands, locations, count } = block;
    const { clocks, variables } = this;
    const { ran } = this.order;
    let own = clocks.threads;
    let { words, strideLog2 } = clocks;
    for (let i = 0; i < count; i++) {
      const thread = threads[i]!;
      const operand = operands[i]!;
      ran[thread] = 1;
      const op = ops[i]!;
      if ((op & 6) === StdOp.read) {
        const at = operand << VARIABLE_LOG2;
        const known = own[2 * thread + 1]! << strideLog2;
        const writer = variables[at]!;
        const isOrdered = writer === thread || words[known + writer]! >= variables[at + 1]!;
        const reader = variables[at + 2]!;
        const isEpoch =
          reader !== IN_VECTOR &&
          (reader === thread || words[known + reader]! >= variables[at + 3]!);
        if (op === StdOp.read) {
          if (isOrdered && isEpoch && variables[at + 6] === 0) {
            variables[at + 2] = thread;
            variables[at + 3] = own[2 * thread]!;
            variables[at + 5] = locations[i]!;
            continue;
          }
          this.#read(this.events + i, thread, operand, locations[i]!);
          own = clocks.threads;
          words = clocks.words;
          strideLog2 = clocks.strideLog2;
          continue;
        }
        if (isOrdered && isEpoch && variables[at + 6] === 0) variables[at + 3] = 0;
        else this.#checkWrite(this.events + i, thread, operand, locations[i]!);
        variables[at] = thread;
        variables[at + 1] = own[2 * thread]!;
        variables[at + 4] = locations[i]!;
        variables[at + 7] = clocks.publish(thread, variables[at + 7]!);
        continue;
      }
      this.synchronise(op, thread, operand, i);
      own = clocks.threads;
      words = clocks.words;
      strideLog2 = clocks.strideLog2;
    }
  }

  /** A read that races, learns, or is one of several. Replaces arrays of clocks. */
  #read(index: number, thread: number, variable: number, location: number): void {
    // hot loop
    const { variables, vectors, clocks } = this;
    const at = variable << VARIABLE_LOG2;
    const writer = variables[at]!;
    this.#judgeWrites(index, thread, StdOp.read, variable, location);
    if (writer !== thread && !this.#knows(thread, writer, variables[at + 1]!))
      clocks.learn(thread, writer, variables[at + 1]!, variables[at + 7]!);
    const reader = variables[at + 2]!;
    const own = clocks.threads[2 * thread]!;
    if (reader === IN_VECTOR) vectors.set(variables[at + 5]!, thread, own, location);
    else if (reader === thread || this.#knows(thread, reader, variables[at + 3]!)) {
      variables[at + 2] = thread;
      variables[at + 3] = own;
      variables[at + 5] = location;
    } else {
      const vector = vectors.take();
      vectors.set(vector, reader, variables[at + 3]!, variables[at + 5]!);
      vectors.set(vector, thread, own, location);
      variables[at + 2] = IN_VECTOR;
      variables[at + 5] = vector;
    }
  }

  /** Tells the races of a write, and decides which accesses the record keeps beside it. */
  #checkWrite(index: number, thread: number, variable: number, location: number): void {
    // hot loop
    const { variables, vectors, clocks } = this;
    const at = variable << VARIABLE_LOG2;
    if (this.#judgeReads(index, thread, variable, location)) {
      if (variables[at + 2] === IN_VECTOR) vectors.drop(variables[at + 5]!);
      variables[at + 2] = 0;
      variables[at + 3] = 0;
    }
    const isOrdered = this.#judgeWrites(index, thread, StdOp.write, variable, location);
    if (isOrdered) {
      if (variables[at + 6] !== 0) vectors.drop(variables[at + 6]! - 1);
      variables[at + 6] = 0;
      return;
    }
    if (variables[at + 6] === 0) {
      variables[at + 6] = vectors.take() + 1;
      vectors.set(variables[at + 6]! - 1, variables[at]!, variables[at + 1]!, variables[at + 4]!);
    }
    vectors.set(variables[at + 6]! - 1, thread, clocks.threads[2 * thread]!, location);
  }

  /** Whether `thread` is ordered after the writes; tells the races where it is not. */
  #judgeWrites(
    index: number,
    thread: number,
    op: number,
    variable: number,
    location: number,
  ): boolean {
    const { variables } = this;
    const at = variable << VARIABLE_LOG2;
    const vector = (variables[at + 6] ?? 0) - 1;
    if (vector >= 0)
      return this.#judgeVector(index, thread, op, variable, location, StdOp.write, vector);
    const writer = variables[at] ?? 0;
    if (writer === thread || this.#knows(thread, writer, variables[at + 1] ?? 0)) return true;
    this.tally.event(index, thread, op, variable, location);
    this.tally.against(StdOp.write, writer, variables[at + 4] ?? 0);
    return false;
  }

  #judgeReads(index: number, thread: number, variable: number, location: number): boolean {
    const { variables } = this;
    const at = variable << VARIABLE_LOG2;
    const reader = variables[at + 2] ?? 0;
    if (reader === IN_VECTOR)
      return this.#judgeVector(
        index,
        thread,
        StdOp.write,
        variable,
        location,
        StdOp.read,
        variables[at + 5] ?? 0,
      );
    if (reader === thread || this.#knows(thread, reader, variables[at + 3] ?? 0)) return true;
    this.tally.event(index, thread, StdOp.write, variable, location);
    this.tally.against(StdOp.read, reader, variables[at + 5] ?? 0);
    return false;
  }

  #judgeVector(
    index: number,
    thread: number,
    op: number,
    variable: number,
    location: number,
    earlier: number,
    vector: number,
  ): boolean {
    // hot loop
    const { clocks, vectors, tally } = this;
    const { words } = vectors;
    const start = vector << vectors.strideLog2;
    const known = clocks.threads[2 * thread + 1]! << clocks.strideLog2;
    let isOrdered = true;
    for (let other = 0; other < clocks.threadCount; other++) {
      if (other === thread || clocks.words[known + other]! >= words[start + 2 * other]!) continue;
      isOrdered = false;
      tally.event(index, thread, op, variable, location);
      tally.against(earlier, other, words[start + 2 * other + 1]!);
    }
    return isOrdered;
  }

  #knows(thread: number, other: number, clock: number): boolean {
    // hot loop
    const { threads, words, strideLog2 } = this.clocks;
    return words[(threads[2 * thread + 1]! << strideLog2) + other]! >= clock;
  }
}
