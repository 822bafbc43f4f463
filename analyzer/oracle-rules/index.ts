// The oracles of the rules about interleaving, lifetimes and wake-ups, one a file, each quadratic and told from the events
// alone: for tests.

import type { EventBatch } from "#core/probe";
import { type Event, eventsOf } from "../oracle-kinds.ts";
import { interleavedOperations } from "./interleaved-operations.ts";
import { lostWakeup } from "./lost-wakeup.ts";
import { pollNotAllowed } from "./poll-not-allowed.ts";
import { requestInDrainedSection } from "./request-in-drained-section.ts";
import { stalePointer } from "./stale-pointer.ts";
import { useAfterFree } from "./use-after-free.ts";
import { linesOf, type Violation } from "./violation.ts";

const ORACLES: Readonly<Record<string, (events: readonly Event[]) => Violation[]>> = {
  "use-after-free": useAfterFree,
  "interleaved-operations": interleavedOperations,
  "stale-pointer": stalePointer,
  "lost-wakeup": lostWakeup,
  "poll-not-allowed": pollNotAllowed,
  "request-in-drained-section": requestInDrainedSection,
};

/** Rules that have an oracle here. */
export const ORACLE_RULES: readonly string[] = Object.keys(ORACLES);

/** What each of these rules finds in `batches`, as lines; comparable with those of test-support/compare-rules.ts. */
export function ruleOracle(batches: readonly EventBatch[]): string[] {
  const events = batches.flatMap(eventsOf);
  return Object.values(ORACLES)
    .flatMap((oracle) => linesOf(oracle(events)))
    .sort();
}
