// The drain ledger by brute force: the begins, ends and levels of each section are counted.

import { Ev, Status } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { type Levels, levelsBefore } from "../oracle-state.ts";
import { lastBefore } from "./search.ts";
import type { Violation } from "./violation.ts";

export function ledger(events: readonly Event[]): Violation[] {
  const levels = levelsBefore(events);
  const end = events.findLast(({ kind }) => kind === Ev.run_end);
  const endedWell = end?.args[0] === Status.ok;
  const ids = new Set(
    events
      .filter(({ kind }) => kind === Ev.drain_begin || kind === Ev.drain_end)
      .map(({ args }) => args[0]),
  );
  return [...ids].flatMap((id) => [
    ...tooManyEnds(events, id),
    ...(endedWell ? debts(events, levels, id) : []),
  ]);
}

/** What section `id` owes when the run has ended well: its end, or levels. */
function debts(events: readonly Event[], levels: readonly Levels[], id: number): Violation[] {
  const begin = events.findIndex(is(Ev.drain_begin, id));
  const said = { key: `${begin < 0 ? 0 : events[begin]?.args[3]}`, said: "" };
  if (!events.some(is(Ev.drain_end, id)))
    return begin < 0 ? [] : [{ rule: "unfinished-drain", ...said, at: begin }];
  const ended = events.findLastIndex(is(Ev.drain_ended, id));
  const left = heldBy(levels.at(-1) as Levels, id) > 0 && ended >= 0;
  if (!left) return [];
  const isTwice = events.filter(is(Ev.drain_end, id)).length > 1;
  const at = begin < 0 || isTwice ? events.length - 1 : begin;
  return [{ rule: "leaked-level", ...said, at }];
}

/** Ends of section `id` that have no begin, in a trace that begins with the run. */
function tooManyEnds(events: readonly Event[], id: number): Violation[] {
  if (events[0]?.kind !== Ev.ctx_new) return [];
  return events.flatMap((event, at) => {
    if (!is(Ev.drain_end, id)(event)) return [];
    const begin = lastBefore(events, at, is(Ev.drain_begin, id));
    const isFirst = lastBefore(events, at, is(Ev.drain_end, id)) < Math.max(begin, 0);
    if (begin >= 0 && isFirst) return [];
    return [{ rule: "end-without-begin", key: `${event.args[1]}`, at, said: "" }];
  });
}

function heldBy(levels: Levels, id: number): number {
  let sum = 0;
  for (const [key, count] of levels) if (key.endsWith(` ${id}`)) sum += Math.max(0, count);
  return sum;
}

function is(kind: number, id: number): (event: Event) => boolean {
  return (event) => event.kind === kind && event.args[0] === id;
}
