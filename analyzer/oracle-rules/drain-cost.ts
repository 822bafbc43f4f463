// What drains cost, by brute force: each section is looked at by itself, from its begin until it is over and has let everything go.

import { DRAIN_KINDS, Ev } from "#core/probe";
import { type Event, isEdit } from "../oracle-kinds.ts";
import { type Levels, levelsBefore } from "../oracle-state.ts";
import { firstAfter } from "./search.ts";
import type { Violation } from "./violation.ts";

const READS: readonly number[] = [Ev.bs_in_flight_read, Ev.blk_in_flight_read, Ev.job_busy_read];

/** The cost of one section. */
interface Cost {
  readonly site: number;
  readonly kind: number;
  readonly begin: number;
  isOver: boolean;
  busy: number;
  edits: number;
  stopped: number;
  stoppedEvents: number;
  stoppedNs: number;
  stoppedNsMax: number | null;
  requestsWaited: number;
  jobsPaused: number;
}

/** The rule: sites of which every section made nothing quiet. */
export function needlessDrain(events: readonly Event[]): Violation[] {
  const costs = costsOf(events);
  const isNeedless = (cost: Cost): boolean =>
    cost.isOver && cost.busy + cost.edits + cost.requestsWaited + cost.jobsPaused === 0;
  return costs
    .filter(({ site }) => costs.every((other) => other.site !== site || isNeedless(other)))
    .map(({ site, begin }) => ({ rule: "needless-drain", key: `${site}`, at: begin, said: "" }));
}

/** The table, a line a site; comparable with those of test-support/compare-protocol.ts. */
export function drainCosts(events: readonly Event[]): string[] {
  const costs = costsOf(events);
  return [...new Set(costs.map(({ site }) => site))]
    .map((site) => {
      const own = costs.filter((cost) => cost.site === site);
      const sum = (of: (cost: Cost) => number): number => own.reduce((a, cost) => a + of(cost), 0);
      const isNeedless = (cost: Cost): boolean =>
        cost.isOver && cost.busy + cost.edits + cost.requestsWaited + cost.jobsPaused === 0;
      return [
        `cost s${site} ${DRAIN_KINDS[own[0]?.kind ?? 0]}`,
        own.length,
        own.filter(isNeedless).length,
        sum(({ busy }) => busy),
        sum(({ edits }) => edits),
        sum(({ stopped }) => stopped),
        sum(({ stoppedEvents }) => stoppedEvents),
        sum(({ stoppedNs }) => stoppedNs),
        own.some(({ stoppedNsMax }) => stoppedNsMax === null)
          ? null
          : sum(({ stoppedNsMax }) => stoppedNsMax ?? 0),
        sum(({ requestsWaited }) => requestsWaited),
        sum(({ jobsPaused }) => jobsPaused),
      ].join(" ");
    })
    .sort();
}

function costsOf(events: readonly Event[]): Cost[] {
  const holdings = levelsBefore(events).map(stoppedBy);
  return events.flatMap(({ kind, args: [id] }, begin) => {
    if (kind !== Ev.drain_begin) return [];
    return [costOf(events, { id, begin, held: holdings.map((held) => held.get(id) ?? []) })];
  });
}

/** A section, with the BlockBackends and jobs that it holds before each event and after the last. */
interface Section {
  readonly id: number;
  readonly begin: number;
  readonly held: readonly (readonly string[])[];
}

function costOf(events: readonly Event[], section: Section): Cost {
  const { id, begin, held } = section;
  const [, , kind, site] = (events[begin] as Event).args;
  const ended = firstAfter(events, begin, (e) => e.kind === Ev.drain_end && e.args[0] === id);
  const end = ended < 0 ? events.length : ended;
  const over = firstAfter(events, begin, (_event, i) => i >= end && held[i + 1]?.length === 0);
  const until = over < 0 ? events.length : over;
  const cost: Cost = {
    site,
    kind,
    begin,
    isOver: over >= 0,
    busy: 0,
    edits: 0,
    stopped: 0,
    stoppedEvents: 0,
    stoppedNs: 0,
    stoppedNsMax: 0,
    requestsWaited: 0,
    jobsPaused: 0,
  };
  for (let at = begin + 1; at <= until && at < events.length; at++) {
    const event = events[at] as Event;
    const { args } = event;
    const now = held[at] as readonly string[];
    if (READS.includes(event.kind) && args[1] !== 0 && args[2] === id) cost.busy++;
    const isMove = isEdit(event.kind) || event.kind === Ev.bs_ctx || event.kind === Ev.blk_ctx;
    if (event.ctx === 0 && at < end && isMove) cost.edits++;
    if (event.kind === Ev.req_queued && now.includes(`b${args[0]}`)) cost.requestsWaited++;
    if (event.kind === Ev.job_gate_read && args[1] !== 0 && now.includes(`j${args[0]}`))
      cost.jobsPaused++;
  }
  addStops(events, section, cost);
  return cost;
}

/** What section `id` has stopped: from the first level to the last, of each BlockBackend and job. */
function addStops(events: readonly Event[], { begin, held }: Section, cost: Cost): void {
  const since = new Map<string, number>();
  for (let at = begin + 1; at < events.length; at++) {
    const before = held[at] as readonly string[];
    const after = held[at + 1] as readonly string[];
    for (const object of after.filter((one) => !before.includes(one))) {
      since.set(object, at);
      cost.stopped++;
    }
    for (const object of before.filter((one) => !after.includes(one))) {
      const from = since.get(object) ?? begin;
      cost.stoppedEvents += at - from;
      const readings = clockReadings(events);
      const inside = readings.filter(({ index }) => index > from && index < at);
      cost.stoppedNs += (inside.at(-1)?.ns ?? 0) - (inside[0]?.ns ?? 0);
      const before = readings.findLast(({ index }) => index < from)?.ns ?? 0;
      const after = readings.find(({ index }) => index > at);
      if (after === undefined) cost.stoppedNsMax = null;
      else if (cost.stoppedNsMax !== null) cost.stoppedNsMax += after.ns - before;
    }
  }
}

/** BlockBackends and jobs that are held, by section. */
function stoppedBy(levels: Levels): Map<number, string[]> {
  const held = new Map<number, string[]>();
  for (const [key, count] of levels) {
    const [object = "", section] = key.split(" ");
    if (count <= 0 || object.startsWith("n")) continue;
    held.set(Number(section), [...(held.get(Number(section)) ?? []), object]);
  }
  return held;
}

function clockReadings(events: readonly Event[]): { index: number; ns: number }[] {
  return events.flatMap(({ kind, wide }, index) =>
    kind === Ev.clock_read ? [{ index, ns: wide }] : [],
  );
}
