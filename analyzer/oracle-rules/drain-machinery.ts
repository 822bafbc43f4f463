// Which events happen inside drained_begin or drained_end of their own call stack.

import { Ev } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { whereOf } from "./stacks.ts";

/** For each event, whether it does. */
export function drainMachinery(events: readonly Event[]): boolean[] {
  const where = whereOf(events);
  /** Calls under way: section to activity. */
  const calls = new Map<number, string>();
  return events.map(({ kind, args }, at) => {
    const activity = where[at]?.activity ?? "";
    if (kind === Ev.drain_begin || kind === Ev.drain_end) calls.set(args[0], activity);
    if (kind === Ev.drain_begun || kind === Ev.drain_ended) calls.delete(args[0]);
    return [...calls.values()].includes(activity);
  });
}
