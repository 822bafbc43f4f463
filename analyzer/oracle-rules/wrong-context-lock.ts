// AioContext locks that were not held, by brute force: each raise of a node's counter, and each release, is asked who held the lock.

import { Ev, LockKindOf } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { hasLocks, holderOf, homeOf, mayUse } from "./homes.ts";
import { lastBefore } from "./search.ts";
import type { Violation } from "./violation.ts";

export function wrongContextLock(events: readonly Event[]): Violation[] {
  return events.flatMap((event, at): Violation[] => {
    const { kind, ctx, task, args } = event;
    const [id, what] = args;
    if (!hasLocks(events, at)) return [];
    if (kind === Ev.lock_release && what === LockKindOf.aio_context) {
      if (holderOf(events, at, id) === ctx) return [];
      return [{ rule: "wrong-context-lock", key: `release ${id} ${ctx}`, at, said: "" }];
    }
    if (kind !== Ev.bs_in_flight_inc) return [];
    if (mayUse(events, at, ctx, homeOf(events, at, `n${id}`))) return [];
    const key = `request ${id} ${ctx} ${typeOf(events, at, task)}`;
    return [{ rule: "wrong-context-lock", key, at, said: "" }];
  });
}

/** What kind of request `task` is, 0 where it was not said since it began. */
function typeOf(events: readonly Event[], at: number, task: number): number {
  if (task === 0) return 0;
  const said = lastBefore(events, at, (e) => e.kind === Ev.req_begin && e.task === task);
  const over = lastBefore(events, at, (e) => e.kind === Ev.task_end && e.args[0] === task);
  return said > over ? (events[said]?.args[1] ?? 0) : 0;
}
