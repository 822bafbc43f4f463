// Looking backwards in a list of events.

import type { Event } from "../oracle-kinds.ts";

/** The last event before `at` that `matches`; -1 for none. */
export function lastBefore(
  events: readonly Event[],
  at: number,
  matches: (event: Event, at: number) => boolean,
): number {
  return events.findLastIndex((event, i) => i < at && matches(event, i));
}

/** The first event after `at` that `matches`; -1 for none. */
export function firstAfter(
  events: readonly Event[],
  at: number,
  matches: (event: Event, at: number) => boolean,
): number {
  return events.findIndex((event, i) => i > at && matches(event, i));
}
