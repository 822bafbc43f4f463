// The rules about single edits by brute force: for each edit of `children` or `parents` by main, every section that holds levels of
// the node is asked who opened it, and whether it has waited and not ended.

import { Ev, List } from "#core/probe";
import { type Event, isEdit } from "../oracle-kinds.ts";
import { hiddenBefore, holdersOf, type Levels, levelsBefore, ownerWord } from "../oracle-state.ts";
import { lastBefore } from "./search.ts";
import { type Where, whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

export function editRules(events: readonly Event[]): Violation[] {
  const where = whereOf(events);
  const levels = levelsBefore(events);
  const hidden = hiddenBefore(events);
  return events.flatMap((event, at): Violation[] => {
    const { kind, ctx, args } = event;
    if (!isEdit(kind)) return [];
    const [list, owner, , site] = args;
    const violation = (rule: string, why: string): Violation[] => {
      const chain = where[at]?.frames.join("/");
      return [{ rule, key: `${list} ${site} ${chain} ${why}`, at, said: `edit@${at}` }];
    };
    if (ctx !== 0) return violation("edit-off-main", "");
    const isList = list === List.children || list === List.parents;
    if (kind === Ev.list_set || !isList || hidden[at]?.has(ownerWord(list, owner)) === true)
      return [];
    const holders = holdersOf(levels[at] as Levels, `n${owner}`);
    const own = holders.filter((id) => isOpen(events, at, id) && isOwn(events, where, at, id));
    if (own.length > 0) {
      const hasWaited = own.some((id) => lastBefore(events, at, is(Ev.drain_poll_end, id)) >= 0);
      return hasWaited ? [] : violation("edit-before-poll-end", "");
    }
    const why =
      lapse(events, where, levels, at) ??
      (holders.length > 0
        ? "foreign"
        : openIds(events, at).some((id) => isOwn(events, where, at, id))
          ? "other node"
          : "none");
    return violation("edit-outside-drain", why);
  });
}

function is(kind: number, id: number): (event: Event) => boolean {
  return (event) => event.kind === kind && event.args[0] === id;
}

function isOpen(events: readonly Event[], at: number, id: number): boolean {
  const begin = lastBefore(events, at, is(Ev.drain_begin, id));
  return lastBefore(events, at, is(Ev.drain_end, id)) < Math.max(begin, 0);
}

function openIds(events: readonly Event[], at: number): number[] {
  return events
    .slice(0, at)
    .filter(({ kind }) => kind === Ev.drain_begin)
    .map(({ args }) => args[0])
    .filter((id) => isOpen(events, at, id));
}

/** Main began the section in the call stack of event `at`, within its outermost operation or before that. */
function isOwn(events: readonly Event[], where: readonly Where[], at: number, id: number): boolean {
  const begin = lastBefore(events, at, is(Ev.drain_begin, id));
  if (begin < 0 || events[begin]?.ctx !== 0) return false;
  if (where[begin]?.activity !== where[at]?.activity) return false;
  const outermost = where[begin]?.outermost ?? -1;
  return outermost < 0 || outermost === where[at]?.outermost;
}

/** How the latest own section that let the node go, since the outermost operation began, did so. */
function lapse(
  events: readonly Event[],
  where: readonly Where[],
  levels: readonly Levels[],
  at: number,
): string | null {
  const object = `n${events[at]?.args[1]}`;
  const since = where[at]?.outermost ?? -1;
  for (let i = at - 1; i > Math.max(since, 0); i--) {
    const before = holdersOf(levels[i] as Levels, object);
    const after = holdersOf(levels[i + 1] as Levels, object);
    const gone = before.find((id) => !after.includes(id));
    if (gone === undefined || !isOwn(events, where, at, gone)) continue;
    return lastBefore(events, at, is(Ev.drain_end, gone)) >= 0 ? "ended" : "let go";
  }
  return null;
}
