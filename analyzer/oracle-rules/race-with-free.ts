// Uses that nothing orders before a free, by brute force: each free is held against every access of the object's lists since the last
// edit of the list, and reachability says whether one leads to it.

import { Ev, List } from "#core/probe";
import { Oracle } from "../oracle.ts";
import { type Event, isEdit, isRead } from "../oracle-kinds.ts";
import { ownerWord } from "../oracle-state.ts";
import { lastBefore } from "./search.ts";
import { whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

const FREES = new Map<number, string>([
  [Ev.bs_free, "n"],
  [Ev.blk_free, "b"],
  [Ev.edge_free, "e"],
]);
const BIRTHS = new Map<number, string>([
  [Ev.bs_new, "n"],
  [Ev.blk_new, "b"],
  [Ev.edge_new, "e"],
]);
const LISTS = [
  List.children,
  List.parents,
  List.file,
  List.backing,
  List.edge_bs,
  List.blk_root,
] as const;

export function raceWithFree(events: readonly Event[]): Violation[] {
  const order = new Oracle(events, new Set(), "thread");
  const where = whereOf(events);
  return events.flatMap(({ kind, ctx, args: [id] }, free) => {
    const letter = FREES.get(kind);
    if (letter === undefined) return [];
    const object = `${letter}${id}`;
    const uses = LISTS.filter((list) => ownerWord(list, id) === object).flatMap((list) =>
      usesSince(events, { list, owner: id, from: bornAt(events, free, object), to: free }),
    );
    return uses
      .filter((use) => !(events[use]?.ctx === 0 && ctx === 0) && !order.isBefore(use, free))
      .map((use) => {
        const { kind: how, args } = events[use] as Event;
        const side = isEdit(how) ? `edit ${args[3]}` : `read ${args[2]}`;
        const key = `${args[0]} ${side} ${where[use]?.frames.join("/")} > ${where[free]?.frames.join("/")}`;
        return { rule: "race-with-free", key, at: free, said: "" };
      });
  });
}

/** The last edit of a list in a span of events, and what reads it after that. */
function usesSince(
  events: readonly Event[],
  span: {
    readonly list: number;
    readonly owner: number;
    readonly from: number;
    readonly to: number;
  },
): number[] {
  const accesses = events.flatMap(({ kind, args }, at) => {
    const isOf = args[0] === span.list && args[1] === span.owner;
    return isOf && at > span.from && at < span.to && (isRead(kind) || isEdit(kind)) ? [at] : [];
  });
  const edit = accesses.findLastIndex((at) => isEdit(events[at]?.kind ?? 0));
  return accesses.slice(Math.max(edit, 0));
}

/** Where the life of `object` began that ends with the free; the free itself where it had been freed before. */
function bornAt(events: readonly Event[], free: number, object: string): number {
  const isOne = (kinds: ReadonlyMap<number, string>) => (event: Event) =>
    `${kinds.get(event.kind)}${event.args[0]}` === object;
  const before = lastBefore(events, free, isOne(FREES));
  if (before < 0) return -1;
  const born = events.findIndex((event, at) => at > before && isOne(BIRTHS)(event));
  return born < 0 || born > free ? free : born;
}
