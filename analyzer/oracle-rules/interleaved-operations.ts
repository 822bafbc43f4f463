// Interleaved operations by brute force: the accesses of each operation are gathered, and for each two that nest in time, all
// pairs of accesses are tried.

import { Ev } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { drainMachinery } from "./drain-machinery.ts";
import { type Where, whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

interface Run {
  readonly activity: string;
  readonly name: string;
  readonly begin: number;
  /** Event of its end; the number of events where it has none. */
  end: number;
  readonly accesses: number[];
}

const BEGINS: readonly number[] = [Ev.graph_op_begin, Ev.tran_action_begin, Ev.completion_begin];
const ENDS: readonly number[] = [Ev.graph_op_end, Ev.tran_action_end, Ev.completion_end];

export function interleavedOperations(events: readonly Event[]): Violation[] {
  const where = whereOf(events);
  const runs = runsOf(events, where);
  const violations: Violation[] = [];
  // In the order in which they end; those that the trace does not see ending are judged last.
  const ended = runs.toSorted((a, b) => a.end - b.end);
  for (const outer of ended) {
    for (const inner of ended) {
      const isInside = inner.begin > outer.begin && inner.end < outer.end;
      if (!isInside || inner.activity === outer.activity || isPostedBy(events, where, inner, outer))
        continue;
      const [before, after] = conflicts(events, outer, inner);
      if (before === null || after === null) continue;
      const [own, other] = before;
      violations.push({
        rule: "interleaved-operations",
        key: `${outer.name} ${inner.name}`,
        at: Math.min(outer.end, events.length - 1),
        said: [own, other].map((at) => `${isEdit(events[at]) ? "edit" : "read"}@${at}`).join(" "),
      });
    }
  }
  return violations;
}

function runsOf(events: readonly Event[], where: readonly Where[]): Run[] {
  const machinery = drainMachinery(events);
  const runs: Run[] = [];
  const depths = new Map<string, number>();
  events.forEach((event, at) => {
    const { kind, ctx, args } = event;
    const activity = where[at]?.activity ?? "";
    if (ctx !== 0) return;
    const depth = depths.get(activity) ?? 0;
    const open = depth > 0 ? runs.findLast((run) => run.activity === activity) : undefined;
    if (BEGINS.includes(kind)) {
      depths.set(activity, depth + 1);
      const [a, b, c] = args;
      const name =
        kind === Ev.graph_op_begin
          ? `op ${a}`
          : kind === Ev.completion_begin
            ? `job ${b}`
            : `${b} ${c}`;
      if (depth === 0) runs.push({ activity, name, begin: at, end: events.length, accesses: [] });
    } else if (ENDS.includes(kind) && depth > 0) {
      depths.set(activity, depth - 1);
      if (depth === 1 && open !== undefined) open.end = at;
    } else if (open !== undefined && (kind === Ev.list_read || isEdit(event)) && !machinery[at]) {
      open.accesses.push(at);
    }
  });
  return runs;
}

/** Whether the bottom half in which `inner` runs was scheduled by `outer` itself. */
function isPostedBy(
  events: readonly Event[],
  where: readonly Where[],
  inner: Run,
  outer: Run,
): boolean {
  const run = Number(/^run (\d+)$/.exec(inner.activity)?.[1] ?? -1);
  const bh = events[run];
  if (bh?.kind !== Ev.bh_run) return false;
  const kinds: readonly number[] = [Ev.bh_schedule, Ev.bh_run];
  const last = events.findLastIndex(
    (one, at) =>
      at < run && one.ctx === 0 && kinds.includes(one.kind) && one.args[0] === bh.args[0],
  );
  if (events[last]?.kind !== Ev.bh_schedule || last < outer.begin || last > outer.end) return false;
  return where[last]?.activity === outer.activity;
}

/** The first access of `outer` before `inner` that conflicts, with that of `inner`; and the last one after it. */
function conflicts(
  events: readonly Event[],
  outer: Run,
  inner: Run,
): [[number, number] | null, number | null] {
  const same = (a: number, b: number): boolean =>
    events[a]?.args[0] === events[b]?.args[0] && events[a]?.args[1] === events[b]?.args[1];
  const edit = (at: number): boolean => isEdit(events[at]);
  const conflict = (own: number): boolean =>
    inner.accesses.some((at) => same(own, at) && (edit(own) || edit(at)));
  const looksAgain = (own: number): boolean =>
    !edit(own) && outer.accesses.some((at) => at > inner.end && same(own, at) && !edit(at));
  const before = outer.accesses.find((at) => at < inner.begin && conflict(at) && !looksAgain(at));
  const after = outer.accesses.findLast((at) => at > inner.end && conflict(at));
  if (before === undefined) return [null, after ?? null];
  const others = inner.accesses.filter((at) => same(before, at));
  return [[before, others.find(edit) ?? (others[0] as number)], after ?? null];
}

function isEdit(event: Event | undefined): boolean {
  const edits: readonly number[] = [Ev.list_insert, Ev.list_remove, Ev.list_set];
  return event !== undefined && edits.includes(event.kind);
}
