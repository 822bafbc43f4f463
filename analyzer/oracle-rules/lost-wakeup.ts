// Lost wake-ups by brute force: each counter that reaches zero outside of main is held against every wait of main, and what its
// call stack does next.

import { Ev } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

const READS = new Map<number, string>([
  [Ev.bs_in_flight_read, "node"],
  [Ev.blk_in_flight_read, "blk"],
  [Ev.job_busy_read, "job"],
]);
const STORES = new Map<number, string>([
  [Ev.bs_in_flight_dec, "node"],
  [Ev.blk_in_flight_dec, "blk"],
  [Ev.job_busy, "job"],
]);

export function lostWakeup(events: readonly Event[]): Violation[] {
  const where = whereOf(events);
  const activityAt = (at: number): string => where[at]?.activity ?? "";
  const violations: Violation[] = [];
  events.forEach(({ kind, ctx, args }, at) => {
    if (kind === Ev.wait_lost)
      violations.push({ rule: "lost-wakeup", key: `${args[1]} lost`, at, said: "" });
    const counter = STORES.get(kind);
    if (counter === undefined || ctx === 0 || args[1] !== 0) return;
    const stop = stopAfter(events, activityAt, at);
    if (stop < 0) return;
    for (const wait of waitsAt(events, activityAt, at, `${counter} ${args[0]}`)) {
      const id = events[wait]?.args[0];
      const ends = events.findIndex(
        (one, i) => i > at && one.ctx === 0 && one.kind === Ev.wait_end && one.args[0] === id,
      );
      if (ends >= 0 && ends < stop) continue;
      violations.push({
        rule: "lost-wakeup",
        key: `${events[wait]?.args[2]} ${counter}`,
        at,
        said: "",
      });
    }
  });
  return violations;
}

/** Where the coroutine or handler that stored at `store` stops, if it does so without a kick; -1 otherwise. */
function stopAfter(
  events: readonly Event[],
  activityAt: (at: number) => string,
  store: number,
): number {
  const ctx = events[store]?.ctx;
  const activity = activityAt(store);
  const others: readonly number[] = [Ev.bh_run, Ev.bh_done, Ev.fd_run, Ev.io_done, Ev.timer_run];
  for (let at = store + 1; at < events.length; at++) {
    const { kind, ctx: there, args } = events[at] as Event;
    if (there !== ctx) continue;
    if (kind === Ev.kick) return -1;
    const leaves = kind === Ev.co_yield || kind === Ev.co_terminate;
    if (activity.startsWith("co") ? leaves && activity === `co ${args[0]}` : others.includes(kind))
      return at;
  }
  return -1;
}

/** Waits of main under way at `at` whose latest finished look, if it found them busy, had read `counter` as non-zero. */
function waitsAt(
  events: readonly Event[],
  activityAt: (at: number) => string,
  at: number,
  counter: string,
): number[] {
  return events.flatMap((begin, wait) => {
    if (wait > at || begin.ctx !== 0 || begin.kind !== Ev.wait_begin) return [];
    let looking = false;
    let awaited = false;
    for (let i = wait + 1; i < at; i++) {
      const { kind, ctx, args } = events[i] as Event;
      if (ctx !== 0) continue;
      if (kind === Ev.wait_end && args[0] === begin.args[0]) return [];
      if (kind === Ev.wait_check && args[0] === begin.args[0]) {
        awaited = looking && args[1] !== 0;
        looking = false;
      }
      const reads = READS.get(kind);
      if (reads === undefined || args[1] === 0 || `${reads} ${args[0]}` !== counter) continue;
      if (innermost(events, activityAt, i) === wait) looking = true;
    }
    return awaited ? [wait] : [];
  });
}

/** The innermost wait of the call stack of event `at`. */
function innermost(
  events: readonly Event[],
  activityAt: (at: number) => string,
  at: number,
): number {
  const open: number[] = [];
  for (let i = 0; i < at; i++) {
    const { kind, ctx, args } = events[i] as Event;
    if (ctx !== 0) continue;
    if (kind === Ev.wait_begin && activityAt(i) === activityAt(at)) open.push(i);
    const ended = open.findIndex((wait) => events[wait]?.args[0] === args[0]);
    if (kind === Ev.wait_end && ended >= 0) open.splice(ended, 1);
  }
  return open.at(-1) ?? -1;
}
