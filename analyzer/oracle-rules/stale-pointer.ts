// Stale pointers by brute force. For each use of an object: was it taken out of a variable by another call stack after this
// one, in the same doing, had read that variable while it held the object, and has nothing that held it been read since?

import { Ev, List } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { drainMachinery } from "./drain-machinery.ts";
import { whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

export function stalePointer(events: readonly Event[]): Violation[] {
  return new StalePointers(events).violations();
}

class StalePointers {
  readonly #events: readonly Event[];
  /** Which doing each event belongs to; "" for none. */
  readonly #doings: readonly string[];
  readonly #activities: readonly string[];
  readonly #machinery: readonly boolean[];

  constructor(events: readonly Event[]) {
    this.#events = events;
    const where = whereOf(events);
    this.#machinery = drainMachinery(events);
    this.#activities = where.map(({ activity }) => activity);
    const lives = new Map<string, number>();
    const scopes = new Map<string, string>();
    this.#doings = events.map((event, at) => {
      const { activity = "", outermost = -1 } = where[at] ?? {};
      if (event.kind === Ev.co_terminate && event.ctx === 0) {
        const co = `co ${event.args[0]}`;
        lives.set(co, (lives.get(co) ?? 0) + 1);
      }
      if (event.ctx !== 0 || this.#machinery[at] === true || !isAccess(event)) return "";
      const scope = activity.startsWith("run")
        ? "all"
        : activity.startsWith("co")
          ? event.task === 0
            ? ""
            : `task ${event.task}`
          : outermost < 0
            ? ""
            : `op ${outermost}`;
      if (scope === "") return "";
      // A scope that comes back after another one is a new doing.
      if (scopes.get(activity) !== scope) lives.set(activity, (lives.get(activity) ?? 0) + 1);
      scopes.set(activity, scope);
      return `${activity} ${scope} ${lives.get(activity) ?? 0}`;
    });
  }

  violations(): Violation[] {
    const found: Violation[] = [];
    /** Uses that have been told: one a pointer that has gone stale. */
    const told = new Set<string>();
    this.#events.forEach((_event, use) => {
      if (this.#doings[use] === "") return;
      for (const object of this.#used(use)) {
        const stale = this.#staleAt(use, object);
        if (stale === null || told.has(`${this.#doings[use]} ${object} ${stale.edit}`)) continue;
        told.add(`${this.#doings[use]} ${object} ${stale.edit}`);
        const { read, edit } = stale;
        const list = this.#events[edit]?.args[0];
        found.push({
          rule: "stale-pointer",
          key: `${list} ${this.#site(read)} ${this.#site(edit)} ${this.#site(use)}`,
          at: use,
          said: `read@${read} edit@${edit}`,
        });
      }
    });
    return found;
  }

  /** The latest edit that took `object` away from what the doing of event `use` had read, unless it has found it again. */
  #staleAt(use: number, object: string): { read: number; edit: number } | null {
    for (let edit = use - 1; edit >= 0; edit--) {
      if (this.#isFound(edit, use, object)) return null;
      if (!isEdit(this.#event(edit)) || this.#activities[edit] === this.#activities[use]) continue;
      const since = this.#heldSince(edit, object);
      if (since < 0 || this.#holdsAfter(edit, object)) continue;
      const read = this.#lastRead(edit, use);
      if (read > since) return { read, edit };
    }
    return null;
  }

  /** Whether event `at` is a read, of the same doing as `use`, of something that then held `object`. */
  #isFound(at: number, use: number, object: string): boolean {
    if (this.#event(at).kind !== Ev.list_read || this.#doings[at] !== this.#doings[use])
      return false;
    return this.#heldSince(at, object) >= 0;
  }

  /** The last read before `edit`, by the doing of `use`, of the variable that `edit` edits. */
  #lastRead(edit: number, use: number): number {
    const [list, owner] = this.#event(edit).args;
    return this.#events.findLastIndex(
      ({ kind, args }, at) =>
        at < edit &&
        kind === Ev.list_read &&
        args[0] === list &&
        args[1] === owner &&
        this.#doings[at] === this.#doings[use],
    );
  }

  /** Since when the variable of event `at` has held `object`, just before it; -1 if it does not. */
  #heldSince(at: number, object: string): number {
    const [list, owner] = this.#event(at).args;
    let since = -1;
    for (let i = 0; i < at; i++) {
      const event = this.#event(i);
      if (frees(event, list, owner)) since = -1;
      if (!isEdit(event) || event.args[0] !== list || event.args[1] !== owner) continue;
      const puts = event.kind !== Ev.list_remove && pointee(event) === object;
      if (puts && since < 0) since = i;
      if (!puts && event.kind === Ev.list_set) since = -1;
      if (event.kind === Ev.list_remove && pointee(event) === object) since = -1;
    }
    return since;
  }

  #holdsAfter(edit: number, object: string): boolean {
    const event = this.#event(edit);
    if (event.kind === Ev.list_insert) return true;
    return event.kind === Ev.list_remove ? pointee(event) !== object : pointee(event) === object;
  }

  /** The objects that an event uses. */
  #used(at: number): string[] {
    const event = this.#event(at);
    const [list, owner, value] = event.args;
    const kind = list === List.edge_bs ? "edge" : list === List.blk_root ? "blk" : "node";
    const used = [`${kind} ${owner}`];
    if (isEdit(event) && event.kind !== Ev.list_remove && value !== 0) used.push(pointee(event));
    return [...new Set(used)];
  }

  #site(at: number): number {
    const { kind, args } = this.#event(at);
    return args[kind === Ev.list_read ? 2 : 3];
  }

  #event(at: number): Event {
    return this.#events[at] as Event;
  }
}

function isEdit({ kind }: Event): boolean {
  return kind === Ev.list_insert || kind === Ev.list_remove || kind === Ev.list_set;
}

function isAccess(event: Event): boolean {
  return event.kind === Ev.list_read || isEdit(event);
}

function pointee({ args }: Event): string {
  return args[0] === List.edge_bs ? `node ${args[2]}` : `edge ${args[2]}`;
}

function frees({ kind, args }: Event, list: number, owner: number): boolean {
  if (args[0] !== owner) return false;
  if (list === List.edge_bs) return kind === Ev.edge_free;
  return list === List.blk_root ? kind === Ev.blk_free : kind === Ev.bs_free;
}
