// A request task (design D9) as the analyzer follows it: what it knows, and the log of what it did that is not yet published.
//
// The log holds reads and releases in order. When the task ends, it is walked backwards, so that each read gets the
// signature of the releases behind it (conflicts/). A request's log is some twenty entries; a job's task may live for
// millions of events, so a log that grows long is folded: reads with equal signatures become one entry.

import { refuseMore } from "../bounds.ts";
import type { Cells } from "../conflicts/cells.ts";
import type { Folded } from "../conflicts/variable.ts";
import { MARKS_MAX } from "../limits.ts";
import { type Extra, Gen, type Knowledge, type Mark } from "./knowledge.ts";
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

/** An entry of the log: who read (a cell's number), or what was released into (a generation's number, below 0), or OTHER. */
const REF = 0;
/** The read's event; of OTHER, a number of reads in one (`folded`), or TAKEN. */
const INDEX = 1;
const EPOCH = 2;
const LOG_WORDS = 3;

export const OTHER = 0;
/** A read that was judged before the task's end. */
export const TAKEN = -1;

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

  /** The log; what its numbers below 0 and OTHER stand for. */
  #log = new Int32Array(32 * LOG_WORDS);
  length = 0;
  readonly #gens: Gen[] = [];
  #genCount = 0;
  #folded: readonly Folded[] = [];
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
    this.#genCount = 0;
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

  logRead(cells: Cells, number: number, index: number, epoch: number): void {
    cells.log(number, this.id);
    this.#push(number, index, epoch);
  }

  logRelease(gen: Gen): void {
    if (this.marks !== null) this.#releaseMarks(this.marks, gen);
    // A release without a read since the one before it changes no signature.
    if (this.length === 0) return;
    const last = this.ref(this.length - 1);
    if (last < 0 && this.gen(last) === gen) return;
    this.#pushGen(gen);
  }

  #pushGen(gen: Gen): void {
    this.#gens[this.#genCount++] = gen;
    this.#push(-this.#genCount, 0, 0);
  }

  ref(entry: number): number {
    return this.#log[entry * LOG_WORDS + REF] as number;
  }

  index(entry: number): number {
    return this.#log[entry * LOG_WORDS + INDEX] as number;
  }

  epoch(entry: number): number {
    return this.#log[entry * LOG_WORDS + EPOCH] as number;
  }

  /** What a reference below 0 is. */
  gen(ref: number): Gen {
    return this.#gens[-ref - 1] as Gen;
  }

  /** What an entry of OTHER with this index is; null for a read that was taken. */
  folded(index: number): Folded | null {
    return index === TAKEN ? null : (this.#folded[index] as Folded);
  }

  /** Takes a read out of the log. */
  take(entry: number): void {
    this.#log[entry * LOG_WORDS + REF] = OTHER;
    this.#log[entry * LOG_WORDS + INDEX] = TAKEN;
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
    this.length = 0;
    this.#genCount = 0;
    const folded: Folded[] = [];
    for (const entry of entries) {
      if (entry instanceof Gen) this.#pushGen(entry);
      else this.#push(OTHER, folded.push(entry) - 1, 0);
    }
    this.#folded = folded;
    this.foldAt = Math.max(this.foldAt, this.length * 2);
  }

  #push(ref: number, index: number, epoch: number): void {
    const at = this.length * LOG_WORDS;
    if (at === this.#log.length) {
      const larger = new Int32Array(this.#log.length * 2);
      larger.set(this.#log);
      this.#log = larger;
    }
    this.#log[at + REF] = ref;
    this.#log[at + INDEX] = index;
    this.#log[at + EPOCH] = epoch;
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
