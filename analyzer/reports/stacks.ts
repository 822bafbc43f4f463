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
  const events = findings.slice(0, FINDINGS_MAX).flatMap((finding) => {
    const moment = momentOf(finding);
    const accesses = finding.accesses.map(({ event }) => event);
    return moment === null ? accesses : [...accesses, moment];
  });
  return [...new Set(events)].sort((a, b) => a - b);
}

/**
 * The event at which a finding shows that is none of its accesses: the counter that goes below zero, the lock that closes a
 * circle, the use of a pointer that had gone stale before. Null where an access is the last of it.
 */
export function momentOf({ accesses, first }: Pick<Finding, "accesses" | "first">): number | null {
  return accesses.some(({ event }) => event >= first) ? null : first;
}

/** `bdrvCoFlush (core/io/flush.ts:61)`. */
export function frameText({ function: name, file, line }: StackFrame): string {
  return `${name} (${file}:${line})`;
}
