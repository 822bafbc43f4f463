// RAPID's text form of a trace (STD), written block by block.

import {
  type AbstractBlock,
  type AbstractNames,
  type NameTable,
  STD_WORDS,
  StdOp,
} from "./abstract-trace.ts";

const ENCODER = new TextEncoder();

/** The lines of the events of `block`, whose names are in `names`. */
export function stdLines(
  { ops, threads, operands, locations, count }: AbstractBlock,
  names: AbstractNames,
): Uint8Array {
  const lines: string[] = [];
  for (let i = 0; i < count; i++) {
    const op = ops[i] ?? 0;
    const operand = operandsOf(op, names)?.name(operands[i] ?? 0);
    const what = operand === undefined ? STD_WORDS[op] : `${STD_WORDS[op]}(${operand})`;
    lines.push(`${names.threads.name(threads[i] ?? 0)}|${what}|${locations[i]}\n`);
  }
  return ENCODER.encode(lines.join(""));
}

/** Which names the operands of `op` number; null when it has none. */
export function operandsOf(op: number, names: AbstractNames): NameTable | null {
  switch (op) {
    case StdOp.read:
    case StdOp.write:
      return names.variables;
    case StdOp.acquire:
    case StdOp.release:
      return names.locks;
    case StdOp.fork:
    case StdOp.join:
      return names.threads;
    default:
      return null;
  }
}
