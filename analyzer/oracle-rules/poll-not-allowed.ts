// Polls where none is allowed, by brute force: each poll is looked at for where it happens, and for the levels of drains that
// its call stack has under way.

import { Ev, Phase } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

const RAISES: readonly number[] = [Ev.bs_quiesce, Ev.blk_quiesce, Ev.job_pause];
const LOWERS: readonly number[] = [Ev.bs_unquiesce, Ev.blk_unquiesce, Ev.job_resume];

export function pollNotAllowed(events: readonly Event[]): Violation[] {
  const where = whereOf(events);
  const activityAt = (at: number): string => where[at]?.activity ?? "";
  const polls = events.map((_event, at) => isPoll(events, activityAt, at));
  const violations: Violation[] = [];
  const add = (place: string, at: number, poll: number, section: number): void => {
    const site = siteOf(events, activityAt, poll);
    const chain = where[at]?.frames.join("/");
    violations.push({
      rule: "poll-not-allowed",
      key: `${place} ${site} ${chain} ${section === 0 ? 0 : sectionSite(events, section)}`,
      at: poll,
      said: "",
    });
  };
  events.forEach((event, at) => {
    if (polls[at] === true) {
      if (activityAt(at).startsWith("co")) add("coroutine", at, at, 0);
      if (where[at]?.frames.some((frame) => frame.startsWith(`phase ${Phase.abort} `)))
        add("abort", at, at, 0);
    }
    const up = RAISES.includes(event.kind);
    if (!up && !LOWERS.includes(event.kind)) return;
    const poll = pollSinceLevel(events, activityAt, polls, { level: at, up });
    if (poll >= 0) add(up ? "begin" : "end", at, poll, event.args[2]);
  });
  return violations;
}

/** The first poll by the same call stack since the level before this one of the same drained_begin or _end; -1 for none. */
function pollSinceLevel(
  events: readonly Event[],
  activityAt: (at: number) => string,
  polls: readonly boolean[],
  { level, up }: { readonly level: number; readonly up: boolean },
): number {
  const section = events[level]?.args[2] ?? 0;
  const activity = activityAt(level);
  let call = -1;
  let poll = -1;
  for (let at = 0; at < level; at++) {
    const { kind, args } = events[at] as Event;
    if (activityAt(at) !== activity) continue;
    const isOwn = args[0] === section;
    if (isOwn && kind === (up ? Ev.drain_begin : Ev.drain_end)) [call, poll] = [at, -1];
    if (
      isOwn &&
      [Ev.drain_begun, Ev.drain_ended, up ? Ev.drain_poll_end : -1].includes(kind as never)
    )
      call = -1;
    if (call < 0) continue;
    if ((up ? RAISES : LOWERS).includes(kind) && args[2] === section && poll >= 0) poll = -1;
    else if (poll < 0 && polls[at] === true) poll = at;
  }
  return call < 0 ? -1 : poll;
}

/** A wait that has to poll, or a nested poll that is not the one of such a wait. */
function isPoll(events: readonly Event[], activityAt: (at: number) => string, at: number): boolean {
  const { kind, args } = events[at] as Event;
  if (kind === Ev.wait_check) return args[1] !== 0;
  if (kind !== Ev.poll_begin) return false;
  const kinds: readonly number[] = [Ev.wait_check, Ev.wait_end, Ev.poll_begin];
  const before = events.findLastIndex(
    (one, i) => i < at && kinds.includes(one.kind) && activityAt(i) === activityAt(at),
  );
  const last = events[before];
  return !(last?.kind === Ev.wait_check && last.args[1] !== 0);
}

/** The site of the innermost wait of the call stack that polls. */
function siteOf(
  events: readonly Event[],
  activityAt: (at: number) => string,
  poll: number,
): number {
  const sites: number[] = [];
  for (let at = 0; at <= poll; at++) {
    if (activityAt(at) !== activityAt(poll)) continue;
    const { kind, args } = events[at] as Event;
    if (kind === Ev.wait_begin) sites.push(args[2]);
    if (kind === Ev.wait_end) sites.pop();
  }
  return sites.at(-1) ?? 0;
}

function sectionSite(events: readonly Event[], section: number): number {
  return (
    events.find(({ kind, args }) => kind === Ev.drain_begin && args[0] === section)?.args[3] ?? 0
  );
}
