// A run in which nothing can ever run again, by brute force: each frame that waits is matched with its section, what the section
// waits for, and who holds that; then every path through the contexts is tried.

import { Ev, Status } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { lastBefore } from "./search.ts";
import type { Violation } from "./violation.ts";

export function deadlock(events: readonly Event[]): Violation[] {
  return events.flatMap(({ kind, args }, at): Violation[] => {
    if (kind !== Ev.run_end || args[0] !== Status.deadlock) return [];
    const rules = hasCircle(waits(events)) ? ["deadlock", "contexts-wait-in-circle"] : ["deadlock"];
    return rules.map((rule) => ({ rule, key: "", at, said: "" }));
  });
}

/** Pairs of contexts of which the first waits for a request in the second. */
function waits(events: readonly Event[]): [from: number, to: number][] {
  const used = new Set<number>();
  return events.flatMap(({ kind, args }, at) => {
    if (kind !== Ev.stuck) return [];
    const [ctx, , site] = args;
    const section = sectionOf(events, at, { ctx, site }, used);
    if (section < 0) return [];
    const blk = awaited(events, at, section);
    if (blk === null) return [];
    used.add(section);
    return holdersOf(events, at, blk)
      .filter((to) => to !== ctx)
      .map((to): [number, number] => [ctx, to]);
  });
}

/** The newest section that `ctx` began at `site`, that is open and has not waited. */
function sectionOf(
  events: readonly Event[],
  at: number,
  by: { readonly ctx: number; readonly site: number },
  used: ReadonlySet<number>,
): number {
  const begin = lastBefore(events, at, ({ kind, ctx, args }) => {
    const [id, , , site] = args;
    if (kind !== Ev.drain_begin || ctx !== by.ctx || site !== by.site || used.has(id)) return false;
    const done: readonly number[] = [Ev.drain_poll_end, Ev.drain_end];
    return lastBefore(events, at, (e) => done.includes(e.kind) && e.args[0] === id) < 0;
  });
  return events[begin]?.args[0] ?? -1;
}

/** The BlockBackend whose counter the section read last as above zero: 0 when that was another one's counter, null for none. */
function awaited(events: readonly Event[], at: number, section: number): number | null {
  const reads: readonly number[] = [Ev.bs_in_flight_read, Ev.blk_in_flight_read, Ev.job_busy_read];
  const read = lastBefore(
    events,
    at,
    ({ kind, args }) => reads.includes(kind) && args[1] !== 0 && args[2] === section,
  );
  const event = events[read];
  if (event === undefined) return null;
  return event.kind === Ev.blk_in_flight_read ? event.args[0] : 0;
}

/** Contexts where the requests that hold the counter of `blk` ran last. */
function holdersOf(events: readonly Event[], at: number, blk: number): number[] {
  const past = events.slice(0, at);
  return [...new Set(past.map(({ task }) => task))].flatMap((task) => {
    const own = past.slice(
      1 + past.findLastIndex((e) => e.kind === Ev.task_end && e.args[0] === task),
    );
    const count = (kind: number): number =>
      own.filter((e) => e.kind === kind && e.task === task && e.args[0] === blk).length;
    const ran = past.findLast((e) => e.task === task);
    const holds = count(Ev.blk_in_flight_inc) > count(Ev.blk_in_flight_dec);
    return task !== 0 && blk !== 0 && holds && ran !== undefined ? [ran.ctx] : [];
  });
}

function hasCircle(pairs: readonly [number, number][]): boolean {
  const reaches = (from: number, to: number, seen: readonly number[]): boolean =>
    pairs.some(
      ([a, b]) => a === from && (b === to || (!seen.includes(b) && reaches(b, to, [...seen, b]))),
    );
  return pairs.some(([from]) => reaches(from, from, [from]));
}
