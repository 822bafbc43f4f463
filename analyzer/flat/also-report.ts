// What the lock discipline and conflict-serialisability say of a foreign trace, in words and as JSON.

import type { AbstractNames } from "#traces/std";
import { counted, grouped } from "../reports/words.ts";
import type { AtomicityResult } from "./atomicity.ts";
import type { LockSetResult } from "./lockset.ts";

/** Blocks that are named; the rest are counted. */
const BLOCKS_SHOWN = 20;

/** One or two sentences; ends with a newline. */
export function lockSetText(result: LockSetResult): string {
  const { racyEvents, racyLocations, racyVariables, firstRacyEvent } = result;
  if (firstRacyEvent === null)
    return "Lock discipline: every variable has a lock, a thread, or only readers.\n";
  return `Lock discipline: ${counted(racyEvents, "access", "accesses")} at ${counted(racyLocations, "location")}, on ${counted(racyVariables, "variable")}, without a lock that all accesses so far had in common; the first is event ${firstRacyEvent}. Hand-overs without a lock count here, too.\n`;
}

/** A line for each block that is not atomic; ends with a newline. */
export function atomicityText({ violations }: AtomicityResult, names: AbstractNames): string {
  if (violations.length === 0) return "Atomicity: all blocks could have run one after the other.\n";
  const rows = violations
    .slice(0, BLOCKS_SHOWN)
    .map(
      ({ event, thread, begin }) =>
        `  ${names.threads.name(thread)}, from event ${grouped(begin)}: in no order of whole blocks, as event ${grouped(event)} shows\n`,
    );
  const more = violations.length - rows.length;
  const moreText = more > 0 ? `  and ${counted(more, "more block")}, which --json lists\n` : "";
  return `Atomicity: blocks that were interrupted by what they depend on:\n${rows.join("")}${moreText}`;
}

/** The violations with the names of threads. */
export function atomicityJson({ violations }: AtomicityResult, names: AbstractNames): object {
  return {
    violations: violations.map(({ event, thread, begin }) => {
      return { event, begin, thread: names.threads.name(thread) };
    }),
  };
}
