// Sleeps of jobs that a drain cut short, by brute force: each end of a sleep is asked which section paused the job last since the
// sleep began.

import { Ev } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { lastBefore } from "./search.ts";
import type { Violation } from "./violation.ts";

export function jobSleep(events: readonly Event[]): Violation[] {
  return events.flatMap(({ kind, args, wide }, at): Violation[] => {
    const [job, cancelled] = args;
    if (kind !== Ev.job_sleep_end || cancelled !== 0 || wide <= 0) return [];
    const of = (kinds: readonly number[]) => (e: Event) =>
      kinds.includes(e.kind) && e.args[0] === job;
    const from = lastBefore(events, at, of([Ev.job_sleep, Ev.job_sleep_end, Ev.job_free]));
    if (events[from]?.kind !== Ev.job_sleep) return [];
    const pause = lastBefore(
      events,
      at,
      (e) => e.kind === Ev.job_pause && e.args[0] === job && e.args[2] !== 0,
    );
    if (pause < from) return [];
    const section = events[pause]?.args[2];
    const begin = events.find((e) => e.kind === Ev.drain_begin && e.args[0] === section);
    const key = `${job} ${begin?.args[3] ?? 0}`;
    return [{ rule: "job-sleep-cut-short", key, at, said: "" }];
  });
}
