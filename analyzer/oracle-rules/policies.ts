// What policies demand beyond the ordinary rules, by brute force. Each demand is a function of its own over the whole list of
// events; P1 has none.

import { Ev, List } from "#core/probe";
import { type Event, isEdit, isRead } from "../oracle-kinds.ts";
import {
  hiddenBefore,
  holdersOf,
  type Levels,
  levelsBefore,
  ownerWord,
  parentWord,
} from "../oracle-state.ts";
import type { PolicyId } from "../policies/policy.ts";
import { hasLocks, homeOf, mayUse } from "./homes.ts";
import { firstAfter, lastBefore } from "./search.ts";
import { type Where, whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

/** Events with what all demands ask about them. */
class Trace {
  readonly events: readonly Event[];
  readonly where: readonly Where[];
  readonly #hidden: readonly ReadonlySet<string>[];

  constructor(events: readonly Event[]) {
    this.events = events;
    this.where = whereOf(events);
    this.#hidden = hiddenBefore(events);
  }

  at(at: number): Event {
    return this.events[at] as Event;
  }

  activity(at: number): string {
    return this.where[at]?.activity ?? "";
  }

  /** Whether nobody but its creator can have seen `object` before event `at`. */
  isHidden(at: number, object: string): boolean {
    return this.#hidden[at]?.has(object) === true;
  }

  /** Events at which something is edited that others can have seen. */
  edits(): number[] {
    return this.events.flatMap(({ kind, args }, at) =>
      isEdit(kind) && !this.isHidden(at, ownerWord(args[0], args[1])) ? [at] : [],
    );
  }

  reads(): number[] {
    return this.events.flatMap(({ kind }, at) => (isRead(kind) ? [at] : []));
  }

  /** What makes two accesses the same place. */
  place(at: number): string {
    const { kind, ctx, args } = this.at(at);
    return `${args[0]} ${args[isEdit(kind) ? 3 : 2]} ${this.where[at]?.frames.join("/")} ${ctx}`;
  }

  read(rule: string, at: number): Violation {
    return { rule, key: this.place(at), at, said: `read@${at}` };
  }

  edit(rule: string, at: number): Violation {
    return { rule, key: this.place(at), at, said: `edit@${at}` };
  }

  /** The parent of `edge`, as a word; null where the trace does not tell. */
  parentOf(at: number, edge: number): string | null {
    const kinds: readonly number[] = [Ev.edge_new, Ev.edge_free];
    const said = lastBefore(this.events, at, (e) => kinds.includes(e.kind) && e.args[0] === edge);
    return this.events[said]?.kind === Ev.edge_new ? parentWord(this.at(said)) : null;
  }
}

// ---- P0 --------------------------------------------------------------------------------------------------------------

function contextLock(trace: Trace): Violation[] {
  const { events } = trace;
  if (!hasLocks(events, events.length)) return [];
  const isWrong = (at: number): boolean => {
    const { ctx, args } = trace.at(at);
    const owner = lockedBy(trace, at, args[0], args[1]);
    return !mayUse(events, at, ctx, owner === null ? null : homeOf(events, at, owner));
  };
  return [
    ...trace
      .reads()
      .filter((at) => trace.at(at).ctx !== 0 && isWrong(at))
      .map((at) => trace.read("read-without-context-lock", at)),
    ...trace
      .edits()
      .filter(isWrong)
      .map((at) => trace.edit("edit-without-context-lock", at)),
  ];
}

/** Whose home says under which lock a list is: of a job's edge that is the node that it points at. */
function lockedBy(trace: Trace, at: number, list: number, owner: number): string | null {
  if (list !== List.edge_bs) return ownerWord(list, owner);
  const parent = trace.parentOf(at, owner);
  if (parent === null || !parent.startsWith("j")) return parent;
  // An edit counts with what it points the edge at.
  const set = lastBefore(
    trace.events,
    at + 1,
    ({ kind, args }) => kind === Ev.list_set && args[0] === list && args[1] === owner,
  );
  const child = set < 0 ? 0 : trace.at(set).args[2];
  return child === 0 ? null : `n${child}`;
}

// ---- P2 --------------------------------------------------------------------------------------------------------------

function parentOnly(trace: Trace): Violation[] {
  const reads = trace
    .reads()
    .filter((at) => trace.at(at).ctx !== 0 && trace.at(at).args[0] === List.parents)
    .map((at) => trace.read("parents-read-off-main", at));
  return [...reads, ...notExclusive(trace)];
}

/** Each edit of main is held against every operation of another call stack that is under way, and against its own. */
function notExclusive(trace: Trace): Violation[] {
  const edits = trace.edits().filter((at) => trace.at(at).ctx === 0);
  const violations: Violation[] = [];
  const add = (earlier: number, at: number): void => {
    violations.push({
      rule: "edits-not-exclusive",
      key: `${trace.at(at).args[0]} ${sideOf(trace, earlier)} ${sideOf(trace, at)}`,
      at,
      said: `edit@${earlier} edit@${at}`,
    });
  };
  for (const [begin, end] of operationsOf(trace)) {
    const activity = trace.activity(begin);
    const during = edits.filter((at) => at > begin && at < end);
    const own = during.filter((at) => trace.activity(at) === activity);
    for (const at of during) {
      const ownBefore = own.findLast((one) => one < at);
      if (trace.activity(at) !== activity) {
        if (ownBefore !== undefined) add(ownBefore, at);
        continue;
      }
      const foreign = during.findLast((one) => one < at && trace.activity(one) !== activity);
      if (ownBefore === undefined && foreign !== undefined) add(foreign, at);
    }
  }
  return violations;
}

function sideOf(trace: Trace, at: number): string {
  return trace.place(at).split(" ").slice(1).join(" ");
}

/** Begin and end of the outermost operations of main. */
function operationsOf(trace: Trace): [number, number][] {
  const ends: readonly number[] = [Ev.graph_op_end, Ev.tran_action_end];
  return trace.events.flatMap(({ ctx }, at): [number, number][] => {
    if (ctx !== 0 || trace.where[at]?.outermost !== at) return [];
    const end = firstAfter(
      trace.events,
      at,
      ({ kind }, i) =>
        ends.includes(kind) &&
        trace.activity(i) === trace.activity(at) &&
        trace.where[i]?.frames.length === 0,
    );
    return [[at, end < 0 ? trace.events.length : end]];
  });
}

// ---- P3 --------------------------------------------------------------------------------------------------------------

function quiescedEdge(trace: Trace): Violation[] {
  const levels = levelsBefore(trace.events);
  return trace.events.flatMap(({ kind, args: [list, edge, node] }, at) => {
    if (kind !== Ev.list_set || list !== List.edge_bs || node === 0) return [];
    const parent = trace.parentOf(at, edge);
    // Off the main context, the edit itself shows that somebody else can see the parent.
    if (parent !== null && trace.isHidden(at + 1, parent)) return [];
    const said = lastBefore(
      trace.events,
      at,
      (e) => (e.kind === Ev.edge_quiesce || e.kind === Ev.edge_free) && e.args[0] === edge,
    );
    const quiesced = trace.events[said];
    const hasQuiesced = quiesced?.kind === Ev.edge_quiesce && quiesced.args[1] > 0;
    const isQuiet = holdersOf(levels[at] as Levels, `n${node}`).length > 0;
    return [
      ...(hasQuiesced ? [] : [trace.edit("edge-not-quiesced", at)]),
      ...(isQuiet ? [] : [trace.edit("child-not-quiesced", at)]),
    ];
  });
}

// ---- P4 and P5 -------------------------------------------------------------------------------------------------------

const GRAPH_LOCK: readonly number[] = [
  Ev.graph_rdlock,
  Ev.graph_rdunlock,
  Ev.graph_wrlock,
  Ev.graph_wrunlock,
];

/** Who holds the graph lock at each event. */
class GraphLock {
  readonly #trace: Trace;
  /** From the taking of each reader to its release, where it has one. */
  readonly #released = new Map<number, number>();

  constructor(trace: Trace) {
    this.#trace = trace;
    trace.events.forEach(({ kind }, at) => {
      if (kind !== Ev.graph_rdunlock) return;
      const taken = this.readers(at).findLast((reader) => this.#isSame(reader, at));
      if (taken !== undefined) this.#released.set(taken, at);
    });
  }

  /** Takings for reading before event `at` that were not released by then. */
  readers(at: number): number[] {
    return this.#trace.events.flatMap(({ kind }, i) =>
      kind === Ev.graph_rdlock && i < at && (this.#released.get(i) ?? at) >= at ? [i] : [],
    );
  }

  /** The taking for writing that is in force before `at`; -1 for none. */
  writer(at: number): number {
    const said = lastBefore(
      this.#trace.events,
      at,
      ({ kind }) => kind === Ev.graph_wrlock || kind === Ev.graph_wrunlock,
    );
    return said >= 0 && this.#trace.at(said).kind === Ev.graph_wrlock ? said : -1;
  }

  writes(at: number): boolean {
    const writer = this.writer(at);
    return writer >= 0 && this.#trace.activity(writer) === this.#trace.activity(at);
  }

  reads(at: number): boolean {
    return this.writes(at) || this.readers(at).some((reader) => this.#isSame(reader, at));
  }

  /** Whether event `at` breaks the lock. */
  isBroken(at: number): boolean {
    switch (this.#trace.at(at).kind) {
      case Ev.graph_rdlock:
        return this.writer(at) >= 0;
      case Ev.graph_rdunlock:
        return ![...this.#released.values()].includes(at);
      case Ev.graph_wrlock:
        return this.writer(at) >= 0 || this.readers(at).length > 0;
      default:
        return !this.writes(at);
    }
  }

  /** One call stack, or one request. */
  #isSame(a: number, b: number): boolean {
    const [one, other] = [this.#trace.at(a), this.#trace.at(b)];
    const sameTask = one.task !== 0 && one.task === other.task;
    return sameTask || this.#trace.activity(a) === this.#trace.activity(b);
  }
}

function graphLock(trace: Trace): Violation[] {
  const takes = trace.events.flatMap(({ kind }, at) => (GRAPH_LOCK.includes(kind) ? [at] : []));
  if (takes.length === 0) return [];
  const lock = new GraphLock(trace);
  const broken = takes
    .filter((at) => lock.isBroken(at))
    .map((at) => ({ rule: "graph-lock-broken", key: `${trace.at(at).args[0]}`, at, said: "" }));
  const reads = trace
    .reads()
    .filter((at) => trace.at(at).ctx !== 0 && !lock.reads(at))
    .map((at) => trace.read("read-without-graph-lock", at));
  const edits = trace
    .edits()
    .filter((at) => !lock.writes(at))
    .map((at) => trace.edit("edit-without-graph-lock", at));
  return [...broken, ...reads, ...edits];
}

function noDrainUnderLock(trace: Trace): Violation[] {
  if (!trace.events.some(({ kind }) => GRAPH_LOCK.includes(kind))) return [];
  const lock = new GraphLock(trace);
  const drains = trace.events.flatMap(({ kind, args }, at) =>
    kind === Ev.drain_begin && lock.reads(at)
      ? [{ rule: "drain-under-graph-lock", key: `${args[3]}`, at, said: "" }]
      : [],
  );
  return [...graphLock(trace), ...drains];
}

const DEMANDS: Readonly<Record<PolicyId, (trace: Trace) => Violation[]>> = {
  P0: contextLock,
  P1: () => [],
  P2: parentOnly,
  P3: quiescedEdge,
  P4: graphLock,
  P5: noDrainUnderLock,
};

/** What breaks the demands of each policy that are its own. */
export function policyOracle(events: readonly Event[]): { policy: PolicyId; found: Violation[] }[] {
  const trace = new Trace(events);
  return Object.entries(DEMANDS).map(([policy, demands]) => ({
    policy: policy as PolicyId,
    found: demands(trace),
  }));
}
