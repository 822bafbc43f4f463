// Readers of lists, by number. What one more read by a known reader changes is sixteen words, which lie in one line of the
// processor's cache and are found by a hash of who reads what where; and, when the read is of a task that is not over, the name
// of that task among those whose logs mention the reader. Objects of all kinds would be lines that a thousand guests push out.
//
// The table of hashes forgets: a reader that is not in it is found by its list (variable.ts) and put there again. So nothing
// that somebody chose, such as readers that meet in one place, costs more than that.

import { NEVER } from "../order/knowledge.ts";
import type { TaskState } from "../order/task.ts";
import type { Cell } from "./variable.ts";

/** Sites that a place has room for; more make no key. */
export const SITES_MAX = 1 << 16;

export const CELL_WORDS = 16;
const CELL_FLOATS = CELL_WORDS / 2;

/** Words of a record. A reader is its place (list and site), the list's owner, and who (unit and chain of operations). */
const PLACE = 0;
const OWNER = 1;
const WHO = 2;
/** Whoever knows main up to here, or later, comes after the list's last edit; and how many reads did since that edit. */
export const FROM = 3;
export const AFTER = 4;
/** Entries about it in the logs of tasks that are not over. */
const LOGGED = 5;
/** The signature (its number) of the group that was counted last, 0 for none; what to add to that group, and the latest read of it. */
export const SIG = 6;
export const COUNT = 7;
export const LAST = 8;
export const LAST_TASK = 9;
export const TYPE = 10;
export const BLK = 11;
export const BYTES = 12;
/** How many tasks `#loggers` names. */
const LOGGERS = 13;
/** The record's only float: the offset of that read's request. */
const OFFSET = 7;

/** The place of a record that is no reader's, or of one whose list is gone. */
const NOWHERE = -1;

/** Tasks whose logs mention a reader: so many are looked at one by one, and all that are in flight when there are more. */
const LOGGERS_MAX = 32;
const NOBODY: ReadonlySet<number> = new Set();

export class Cells {
  words = new Int32Array(CELL_WORDS * 64);
  floats = new Float64Array(this.words.buffer);
  /** Numbers by hash, in pairs: a number is in one of the two places of its pair. */
  #slots = new Int32Array(256);
  #pairMask = 127;
  #loggers = new Int32Array(LOGGERS_MAX * 64);
  readonly #cells: (Cell | null)[] = [null];
  readonly #free: number[] = [];

  constructor() {
    this.words[PLACE] = NOWHERE;
  }

  /** The reader's number; 0 when the table does not have it, as when it is nonsense. Hot. */
  find(list: number, owner: number, site: number, unit: number, chain: number): number {
    if (((site >>> 16) | (list >>> 4)) !== 0) return 0;
    const place = (list << 16) | site;
    const who = (chain << 16) | unit;
    const pair = this.#pairOf(place, owner, who);
    const words = this.words;
    const first = this.#slots[pair] as number;
    const at = first * CELL_WORDS;
    if (words[at] === place && words[at + OWNER] === owner && words[at + WHO] === who) return first;
    const second = this.#slots[pair + 1] as number;
    const other = second * CELL_WORDS;
    return words[other] === place && words[other + OWNER] === owner && words[other + WHO] === who
      ? second
      : 0;
  }

  #pairOf(place: number, owner: number, who: number): number {
    const mixed =
      Math.imul(place, 0x9e37_79b1) ^ Math.imul(owner, 0x85eb_ca77) ^ Math.imul(who, 0xc2b2_ae3d);
    return ((mixed ^ (mixed >>> 15)) & this.#pairMask) * 2;
  }

  /** The cell of a number that `find` or `add` gave. */
  cell(number: number): Cell {
    return this.#cells[number] as Cell;
  }

  /** Takes in a new reader; returns its number. What main reads is no pair with what main edits, so nobody asks for that. */
  add(cell: Cell): number {
    const number = this.#free.pop() ?? this.#cells.length;
    this.#cells[number] = cell;
    if (number * CELL_WORDS === this.words.length) this.#grow();
    const at = number * CELL_WORDS;
    this.words.fill(0, at, at + CELL_WORDS);
    const { variable, site, ctx, unit, chain } = cell;
    this.words[at + PLACE] = (variable.list << 16) | site;
    this.words[at + OWNER] = variable.owner;
    this.words[at + WHO] = (chain << 16) | unit;
    this.words[at + FROM] = ctx === 0 ? NEVER : variable.from;
    this.remember(number);
    return number;
  }

  /** Lets `find` find a reader that it has forgotten. */
  remember(number: number): void {
    const at = number * CELL_WORDS;
    const { words } = this;
    const pair = this.#pairOf(
      words[at + PLACE] as number,
      words[at + OWNER] as number,
      words[at + WHO] as number,
    );
    this.#slots[pair + 1] = this.#slots[pair] as number;
    this.#slots[pair] = number;
  }

  /** Readers of a list whose last edit main made: whoever knows main up to `from` comes after it. */
  setFrom(readers: readonly Cell[], from: number): void {
    for (const { number, ctx } of readers)
      if (ctx !== 0) this.words[number * CELL_WORDS + FROM] = from;
  }

  /** The list of a reader is gone: nobody finds it any more, and its number is free when no log has it. */
  remove(number: number): void {
    const at = number * CELL_WORDS;
    this.words[at + PLACE] = NOWHERE;
    if (this.words[at + LOGGED] === 0) this.#release(number);
  }

  /** One entry more in the log of task `id`. Hot. */
  log(number: number, id: number): void {
    const { words } = this;
    const at = number * CELL_WORDS;
    const logged = words[at + LOGGED] as number;
    words[at + LOGGED] = logged + 1;
    const count = logged === 0 ? 0 : (words[at + LOGGERS] as number);
    const slot = number * LOGGERS_MAX + count;
    if (count > 0 && (count > LOGGERS_MAX || this.#loggers[slot - 1] === id)) return;
    if (count < LOGGERS_MAX) this.#loggers[slot] = id;
    words[at + LOGGERS] = count + 1;
  }

  /** The tasks whose logs may mention one of `readers`; null when they are too many to tell. */
  loggers(readers: readonly Cell[]): ReadonlySet<number> | null {
    let ids = NOBODY;
    for (const { number } of readers) {
      const at = number * CELL_WORDS;
      if (this.words[at + LOGGED] === 0) continue;
      const count = this.words[at + LOGGERS] as number;
      if (count > LOGGERS_MAX) return null;
      const slot = number * LOGGERS_MAX;
      ids = new Set([...ids, ...this.#loggers.subarray(slot, slot + count)]);
    }
    return ids;
  }

  /** One entry less in a log. Returns whether the reader's list is still there. */
  unlog(number: number): boolean {
    const at = number * CELL_WORDS;
    const left = (this.words[at + LOGGED] as number) - 1;
    this.words[at + LOGGED] = left;
    if (this.words[at + PLACE] !== NOWHERE) return true;
    if (left === 0) this.#release(number);
    return false;
  }

  #release(number: number): void {
    this.#cells[number] = null;
    this.#free.push(number);
  }

  /** What `task` read at `index` is the latest of what the reader's latest group has. Hot. */
  setLast(number: number, index: number, task: TaskState): void {
    const { words } = this;
    const at = number * CELL_WORDS;
    words[at + LAST] = index;
    words[at + LAST_TASK] = task.id;
    words[at + TYPE] = task.requestType;
    words[at + BLK] = task.requestBlk;
    words[at + BYTES] = task.requestBytes;
    this.floats[number * CELL_FLOATS + OFFSET] = task.requestOffset;
  }

  offset(number: number): number {
    return this.floats[number * CELL_FLOATS + OFFSET] as number;
  }

  #grow(): void {
    const words = new Int32Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
    this.floats = new Float64Array(words.buffer);
    const loggers = new Int32Array(this.#loggers.length * 2);
    loggers.set(this.#loggers);
    this.#loggers = loggers;
    this.#slots = new Int32Array(this.#slots.length * 2);
    this.#pairMask = this.#slots.length / 2 - 1;
    for (let number = 1; number < this.#cells.length - 1; number++)
      if (words[number * CELL_WORDS] !== NOWHERE) this.remember(number);
  }
}
