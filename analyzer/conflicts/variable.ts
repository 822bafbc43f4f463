// What is kept of a shared list: the edit that came last, and the reads since, counted by who read where (cells) and by
// what was released after the read (groups). Nothing here grows with the number of requests.

import { List } from "#core/probe";
import type { FindingDraft } from "../drafts.ts";
import { UNIT_MAX } from "../limits.ts";
import type { EdgeInfo, Holdable } from "../model/graph.ts";
import type { Section } from "../model/sections.ts";
import type { Label } from "../order/full.ts";
import type { Mark, Sig } from "../order/knowledge.ts";
import type { SyncPoint } from "../order/sync-point.ts";
import { type RequestText, requestText, type TaskState } from "../order/task.ts";
import { Buckets } from "./buckets.ts";
import {
  BLK,
  BYTES,
  CELL_WORDS,
  type Cells,
  COUNT,
  LAST,
  LAST_TASK,
  SIG,
  SITES_MAX,
  TYPE,
} from "./cells.ts";

/** Reads of one cell that were followed by the same releases. */
export class Group {
  #sig: Sig | null;
  count = 0;
  /** The latest read, and what its request was. */
  last = -1;
  lastTask = 0;
  #type = -1;
  #blk = 0;
  #bytes = 0;
  #offset = 0;
  /** When the reads happened, in the full order's time of their context; null where only the sanctioned order is asked for. */
  readonly times: Buckets | null;
  /** Reads of main: the event of its last release before them; who knows main up to a later event knows them. */
  mainTimes: Buckets | null = null;

  constructor(sig: Sig | null, timed: boolean) {
    this.#sig = sig;
    this.times = timed ? new Buckets() : null;
  }

  /** The releases; null for reads of main. */
  get sig(): Sig | null {
    return this.#sig;
  }

  /** What the latest read's request was; null when it had none. */
  get lastRequest(): RequestText | null {
    return requestText(this.#type, this.#blk, this.#bytes, this.#offset);
  }

  /** One read more, by `task`. */
  add(index: number, time: number, task: TaskState | null): void {
    this.count++;
    if (this.times !== null) this.times.add(time, 1);
    if (index < this.last) return;
    this.last = index;
    this.lastTask = 0;
    this.#type = -1;
    if (task === null) return;
    this.lastTask = task.id;
    this.#type = task.requestType;
    this.#blk = task.requestBlk;
    this.#bytes = task.requestBytes;
    this.#offset = task.requestOffset;
  }

  /** Adds what `cells` has counted under `number`, and its latest read, where that is the latest. */
  take(cells: Cells, number: number): void {
    const { words } = cells;
    const at = number * CELL_WORDS;
    this.count += words[at + COUNT] as number;
    const last = words[at + LAST] as number;
    if (last < this.last) return;
    this.last = last;
    this.lastTask = words[at + LAST_TASK] as number;
    this.#type = words[at + TYPE] as number;
    this.#blk = words[at + BLK] as number;
    this.#bytes = words[at + BYTES] as number;
    this.#offset = cells.offset(number);
  }

  /** Begins anew, for reads that other releases follow. */
  restart(sig: Sig | null): void {
    this.#sig = sig;
    this.clear();
  }

  clear(): void {
    this.count = 0;
    this.last = -1;
    this.lastTask = 0;
    this.#type = -1;
    this.times?.clear();
    this.mainTimes?.clear();
  }

  addAll(from: Group): void {
    this.count += from.count;
    if (this.times !== null && from.times !== null) this.times.addAll(from.times);
    if (from.last < this.last) return;
    this.last = from.last;
    this.lastTask = from.lastTask;
    this.#type = from.#type;
    this.#blk = from.#blk;
    this.#bytes = from.#bytes;
    this.#offset = from.#offset;
  }
}

/** Pairs that make one finding. */
export interface Bad {
  readonly draft: FindingDraft;
  count: number;
}

/** How the reads since the last edit stand to that edit, but for those that know main up to `from` of their variable. */
export class AfterEdit {
  sanctioned = 0;
  race: Bad | null = null;
  /** By accidental edge; null for none. */
  luck: Map<Label, Bad> | null = null;

  clear(): void {
    this.sanctioned = 0;
    this.race = null;
    this.luck = null;
  }
}

/** One reader of one list: a site, in a context, under some operations. What is hot of it is a record of `cells`. */
export class Cell {
  readonly variable: Variable;
  readonly site: number;
  readonly ctx: number;
  /** Component of the full order: the context, or a part of it under the task reading. */
  readonly unit: number;
  readonly chain: number;
  readonly number: number;
  readonly #cells: Cells;
  #groups: Group[] = [];
  /** The one that was found or added last: the record counts for it. */
  #latest: Group | null = null;
  /** One that was judged: the next reads are counted in it, since what lives from edit to edit costs the collector most. */
  #spare: Group | null = null;
  readonly after = new AfterEdit();

  constructor(
    cells: Cells,
    variable: Variable,
    site: number,
    ctx: number,
    unit: number,
    chain: number,
  ) {
    this.variable = variable;
    this.unit = unit;
    this.site = site;
    this.ctx = ctx;
    this.chain = chain;
    this.#cells = cells;
    this.number = cells.add(this);
  }

  /** Reads since the last edit whose task is over, or that have none. */
  get groups(): readonly Group[] {
    this.#takeCount();
    return this.#groups;
  }

  set groups(groups: Group[]) {
    this.#groups = groups;
    this.#setLatest(null);
  }

  /** The group of `sig`, if there is one; the newest come last, and are asked for most. */
  find(sig: Sig | null): Group | null {
    if (this.#latest !== null && this.#latest.sig === sig) return this.#latest;
    for (let i = this.#groups.length - 1; i >= 0; i--) {
      const group = this.#groups[i] as Group;
      if (group.sig !== sig) continue;
      this.#setLatest(group);
      return group;
    }
    return null;
  }

  /** A new group of `sig`. */
  addGroup(sig: Sig | null, timed: boolean): Group {
    const group = this.#spare ?? new Group(sig, timed);
    this.#spare?.restart(sig);
    this.#spare = null;
    this.#groups.push(group);
    this.#setLatest(group);
    return group;
  }

  #setLatest(group: Group | null): void {
    this.#takeCount();
    this.#latest = group;
    this.#cells.words[this.number * CELL_WORDS + SIG] = group?.sig?.id ?? 0;
  }

  /** The record counts from 0 again. */
  #takeCount(): void {
    const { words } = this.#cells;
    const at = this.number * CELL_WORDS;
    if (words[at + COUNT] !== 0) this.#latest?.take(this.#cells, this.number);
    words[at + COUNT] = 0;
    words[at + LAST] = -1;
  }

  /** What was read before the edit that happens now is judged. */
  forget(): void {
    if (this.#groups.length === 0) return;
    // Main reads the lists that it edits all the time: its one group is used again.
    const [first = null] = this.#groups;
    if (this.ctx === 0) first?.clear();
    else {
      this.groups = [];
      this.#spare = first;
    }
  }

  /** Groups at which they are merged next; 0 before the first time. */
  mergeAt = 0;
}

/** Reads in a task's log that became one entry. */
export class Folded {
  readonly cell: Cell;
  readonly group: Group;

  constructor(cell: Cell, group: Group) {
    this.cell = cell;
    this.group = group;
  }
}

/** An edit, as later accesses and reports need it. */
export interface EditRecord {
  readonly index: number;
  readonly ctx: number;
  readonly unit: number;
  readonly task: number;
  /** The task as an actor (now.ts). */
  readonly actor: number;
  /** Its request, when a task made it. */
  readonly request: RequestText | null;
  readonly site: number;
  readonly chain: number;
  readonly kind: number;
  /** Edge inserted or removed, or value set; and the edge that this is about, which may be gone later. */
  readonly value: number;
  readonly edge: EdgeInfo | null;
  /** Time in its context, for the full order. */
  readonly epoch: number;
  /** Nobody but its creator could have seen the owner. */
  readonly isPrivate: boolean;
  /** What its task released since; null for main, whose edits are known by event. */
  readonly mark: Mark | null;
  /** Drained sections inside which it was made and that held the list's guard. */
  readonly cover: readonly Section[];
  /** A section of the same operation that held the guard before and no longer does; null for none. */
  readonly lapsed: Section | null;
  /** Everything that held the guard. */
  readonly holders: readonly Section[];
}

/** Cells that are looked through one after the other. */
const CELLS_IN_A_ROW = 24;

/** The key of a cell among those of its list; context and site first, as the chain is nearly always 0. */
export function cellKey(site: number, unit: number, chain: number): number {
  return (chain * (UNIT_MAX + 1) + unit) * SITES_MAX + site;
}

/** One list or alias of one owner. */
export class Variable {
  readonly list: number;
  readonly owner: number;
  /** What a drain must hold; null when the trace does not say. */
  guard: Holdable | null;
  readonly #keys: number[] = [];
  readonly cells: Cell[] = [];
  /** Cells by key, once they are many. */
  #byKey: Map<number, Cell> | null = null;
  edit: EditRecord | null = null;
  /** What the last edit tells those who see its outcome (seen-edits.ts); null when nobody asks. */
  seen: SyncPoint | null = null;
  /**
   * Whoever knows main up to here comes after the last edit: was let in after the section around it had ended, which is
   * `coveredBy`, or simply comes after it where there was none; everybody where there was no edit. Each record of a cell that
   * is not main's has it, too.
   */
  from = -1;
  coveredBy: Section | null = null;

  constructor(list: number, owner: number, guard: Holdable | null) {
    this.list = list;
    this.owner = owner;
    this.guard = guard;
  }

  cell(site: number, unit: number, chain: number): Cell | null {
    const key = cellKey(site, unit, chain);
    if (this.#byKey !== null) return this.#byKey.get(key) ?? null;
    const at = this.#keys.indexOf(key);
    return at < 0 ? null : (this.cells[at] as Cell);
  }

  addCell(cell: Cell): void {
    const key = cellKey(cell.site, cell.unit, cell.chain);
    this.#keys.push(key);
    this.cells.push(cell);
    if (this.#byKey !== null) this.#byKey.set(key, cell);
    else if (this.cells.length === CELLS_IN_A_ROW)
      this.#byKey = new Map(this.cells.map((each, i) => [this.#keys[i] as number, each]));
  }
}

/** The lists that are watched: children to blk_root. */
export const LISTS_MAX = List.blk_root + 1;
