// Edits in the middle of an iteration, by brute force: each edit is held against every loop over its list that has begun and not
// ended.

import { Ev } from "#core/probe";
import { type Event, isEdit } from "../oracle-kinds.ts";
import { type Where, whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

export function editInIteration(events: readonly Event[]): Violation[] {
  const where = whereOf(events);
  return events.flatMap(({ kind, args }, at) => {
    if (!isEdit(kind)) return [];
    const [list, owner, , site] = args;
    return openLoops(events, where, at)
      .filter((loop) => {
        const [ownList, ownOwner] = (events[loop] as Event).args;
        return (
          ownList === list && ownOwner === owner && where[loop]?.activity !== where[at]?.activity
        );
      })
      .map((loop) => ({
        rule: "edit-in-iteration",
        key: `${list} ${events[loop]?.args[2]} ${site} ${where[at]?.frames.join("/")}`,
        at,
        said: `read@${loop} edit@${at}`,
      }));
  });
}

/** Loops under way at `at`: each end ends the latest one of its call stack, list and site. */
function openLoops(events: readonly Event[], where: readonly Where[], at: number): number[] {
  const open: number[] = [];
  for (let i = 0; i < at; i++) {
    const { kind, args } = events[i] as Event;
    if (kind === Ev.iter_begin) open.push(i);
    if (kind !== Ev.iter_end) continue;
    const begun = open.findLastIndex(
      (loop) =>
        where[loop]?.activity === where[i]?.activity &&
        [0, 1, 2].every((slot) => events[loop]?.args[slot] === args[slot]),
    );
    if (begun >= 0) open.splice(begun, 1);
  }
  return open;
}
