// Requests that begin inside a drained section, by brute force: each raise off the main context is held against every section
// that holds the node.

import { Ev } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import type { Violation } from "./violation.ts";

export function requestInDrainedSection(events: readonly Event[]): Violation[] {
  return events.flatMap(({ kind, ctx, task, args }, at) => {
    if (kind !== Ev.bs_in_flight_inc || ctx === 0 || task === 0) return [];
    const begin = last(events, at, (e) => e.kind === Ev.task_begin && e.task === task);
    const section = holders(events, at, args[0]).find((id) => isQuiet(events, at, id, begin));
    if (section === undefined) return [];
    const said = last(events, at, (e) => e.kind === Ev.req_begin && e.task === task);
    const type = said < 0 ? 0 : events[said]?.args[1];
    const from = events.find((e) => e.kind === Ev.drain_begin && e.args[0] === section);
    return [{ rule: "request-in-drained-section", key: `${type} ${from?.args[3]}`, at, said: "" }];
  });
}

/** Sections that hold levels of `node` before event `at`, in the order in which they came to it. */
function holders(events: readonly Event[], at: number, node: number): number[] {
  const levels = new Map<number, number>();
  for (const { kind, args } of events.slice(0, at)) {
    if (args[0] !== node) continue;
    const [, , section] = args;
    if (kind === Ev.bs_free) levels.clear();
    if (kind === Ev.bs_quiesce) levels.set(section, (levels.get(section) ?? 0) + 1);
    if (kind !== Ev.bs_unquiesce || !levels.has(section)) continue;
    levels.set(section, (levels.get(section) ?? 0) - 1);
    if (levels.get(section) === 0) levels.delete(section);
  }
  return [...levels.keys()];
}

/** Whether `section` had waited before event `begin`, and has not ended before `at`. */
function isQuiet(events: readonly Event[], at: number, section: number, begin: number): boolean {
  const of = (kind: number) => (e: Event) => e.kind === kind && e.args[0] === section;
  const waited = events.findIndex(of(Ev.drain_poll_end));
  return waited >= 0 && waited < begin && last(events, at, of(Ev.drain_end)) < 0;
}

function last(events: readonly Event[], at: number, matches: (event: Event) => boolean): number {
  return events.findLastIndex((event, i) => i < at && matches(event));
}
