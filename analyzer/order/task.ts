// A request task (design D9) as the analyzer follows it: what it knows, and the log of what it did that is not yet published.
//
// The log holds reads and releases in order. When the task ends, it is walked backwards, so that each read gets the
// signature of the releases behind it (conflicts/). A request's log is some twenty entries; a job's task may live for
// millions of events, so a log that grows long is folded: reads with equal signatures become one entry.

import { refuseMore } from "../bounds.ts";
import type { Cell, Folded } from "../conflicts/variable.ts";
import { MARKS_MAX } from "../limits.ts";
import { type Extra, Gen, type Knowledge, type Mark, NEVER } from "./knowledge.ts";
import { SyncPoint } from "./sync-point.ts";

/** The task numbers of coroutines that a drainer waits for are above this: it plus the coroutine's number. */
export const WRAPPER_TASK = 0x4000_0000;

/** What a request is, for reports. */
export interface RequestText {
  readonly type: number;
  readonly blk: number;
  readonly bytes: number;
  readonly offset: number;
}

/** A request for reports; null for a type below 0. */
export function requestText(
  type: number,
  blk: number,
  bytes: number,
  offset: number,
): RequestText | null {
  return type < 0 ? null : { type, blk, bytes, offset };
}

/** In place of a read's event: the entry is a release, or several reads. */
export const RELEASE = NEVER;
export const FOLDED = -1;

const INTS = 2;

export class TaskState implements Knowledge {
  id = 0;
  p = -1;
  extra: Extra | null = null;
  /** Context in which it ran last; -1 before the first event. */
  lastCtx = -1;
  /** Unit of the full order in which it ran last. */
  unit = -1;
  /** Coroutine that it began in, and event of its beginning. */
  co = 0;
  begin = -1;
  /** What had entered that coroutine when it began: an activity (model/operations.ts). */
  starter = 0;

  /** The log: what was read (a cell, or several reads in one), or released into (a generation); null for a read that was judged. */
  readonly refs: (Cell | Folded | Gen | null)[] = [];
  /** Two integers an entry: event and epoch of a read; FOLDED, or RELEASE, and 0. */
  ints = new Int32Array(32 * INTS);
  length = 0;
  /** Entries at which the log is folded next. */
  foldAt = 0;

  /** BlockBackend whose in-flight counter it holds, how often; others in `heldMore`. */
  heldBlk = 0;
  heldCount = 0;
  heldMore: Map<number, number> | null = null;

  /** What its request is, as numbers, so that the requests that pass by are no objects; the type is -1 until it says so. */
  requestType = -1;
  requestBlk = 0;
  requestBytes = 0;
  requestOffset = 0;

  /** Where it stood in the full order when it last left a context. */
  readonly sync = new SyncPoint();
  /** Moments of this task that may be asked about later (edits and section ends off the main context). */
  marks: Mark[] | null = null;
  #marked = 0;

  reset(id: number, foldAt: number): void {
    this.id = id;
    this.foldAt = foldAt;
    this.p = -1;
    this.extra = null;
    this.lastCtx = -1;
    this.co = 0;
    this.begin = -1;
    this.starter = 0;
    this.length = 0;
    this.heldBlk = 0;
    this.heldCount = 0;
    this.heldMore = null;
    this.requestType = -1;
    this.sync.clear();
    this.marks = null;
    this.#marked = 0;
  }

  /** What its request is; null until it says so. */
  get request(): RequestText | null {
    return requestText(this.requestType, this.requestBlk, this.requestBytes, this.requestOffset);
  }

  begins(type: number, blk: number, bytes: number, offset: number): void {
    this.requestType = type;
    this.requestBlk = blk;
    this.requestBytes = bytes;
    this.requestOffset = offset;
  }

  logRead(cell: Cell, index: number, epoch: number): void {
    cell.variable.loggedBy(this);
    this.#push(cell, index, epoch);
  }

  logRelease(gen: Gen): void {
    if (this.marks !== null) this.#releaseMarks(this.marks, gen);
    // A release without a read since the one before it changes no signature.
    if (this.length === 0 || this.refs[this.length - 1] === gen) return;
    this.#push(gen, RELEASE, 0);
  }

  /** Each moment that may be asked about later was before this release. */
  #releaseMarks(marks: readonly Mark[], gen: Gen): void {
    for (const { gens } of marks) {
      if (gens[gens.length - 1] === gen) continue;
      gens.push(gen);
      this.#marked++;
    }
    if (this.#marked > MARKS_MAX)
      refuseMore(MARKS_MAX, "releases after edits and drains of one request");
  }

  /** Start the log anew, with what folding left of it. */
  replaceLog(entries: readonly (Folded | Gen)[]): void {
    this.refs.fill(null, 0, this.length);
    this.length = 0;
    for (const entry of entries) {
      if (entry instanceof Gen) this.#push(entry, RELEASE, 0);
      else this.#push(entry, FOLDED, 0);
    }
    this.foldAt = Math.max(this.foldAt, this.length * 2);
  }

  #push(ref: Cell | Folded | Gen, first: number, second: number): void {
    const at = this.length * INTS;
    if (at === this.ints.length) {
      const larger = new Int32Array(this.ints.length * 2);
      larger.set(this.ints);
      this.ints = larger;
    }
    this.refs[this.length] = ref;
    this.ints[at] = first;
    this.ints[at + 1] = second;
    this.length++;
  }

  /** Whether it holds the in-flight counter of `blk`. */
  holds(blk: number): boolean {
    if (this.heldBlk === blk) return this.heldCount > 0;
    return this.heldMore !== null && (this.heldMore.get(blk) ?? 0) > 0;
  }

  /** It raised (1) or lowered (-1) the in-flight counter of `blk`. */
  hold(blk: number, by: number): void {
    if (this.heldBlk === blk) {
      this.heldCount += by;
      return;
    }
    if (this.heldCount === 0) {
      this.heldBlk = blk;
      this.heldCount = by + (this.heldMore?.get(blk) ?? 0);
      this.heldMore?.delete(blk);
      return;
    }
    this.heldMore ??= new Map();
    this.heldMore.set(blk, (this.heldMore.get(blk) ?? 0) + by);
  }
}
