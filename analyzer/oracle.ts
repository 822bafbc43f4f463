// The same question answered by brute force, for tests: the graph of events is built edge by edge as design D9's table and
// section 2.12 of the reference say it, one node an event, and order is reachability. Shares no code with the engine but the
// catalogue: no clocks, no generations, no groups. Quadratic, for traces of a few hundred events.

import { Ev, type EventBatch, List, WORLD_CTX } from "#core/probe";
import type { EdgeKind } from "./edge-kinds.ts";
import type { Reading } from "./input.ts";
import { type Event, eventsOf, isDispatch, isEdit, isRead } from "./oracle-kinds.ts";
import { Reach } from "./oracle-reach.ts";
import {
  hiddenBefore,
  holdersOf,
  type Levels,
  levelsBefore,
  ownerWord,
  parentWord,
} from "./oracle-state.ts";
import { OracleUnits } from "./oracle-units.ts";

export type Outcome = "covered" | "sanctioned" | "luck" | "race";

/** A read or edit with the edit next to it. */
export interface OraclePair {
  readonly list: number;
  readonly owner: number;
  readonly earlier: number;
  readonly later: number;
  readonly outcome: Outcome;
}

interface SectionFacts {
  pollEnd: number;
  end: number;
}

/** Judge every adjacent pair of the events in `batches`. */
export function oracle(
  batches: readonly EventBatch[],
  disabled: ReadonlySet<EdgeKind> = new Set(),
  reading: Reading = "thread",
  order: "hb" | "shb" = "hb",
): OraclePair[] {
  const events = batches.flatMap(eventsOf);
  return new Oracle(events, disabled, reading, order).pairs();
}

/** Coroutines that a drainer waits for are tasks as a whole; their numbers start here. */
const WAITED_FOR = 1e9;

/** The orders of a trace, edge by edge. */
export class Oracle {
  readonly #events: Event[];
  readonly #off: ReadonlySet<EdgeKind>;
  readonly #sanctioned: Reach;
  readonly #full: Reach;
  /** As the full order, but a read does not yet come after the edit that it sees: what it is judged by. */
  readonly #judged: Reach;
  readonly #units: OracleUnits | null;
  readonly #levels: readonly Levels[];
  readonly #hidden: readonly ReadonlySet<string>[];

  constructor(
    events: readonly Event[],
    off: ReadonlySet<EdgeKind>,
    reading: Reading,
    order: "hb" | "shb" = "hb",
  ) {
    this.#events = [...events];
    this.#off = off;
    this.#sanctioned = new Reach(events.length);
    this.#full = new Reach(events.length);
    this.#judged = order === "shb" ? new Reach(events.length) : this.#full;
    this.#units = reading === "task" ? new OracleUnits(events) : null;
    this.#levels = levelsBefore(events);
    this.#hidden = hiddenBefore(events);
    for (let i = 0; i < events.length; i++) {
      this.#events[i] = { ...this.#event(i), task: this.#taskOf(i) };
      const sanctioned = this.#sanctionedPreds(i);
      this.#sanctioned.push(sanctioned);
      const preds = [...sanctioned, ...this.#accidentalPreds(i)];
      if (order === "shb") this.#judged.push(preds, this.#full);
      this.#full.push(order === "shb" ? [...preds, ...this.#seenEdit(i)] : preds);
    }
  }

  /** The task of event `i`: as recorded, or that of a coroutine which runs here and which a drainer waits for. */
  #taskOf(i: number): number {
    const { ctx, task } = this.#event(i);
    if (task !== 0 || ctx === 0 || ctx === WORLD_CTX) return task;
    const switches: readonly number[] = [Ev.co_enter, Ev.co_yield, Ev.co_terminate];
    const last = this.#last(i, (e) => e.ctx === ctx && switches.includes(e.kind))[0];
    if (last === undefined || this.#event(last).kind !== Ev.co_enter) return 0;
    const co = this.#event(last).args[0];
    const begin = this.#openWrapper(i, co);
    return begin < 0 || this.#polledSections(begin).length === 0 ? 0 : WAITED_FOR + co;
  }

  // ---- Pairs ---------------------------------------------------------------------------------------------------------

  pairs(): OraclePair[] {
    const byList = new Map<string, number[]>();
    this.#events.forEach(({ kind, args }, i) => {
      if (!isRead(kind) && !isEdit(kind)) return;
      const key = `${args[0]} ${args[1]}`;
      byList.set(key, [...(byList.get(key) ?? []), i]);
    });
    return [...byList.values()].flatMap((accesses) => this.#pairsOf(accesses));
  }

  #pairsOf(accesses: readonly number[]): OraclePair[] {
    const pairs: OraclePair[] = [];
    accesses.forEach((later, at) => {
      // A read pairs with the last edit before it; an edit with everything since the last edit, that included.
      for (let i = at - 1; i >= 0; i--) {
        const earlier = accesses[i] as number;
        const edit = isEdit(this.#event(earlier).kind);
        if (edit || isEdit(this.#event(later).kind)) this.#addPair(pairs, earlier, later);
        if (edit) break;
      }
    });
    return pairs;
  }

  #addPair(pairs: OraclePair[], earlier: number, later: number): void {
    const a = this.#event(earlier);
    const b = this.#event(later);
    if (a.ctx === 0 || b.ctx === 0 ? a.ctx === b.ctx : this.#sameTask(a, b)) return;
    pairs.push({
      list: a.args[0],
      owner: a.args[1],
      earlier,
      later,
      outcome: this.#outcome(earlier, later),
    });
  }

  #outcome(earlier: number, later: number): Outcome {
    if (this.#covered(earlier, later)) return "covered";
    if (this.#sanctioned.before(earlier, later)) return "sanctioned";
    const full = this.#judged.before(earlier, later);
    if (full && this.#isPrivateEdit(earlier)) return "sanctioned";
    return full ? "luck" : "race";
  }

  /** D9: a section that holds the guard at an edit, around it, with the other access before its poll end or after its end. */
  #covered(earlier: number, later: number): boolean {
    for (const [edit, other] of [
      [later, earlier],
      [earlier, later],
    ] as const) {
      if (!isEdit(this.#event(edit).kind)) continue;
      for (const id of this.#sectionsAt(edit)) {
        const facts = this.#section(id, edit);
        if (facts === null) continue;
        const before = other === facts.pollEnd || this.#sanctioned.before(other, facts.pollEnd);
        const after =
          facts.end >= 0 && other > facts.end && this.#sanctioned.before(facts.end, other);
        if (before || after) return true;
      }
    }
    return false;
  }

  /** Sections that hold the guard of the list edited by event `edit`. */
  #sectionsAt(edit: number): number[] {
    const { args } = this.#event(edit);
    return holdersOf(this.#levels[edit] as Levels, this.#guard(args[0], args[1]));
  }

  /** Event `at` edits a list whose owner nobody but its creator can have seen. */
  #isPrivateEdit(at: number): boolean {
    const { kind, args } = this.#event(at);
    return isEdit(kind) && this.#hidden[at]?.has(ownerWord(args[0], args[1])) === true;
  }

  #guard(list: number, owner: number): string {
    if (list !== List.edge_bs) return ownerWord(list, owner);
    const created = this.#events.find(
      ({ kind, args }) => kind === Ev.edge_new && args[0] === owner,
    );
    return created === undefined ? "?" : parentWord(created);
  }

  /** Poll end (the latest before `edit`) and end of a section, if the edit is inside it by the sanctioned order. */
  #section(id: number, edit: number): SectionFacts | null {
    const facts: SectionFacts = { pollEnd: -1, end: -1 };
    this.#events.forEach(({ kind, args }, i) => {
      if (args[0] !== id) return;
      if (kind === Ev.drain_poll_end && i < edit) facts.pollEnd = i;
      if (kind === Ev.drain_end && facts.end < 0) facts.end = i;
    });
    if (facts.pollEnd < 0 || !this.#isInside(facts.pollEnd, edit)) return null;
    if (facts.end >= 0 && (facts.end < edit || !this.#sanctioned.before(edit, facts.end)))
      return null;
    return facts;
  }

  /** The editor itself saw the poll phase end: by main's order, or by that of its task. */
  #isInside(pollEnd: number, edit: number): boolean {
    const a = this.#event(pollEnd);
    const b = this.#event(edit);
    return a.ctx === 0 || b.ctx === 0 ? a.ctx === b.ctx : this.#sameTask(a, b);
  }

  #sameTask(a: Event, b: Event): boolean {
    return a.task !== 0 && a.task === b.task && !this.#off.has("task-order");
  }

  // ---- The sanctioned order ------------------------------------------------------------------------------------------

  #sanctionedPreds(i: number): number[] {
    const event = this.#event(i);
    const preds: number[] = [];
    if (event.ctx === WORLD_CTX) return preds;
    if (event.ctx === 0) preds.push(...this.#last(i, (e) => e.ctx === 0));
    if (event.task !== 0 && !this.#off.has("task-order"))
      preds.push(...this.#last(i, (e) => e.task === event.task));
    preds.push(
      ...this.#contextPreds(i),
      ...this.#counterPreds(i),
      ...this.#gatePreds(i),
      ...this.#wrapperPreds(i),
    );
    return preds;
  }

  #contextPreds(i: number): number[] {
    const { kind, ctx, args } = this.#event(i);
    const preds: number[] = [];
    if (!this.#off.has("context-start"))
      preds.push(...this.#last(i, (e) => e.kind === Ev.ctx_start && e.args[0] === ctx));
    if (this.#off.has("context-join")) return preds;
    if (kind === Ev.ctx_stop) preds.push(...this.#all(i, (e) => e.ctx === ctx));
    if (kind === Ev.ctx_join)
      preds.push(...this.#last(i, (e) => e.kind === Ev.ctx_stop && e.args[0] === args[0]));
    return preds;
  }

  #counterPreds(i: number): number[] {
    const { kind, args } = this.#event(i);
    const [id, value, section] = args;
    if (value !== 0) return [];
    const rules = [
      { read: Ev.bs_in_flight_read, dec: Ev.bs_in_flight_dec, owner: "n", edge: "node-counter" },
      { read: Ev.blk_in_flight_read, dec: Ev.blk_in_flight_dec, owner: "b", edge: "blk-counter" },
      { read: Ev.job_busy_read, dec: Ev.job_busy, owner: "j", edge: "job-idle" },
    ] as const;
    const rule = rules.find(({ read }) => read === kind);
    if (rule === undefined || this.#off.has(rule.edge)) return [];
    const level = (this.#levels[i] as Levels).get(`${rule.owner}${id} ${section}`) ?? 0;
    if (section === 0 || level <= 0) return [];
    return this.#all(
      i,
      (e) =>
        e.kind === rule.dec && e.args[0] === id && (rule.dec !== Ev.job_busy || e.args[1] === 0),
    );
  }

  #gatePreds(i: number): number[] {
    const { kind, ctx, task, args } = this.#event(i);
    if (
      kind === Ev.gate_read &&
      args[1] === 0 &&
      !this.#off.has("gate") &&
      this.#holdsBlk(i, task, args[0])
    ) {
      return this.#all(i, (e) => e.kind === Ev.blk_unquiesce && e.args[0] === args[0]);
    }
    if (kind === Ev.req_resumed && !this.#off.has("queue-wake")) {
      const since =
        this.#last(i, (e) => e.kind === Ev.req_resumed && e.args[1] === args[1])[0] ?? -1;
      return this.#all(i, (e) => e.kind === Ev.req_wake && e.args[1] === args[1]).filter(
        (at) => at > since,
      );
    }
    if (kind === Ev.job_gate_read && args[1] === 0 && !this.#off.has("job-resume")) {
      return this.#all(i, (e) => e.kind === Ev.job_resume && e.args[0] === args[0]);
    }
    if (this.#off.has("external")) return [];
    if (kind === Ev.fd_run && args[1] !== 0 && args[2] === 0) {
      return this.#all(i, (e) => e.kind === Ev.external_enable && e.args[0] === ctx);
    }
    return this.#episodePreds(i);
  }

  /** Inside an external handler: loose events, and the first event of a task, come after its dispatch. */
  #episodePreds(i: number): number[] {
    const { kind, ctx, task } = this.#event(i);
    if (ctx === 0 || isDispatch(kind)) return [];
    if (
      task !== 0 &&
      this.#last(i, (e) => e.task === task).length > 0 &&
      !this.#off.has("task-order")
    )
      return [];
    const dispatch = this.#last(i, (e) => e.ctx === ctx && isDispatch(e.kind))[0];
    if (dispatch === undefined) return [];
    const { kind: how, args } = this.#event(dispatch);
    return how === Ev.fd_run && args[1] !== 0 && args[2] === 0 ? [dispatch] : [];
  }

  #holdsBlk(i: number, task: number, blk: number): boolean {
    if (task === 0 || (this.#off.has("task-order") && this.#event(i).ctx !== 0)) return false;
    let level = 0;
    for (let j = 0; j < i; j++) {
      const e = this.#event(j);
      if (e.task !== task || e.args[0] !== blk) continue;
      if (e.kind === Ev.blk_in_flight_inc) level++;
      if (e.kind === Ev.blk_in_flight_dec) level--;
    }
    return level > 0;
  }

  #wrapperPreds(i: number): number[] {
    const { kind, task, args } = this.#event(i);
    if (task > WAITED_FOR && !this.#off.has("wrapper-begin"))
      return [this.#openWrapper(i, task - WAITED_FOR)];
    if (kind === Ev.task_begin && args[1] !== 0 && !this.#off.has("wrapper-begin")) {
      const begin = this.#openWrapper(i, args[1]);
      return begin < 0 || this.#polledSections(begin).length === 0 ? [] : [begin];
    }
    if (kind !== Ev.wrapper_end || this.#off.has("wrapper-end")) return [];
    const begin = this.#openWrapper(i, args[0]);
    if (begin < 0) return [];
    const open = this.#polledSections(i);
    if (!this.#polledSections(begin).some((section) => open.includes(section))) return [];
    const isEnd = (e: Event): boolean =>
      (e.kind === Ev.task_end && e.args[1] === args[0]) ||
      (e.kind === Ev.co_terminate && e.task === WAITED_FOR + args[0]);
    return this.#all(i, isEnd).filter((at) => at > begin);
  }

  /** The wrapper_begin of `co` that event `i` is inside of; -1 for none. */
  #openWrapper(i: number, co: number): number {
    const last = this.#last(
      i,
      (e) => (e.kind === Ev.wrapper_begin || e.kind === Ev.wrapper_end) && e.args[0] === co,
    )[0];
    return last !== undefined && this.#event(last).kind === Ev.wrapper_begin ? last : -1;
  }

  /** Open sections whose poll phase the actor of event `i` saw end before it. */
  #polledSections(i: number): number[] {
    const sections: number[] = [];
    for (let j = 0; j < i; j++) {
      const { kind, args } = this.#event(j);
      const ended = (e: Event): boolean => e.kind === Ev.drain_end && e.args[0] === args[0];
      if (kind !== Ev.drain_poll_end || this.#all(i, ended).length > 0) continue;
      const again = this.#last(i, (e) => e.kind === Ev.drain_poll_end && e.args[0] === args[0])[0];
      if (
        again === j &&
        this.#isInside(j, i) &&
        this.#all(i, (e) => e.kind === Ev.drain_begin && e.args[0] === args[0]).length > 0
      ) {
        sections.push(args[0]);
      }
    }
    return sections;
  }

  /** The edit whose outcome a read sees. */
  #seenEdit(i: number): number[] {
    const { kind, ctx, args } = this.#event(i);
    if (!isRead(kind) || ctx === WORLD_CTX || this.#off.has("read-from")) return [];
    const [list, owner] = args;
    return this.#last(i, (e) => isEdit(e.kind) && e.args[0] === list && e.args[1] === owner);
  }

  // ---- The full order ------------------------------------------------------------------------------------------------

  #accidentalPreds(i: number): number[] {
    const { kind, ctx, args } = this.#event(i);
    if (ctx === WORLD_CTX) return [];
    const preds =
      this.#units === null
        ? this.#last(i, (e) => e.ctx === ctx)
        : this.#units.preds(i, !this.#off.has("coroutine"));
    const on = (edge: EdgeKind): boolean => !this.#off.has(edge);
    const [id, value] = args;
    const sinceTaken = (taker: (e: Event) => boolean, giver: (e: Event) => boolean): number[] => {
      const taken = this.#last(i, taker)[0] ?? -1;
      return this.#all(i, giver).filter((at) => at > taken);
    };
    const same = (k: number) => (e: Event) => e.kind === k && e.args[0] === id;
    if ((kind === Ev.bh_run || kind === Ev.fd_run) && on("bh")) {
      const ran = (e: Event): boolean => same(Ev.bh_run)(e) || same(Ev.fd_run)(e);
      preds.push(...sinceTaken(ran, same(Ev.bh_schedule)));
    }
    if (kind === Ev.timer_run && on("timer"))
      preds.push(...sinceTaken(same(Ev.timer_run), same(Ev.timer_arm)));
    if (kind === Ev.co_enter) {
      const yields = (e: Event): boolean =>
        (e.kind === Ev.co_yield || e.kind === Ev.co_create) && e.args[0] === id;
      const wakes = (e: Event): boolean =>
        (e.kind === Ev.co_wake || e.kind === Ev.co_schedule) && e.args[0] === id;
      if (on("coroutine")) preds.push(...sinceTaken(same(Ev.co_enter), yields));
      if (on("wake")) preds.push(...sinceTaken(same(Ev.co_enter), wakes));
    }
    if (kind === Ev.wait_end && value !== 0 && on("wait"))
      preds.push(...this.#all(i, (e) => e.kind === Ev.kick));
    if (kind === Ev.lock_acquire && args[2] === 1 && on("lock")) {
      preds.push(
        ...this.#last(i, (e) => e.kind === Ev.lock_release && e.args[0] === id && e.args[2] === 0),
      );
    }
    if (on("lock")) preds.push(...this.#graphLockPreds(i));
    preds.push(...this.#unsanctionedReads(i));
    return preds;
  }

  /** The graph lock: a reader comes after the writers' releases, a writer after everybody's. */
  #graphLockPreds(i: number): number[] {
    const { kind } = this.#event(i);
    if (kind !== Ev.graph_rdlock && kind !== Ev.graph_wrlock) return [];
    return this.#all(
      i,
      (e) =>
        e.kind === Ev.graph_wrunlock || (e.kind === Ev.graph_rdunlock && kind === Ev.graph_wrlock),
    );
  }

  /** A counter or gate that reads zero without the condition of D9's table still comes after what lowered it. */
  #unsanctionedReads(i: number): number[] {
    const { kind, args } = this.#event(i);
    const [id, value] = args;
    if (value !== 0 || this.#off.has("counter")) return [];
    const of = (k: number) => this.#all(i, (e) => e.kind === k && e.args[0] === id);
    if (kind === Ev.bs_in_flight_read && !this.#off.has("node-counter"))
      return of(Ev.bs_in_flight_dec);
    if (kind === Ev.blk_in_flight_read && !this.#off.has("blk-counter"))
      return of(Ev.blk_in_flight_dec);
    if (kind === Ev.gate_read && !this.#off.has("gate")) return of(Ev.blk_unquiesce);
    if (kind === Ev.job_busy_read && !this.#off.has("job-idle")) {
      return this.#all(i, (e) => e.kind === Ev.job_busy && e.args[0] === id && e.args[1] === 0);
    }
    return [];
  }

  // ---- Searching -----------------------------------------------------------------------------------------------------

  /** In the full order. */
  isBefore(a: number, b: number): boolean {
    return this.#full.before(a, b);
  }

  #event(i: number): Event {
    return this.#events[i] as Event;
  }

  /** The last event before `i` that `matches`, as a list of at most one. */
  #last(i: number, matches: (event: Event) => boolean): number[] {
    for (let j = i - 1; j >= 0; j--) if (matches(this.#event(j))) return [j];
    return [];
  }

  /** All events before `i` that match. */
  #all(i: number, matches: (event: Event) => boolean): number[] {
    const found: number[] = [];
    for (let j = 0; j < i; j++) if (matches(this.#event(j))) found.push(j);
    return found;
  }
}
