// Call stacks of accesses. A trace has none (a probe records the number of its site); whoever can run the recording again
// captures them at the events that a report asks for, and passes them on. Without them a report has the sites alone.

import type { Finding } from "../findings.ts";

/** One function that was running; innermost first. */
export interface StackFrame {
  readonly function: string;
  /** Relative to the root of the source. */
  readonly file: string;
  readonly line: number;
}

/** The stack at each event that was asked for and reached. */
export type Stacks = ReadonlyMap<number, readonly StackFrame[]>;

/** Findings whose stacks are captured: as many as have pictures. */
const FINDINGS_MAX = 60;

/** The events at which stacks are wanted, ascending. */
export function stackEvents(findings: readonly Finding[]): number[] {
  const events = findings
    .slice(0, FINDINGS_MAX)
    .flatMap(({ accesses }) => accesses.map(({ event }) => event));
  return [...new Set(events)].sort((a, b) => a - b);
}

/** `bdrvCoFlush (core/io/flush.ts:61)`. */
export function frameText({ function: name, file, line }: StackFrame): string {
  return `${name} (${file}:${line})`;
}
