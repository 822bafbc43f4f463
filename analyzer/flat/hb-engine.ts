// Happens-before races, counted as RAPID's HBEpoch counts them (FastTrack, PLDI'09, with its own rules for what a race leaves).
//
// An access is racy, once, when it is unordered with the last write, or a write with a recorded read. A racing read is not
// recorded; a racing write is. A write of a new epoch forgets the reads if there are several, and keeps a single one. These
// rules decide how many events are racy behind the first race of a variable, which is why they are followed to the letter.
//
// Record of a variable: [0] last write's thread, [1] its clock, [2] the recorded read's thread or IN_VECTOR, [3] its clock,
// [4] last write's location, [5] the read's location or vector. Zero is "thread 0 at clock 0", before everything.

import { type AbstractBlock, StdOp } from "#traces/std";
import { FlatEngine, IN_VECTOR, VARIABLE_LOG2 } from "./engine.ts";

export class HbEngine extends FlatEngine {
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
        const clock = own[2 * thread]!;
        const known = own[2 * thread + 1]! << strideLog2;
        const writer = variables[at]!;
        const isRace = writer !== thread && words[known + writer]! < variables[at + 1]!;
        const reader = variables[at + 2]!;
        if (op === StdOp.read) {
          if (isRace) this.#racyRead(this.events + i, thread, operand, locations[i]!);
          else if (
            reader !== IN_VECTOR &&
            (reader === thread || words[known + reader]! >= variables[at + 3]!)
          ) {
            variables[at + 2] = thread;
            variables[at + 3] = clock;
            variables[at + 5] = locations[i]!;
          } else this.#alsoRead(thread, operand, locations[i]!);
          continue;
        }
        if (
          isRace ||
          (reader !== thread &&
            (reader === IN_VECTOR || words[known + reader]! < variables[at + 3]!))
        )
          this.#checkWrite(this.events + i, thread, operand, locations[i]!);
        if (writer !== thread || variables[at + 1] !== clock) {
          variables[at] = thread;
          variables[at + 1] = clock;
          if (reader === IN_VECTOR) this.#forgetReads(at);
        }
        variables[at + 4] = locations[i]!;
        continue;
      }
      this.synchronise(op, thread, operand, i);
      own = clocks.threads;
      words = clocks.words;
      strideLog2 = clocks.strideLog2;
    }
  }

  #racyRead(index: number, thread: number, variable: number, location: number): void {
    const at = variable << VARIABLE_LOG2;
    this.tally.event(index, thread, StdOp.read, variable, location);
    this.tally.against(StdOp.write, this.variables[at] ?? 0, this.variables[at + 4] ?? 0);
  }

  /** A read that does not replace the recorded one: both are kept. */
  #alsoRead(thread: number, variable: number, location: number): void {
    // hot loop
    const { variables, vectors } = this;
    const at = variable << VARIABLE_LOG2;
    if (variables[at + 2] !== IN_VECTOR) {
      const vector = vectors.take();
      vectors.set(vector, variables[at + 2]!, variables[at + 3]!, variables[at + 5]!);
      variables[at + 2] = IN_VECTOR;
      variables[at + 5] = vector;
    }
    vectors.set(variables[at + 5]!, thread, this.clocks.threads[2 * thread]!, location);
  }

  /** Tells every race of a write that may have one. */
  #checkWrite(index: number, thread: number, variable: number, location: number): void {
    // hot loop
    const { tally, variables, vectors, clocks } = this;
    const at = variable << VARIABLE_LOG2;
    const known = clocks.threads[2 * thread + 1]! << clocks.strideLog2;
    const writer = variables[at]!;
    if (writer !== thread && clocks.words[known + writer]! < variables[at + 1]!) {
      tally.event(index, thread, StdOp.write, variable, location);
      tally.against(StdOp.write, writer, variables[at + 4]!);
    }
    const reader = variables[at + 2]!;
    if (reader !== IN_VECTOR) {
      if (reader === thread || clocks.words[known + reader]! >= variables[at + 3]!) return;
      tally.event(index, thread, StdOp.write, variable, location);
      tally.against(StdOp.read, reader, variables[at + 5]!);
      return;
    }
    const { words, strideLog2 } = vectors;
    const reads = variables[at + 5]! << strideLog2;
    for (let other = 0; other < clocks.threadCount; other++) {
      if (other === thread || clocks.words[known + other]! >= words[reads + 2 * other]!) continue;
      tally.event(index, thread, StdOp.write, variable, location);
      tally.against(StdOp.read, other, words[reads + 2 * other + 1]!);
    }
  }

  #forgetReads(at: number): void {
    this.vectors.drop(this.variables[at + 5] ?? 0);
    this.variables[at + 2] = 0;
    this.variables[at + 3] = 0;
  }
}
