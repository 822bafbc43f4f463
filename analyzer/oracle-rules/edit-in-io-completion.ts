// Changes of the graph from a request's completion, by brute force: each operation that begins in main, and each edit outside of
// any, is asked which request is completing in its call stack, or runs there.

import { Ev } from "#core/probe";
import { type Event, isEdit } from "../oracle-kinds.ts";
import { lastBefore } from "./search.ts";
import { whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

export function editInIoCompletion(events: readonly Event[]): Violation[] {
  const where = whereOf(events);
  return events.flatMap(({ kind, ctx, task, args }, at): Violation[] => {
    const begins = kind === Ev.graph_op_begin;
    if (ctx !== 0 || (!begins && !isEdit(kind))) return [];
    if ((where[at]?.frames.length ?? 0) > (begins ? 1 : 0)) return [];
    const completed = lastBefore(
      events,
      at,
      (one, i) =>
        one.kind === Ev.req_end &&
        one.ctx === 0 &&
        one.task !== 0 &&
        where[i]?.activity === where[at]?.activity,
    );
    const completing = events[completed]?.task ?? 0;
    const isOver = events.slice(completed + 1, at).some((one) => isEndOf(one, completing));
    const [whose, when] = completing === 0 || isOver ? [task, at] : [completing, completed];
    if (whose === 0 || !isKnown(events, when, whose)) return [];
    const site = args[begins ? 0 : 3];
    return [{ rule: "edit-in-io-completion", key: `${site}`, at, said: "" }];
  });
}

function isEndOf({ kind, args }: Event, task: number): boolean {
  return kind === Ev.task_end && args[0] === task;
}

/** Whether it was said what `task` is a request for, since it began. */
function isKnown(events: readonly Event[], at: number, task: number): boolean {
  const ended = lastBefore(events, at, (one) => isEndOf(one, task));
  return lastBefore(events, at, (one) => one.kind === Ev.req_begin && one.task === task) > ended;
}
