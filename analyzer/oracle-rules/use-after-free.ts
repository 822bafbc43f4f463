// Use after free by brute force: each event that names an object is held against the last event that freed or made it.

import { Ev, List } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

const FREED = { node: Ev.bs_free, blk: Ev.blk_free, edge: Ev.edge_free } as const;
const MADE = { node: Ev.bs_new, blk: Ev.blk_new, edge: Ev.edge_new } as const;

type Kind = keyof typeof FREED;

export function useAfterFree(events: readonly Event[]): Violation[] {
  const where = whereOf(events);
  const isGone = (kind: Kind, id: number, at: number): boolean => {
    const last = events.findLastIndex(
      (event, i) =>
        i < at && (event.kind === FREED[kind] || event.kind === MADE[kind]) && event.args[0] === id,
    );
    return last >= 0 && events[last]?.kind === FREED[kind];
  };
  return events.flatMap((event, at) =>
    named(event)
      .filter(({ kind, id }) => isGone(kind, id, at))
      .map(({ kind }) => {
        const list = isOfList(event.kind) ? event.args[0] : 0;
        const site = list === 0 ? 0 : event.args[isEdit(event.kind) ? 3 : 2];
        return {
          rule: "use-after-free",
          key: `${kind} ${list} ${event.kind} ${site} ${where[at]?.frames.join("/")}`,
          at,
          said: list === 0 ? "" : `${isEdit(event.kind) ? "edit" : "read"}@${at}`,
        };
      }),
  );
}

function isEdit(kind: number): boolean {
  return kind === Ev.list_insert || kind === Ev.list_remove || kind === Ev.list_set;
}

function isOfList(kind: number): boolean {
  return isEdit(kind) || kind === Ev.list_read || kind === Ev.iter_begin;
}

/** The objects that an event uses. */
function named({ kind, args }: Event): { kind: Kind; id: number }[] {
  const [a, b, c] = args;
  if (kind === Ev.bs_ref || kind === Ev.bs_quiesce) return [{ kind: "node", id: a }];
  if (kind === Ev.blk_quiesce) return [{ kind: "blk", id: a }];
  if (!isOfList(kind)) return [];
  const owner: Kind = a === List.edge_bs ? "edge" : a === List.blk_root ? "blk" : "node";
  const found: { kind: Kind; id: number }[] = [{ kind: owner, id: b }];
  if (isEdit(kind) && c !== 0) found.push({ kind: a === List.edge_bs ? "node" : "edge", id: c });
  return found;
}
