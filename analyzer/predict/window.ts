// A stretch of a trace, as prediction looks at it: what every event needs before it whatever the schedule, and who holds which
// lock from where to where.
//
// "Needs" is TRF of the papers (see README.md): the events of its own thread before it, the fork of its thread, all of a
// thread that it joins, and for a read the write that it reads from, and what those need. What lies before the window has
// happened, in the recorded order; so reads of a write from there need nothing, and locks that are held then are sections
// that began at place 0. Sets that are closed under TRF are vectors: so many first events of each thread ("a cut").

import { type AbstractBlock, StdOp } from "#traces/std";

/** A critical section; recursion into a lock that is held already is none. */
export interface Section {
  readonly lock: number;
  readonly thread: number;
  /** Place of the acquire in its thread, from 1, and its event; 0 and -1 when it lies before the window. */
  readonly place: number;
  readonly acquire: number;
  /** Place and event of the release; 0 and -1 while there is none. */
  releasePlace: number;
  release: number;
}

/** All sections of one lock in one thread, oldest first. */
export interface Lane {
  readonly lock: number;
  readonly thread: number;
  readonly sections: Section[];
}

/** Locks that are held when a window begins: thread, lock and how often, by the numbers of the trace. */
export interface Held {
  readonly thread: number;
  readonly lock: number;
  readonly depth: number;
}

/** No event. */
export const NONE = -1;

/** Threads by the numbers that the window gives them; events by their place in the window, from 0. */
export class Window {
  readonly events: AbstractBlock;
  readonly count: number;
  readonly threadCount: number;
  /** The trace's number of each thread. */
  readonly threadNumbers: readonly number[];
  /** Thread, and place in it (from 1), of each event. */
  readonly threads: Int32Array;
  readonly places: Int32Array;
  readonly ofThread: readonly (readonly number[])[];
  /** For each event its own cut: what it needs, itself included. Rows of `threadCount` words. */
  readonly cuts: Int32Array;
  /** Lanes by lock. */
  readonly lanes: readonly (readonly Lane[])[];
  /** Which locks the thread of each event holds there, as a number of `sets`. */
  readonly locksets: Int32Array;
  /** The write that each read reads from; NONE where it lies before the window. */
  readonly readsFrom: Int32Array;
  /** The fork of each thread in the window; NONE for a thread that ran before, or was there from the start. */
  readonly forks: readonly number[];
  /** For each join what it waits for: the joined thread's last event until then, or else its fork; NONE for other events. */
  readonly joined: Int32Array;
  /** 1 for acquires and releases that begin and end a section. */
  readonly isOuter: Uint8Array;
  readonly #sets: readonly (readonly number[])[];
  readonly #disjoint = new Map<number, boolean>();

  constructor(events: AbstractBlock, held: readonly Held[]) {
    const built = new Builder(events, held);
    this.events = events;
    this.count = events.count;
    this.threadCount = built.threadNumbers.length;
    this.threadNumbers = built.threadNumbers;
    this.threads = built.threads;
    this.places = built.places;
    this.ofThread = built.ofThread;
    this.cuts = built.cuts;
    this.lanes = [...built.lanes.values()];
    this.locksets = built.locksets;
    this.readsFrom = built.readsFrom;
    this.forks = this.threadNumbers.map((number) => built.forks.get(number) ?? NONE);
    this.joined = built.joined;
    this.isOuter = built.isOuter;
    this.#sets = built.sets;
  }

  /** Raises `cut` to what event `event` needs, itself included. */
  addEvent(cut: Int32Array, event: number): void {
    // hot loop
    const { cuts, threadCount } = this;
    const row = event * threadCount;
    for (let i = 0; i < threadCount; i++) if (cuts[row + i]! > cut[i]!) cut[i] = cuts[row + i]!;
  }

  /** Raises `cut` to what has to happen before `event` can be the next one of its thread. */
  addBefore(cut: Int32Array, event: number): void {
    const thread = this.threads[event] ?? 0;
    const place = this.places[event] ?? 0;
    const fork = this.forks[thread] ?? NONE;
    if (place > 1) this.addEvent(cut, this.ofThread[thread]?.[place - 2] ?? NONE);
    else if (fork !== NONE) this.addEvent(cut, fork);
  }

  /** Whether `cut` contains `event`. */
  contains(cut: Int32Array, event: number): boolean {
    return (cut[this.threads[event] ?? 0] ?? 0) >= (this.places[event] ?? 0);
  }

  /** Whether event `needed` is in what `event` needs. */
  needs(event: number, needed: number): boolean {
    const other = this.threads[needed] ?? 0;
    return (this.cuts[event * this.threadCount + other] ?? 0) >= (this.places[needed] ?? 0);
  }

  /** Whether no lock is held at both events. */
  shareNoLock(a: number, b: number): boolean {
    const [one, other] = [this.locksets[a] ?? 0, this.locksets[b] ?? 0];
    if (one === 0 || other === 0) return true;
    const key = one * this.#sets.length + other;
    let answer = this.#disjoint.get(key);
    if (answer === undefined) {
      const locks = this.#sets[one] ?? [];
      answer = !(this.#sets[other] ?? []).some((lock) => locks.includes(lock));
      this.#disjoint.set(key, answer);
    }
    return answer;
  }

  /** The events of `cut`, in the recorded order. */
  eventsOf(cut: Int32Array): number[] {
    const { threads, places, count } = this;
    const inside: number[] = [];
    for (let event = 0; event < count; event++)
      if ((places[event] ?? 0) <= (cut[threads[event] ?? 0] ?? 0)) inside.push(event);
    return inside;
  }
}

/** One pass over the events. */
class Builder {
  readonly threadNumbers: number[] = [];
  readonly threads: Int32Array;
  readonly places: Int32Array;
  readonly ofThread: number[][] = [];
  readonly cuts: Int32Array;
  readonly lanes = new Map<number, Lane[]>();
  readonly locksets: Int32Array;
  readonly readsFrom: Int32Array;
  readonly joined: Int32Array;
  readonly isOuter: Uint8Array;
  /** By the trace's number of the thread. */
  readonly forks = new Map<number, number>();
  /** Sets of locks by number; the empty one is 0. */
  readonly sets: (readonly number[])[] = [[]];
  readonly #setNumbers = new Map<string, number>([["", 0]]);
  readonly #local = new Map<number, number>();
  readonly #lastWrite = new Map<number, number>();
  readonly #held: Map<number, number>[] = [];
  readonly #holds: number[] = [];

  constructor(events: AbstractBlock, held: readonly Held[]) {
    const { count } = events;
    this.threads = new Int32Array(count);
    this.places = new Int32Array(count);
    this.locksets = new Int32Array(count);
    this.readsFrom = new Int32Array(count).fill(NONE);
    this.joined = new Int32Array(count).fill(NONE);
    this.isOuter = new Uint8Array(count);
    for (const { thread } of held) this.#threadOf(thread);
    for (let i = 0; i < count; i++) this.threads[i] = this.#threadOf(events.threads[i] ?? 0);
    this.cuts = new Int32Array(count * this.threadNumbers.length);
    for (const { thread, lock, depth } of held) {
      const local = this.#threadOf(thread);
      this.#held[local]?.set(lock, depth);
      this.#open(lock, local, 0, NONE);
    }
    this.#held.forEach((locks, thread) => {
      this.#holds[thread] = this.#setOf(locks);
    });
    for (let i = 0; i < count; i++)
      this.#event(i, events.ops[i] ?? 0, events.operands[i] ?? 0, this.threads[i] ?? 0);
  }

  #threadOf(number: number): number {
    const known = this.#local.get(number);
    if (known !== undefined) return known;
    const local = this.threadNumbers.push(number) - 1;
    this.#local.set(number, local);
    this.ofThread.push([]);
    this.#held.push(new Map());
    this.#holds.push(0);
    return local;
  }

  #event(i: number, op: number, operand: number, thread: number): void {
    const own = this.ofThread[thread] ?? [];
    const place = own.push(i);
    this.places[i] = place;
    this.locksets[i] = this.#holds[thread] ?? 0;
    const start = this.forks.get(this.threadNumbers[thread] ?? NONE) ?? NONE;
    this.#join(i, place > 1 ? (own[place - 2] ?? NONE) : start);
    if (op === StdOp.join) this.joined[i] = this.#endOf(operand);
    if (op === StdOp.read) this.readsFrom[i] = this.#lastWrite.get(operand) ?? NONE;
    this.#join(i, this.joined[i] ?? NONE);
    this.#join(i, this.readsFrom[i] ?? NONE);
    this.cuts[i * this.threadNumbers.length + thread] = place;
    if (op === StdOp.write) this.#lastWrite.set(operand, i);
    else if (op === StdOp.fork) this.forks.set(operand, i);
    else if (op === StdOp.acquire) this.#acquire(i, operand, thread, place);
    else if (op === StdOp.release) this.#release(i, operand, thread, place);
  }

  /** The last event of thread `number` so far, or its fork when it has had none. */
  #endOf(number: number): number {
    const local = this.#local.get(number);
    const last = local === undefined ? undefined : this.ofThread[local]?.at(-1);
    return last ?? this.forks.get(number) ?? NONE;
  }

  #join(event: number, other: number): void {
    // hot loop
    if (other === NONE) return;
    const { cuts } = this;
    const { length } = this.threadNumbers;
    const [to, from] = [event * length, other * length];
    for (let i = 0; i < length; i++)
      if (cuts[from + i]! > cuts[to + i]!) cuts[to + i] = cuts[from + i]!;
  }

  #acquire(event: number, lock: number, thread: number, place: number): void {
    const depth = this.#count(thread, lock, 1);
    if (depth > 1) return;
    this.isOuter[event] = 1;
    this.#open(lock, thread, place, event);
    this.#holds[thread] = this.#setOf(this.#held[thread] ?? new Map());
  }

  #release(event: number, lock: number, thread: number, place: number): void {
    if (this.#count(thread, lock, -1) > 0) return;
    this.#holds[thread] = this.#setOf(this.#held[thread] ?? new Map());
    const section = this.#laneOf(lock, thread).sections.at(-1);
    if (section === undefined) return;
    this.isOuter[event] = 1;
    section.release = event;
    section.releasePlace = place;
  }

  #count(thread: number, lock: number, by: number): number {
    const locks = this.#held[thread] ?? new Map<number, number>();
    const depth = (locks.get(lock) ?? 0) + by;
    if (depth > 0) locks.set(lock, depth);
    else locks.delete(lock);
    return depth;
  }

  #open(lock: number, thread: number, place: number, acquire: number): void {
    const section = { lock, thread, place, acquire, releasePlace: 0, release: NONE };
    this.#laneOf(lock, thread).sections.push(section);
  }

  #laneOf(lock: number, thread: number): Lane {
    const lanes = this.lanes.get(lock) ?? [];
    this.lanes.set(lock, lanes);
    let lane = lanes.find((each) => each.thread === thread);
    if (lane === undefined) {
      lane = { lock, thread, sections: [] };
      lanes.push(lane);
    }
    return lane;
  }

  #setOf(locks: ReadonlyMap<number, number>): number {
    const members = [...locks.keys()].sort((a, b) => a - b);
    const key = members.join();
    let number = this.#setNumbers.get(key);
    if (number === undefined) {
      number = this.sets.push(members) - 1;
      this.#setNumbers.set(key, number);
    }
    return number;
  }
}
