// Whether the events are in an order that a program can have. RAPID does not ask, and neither do the counting rules: they say
// what each event does, whatever came before. But figures of an impossible trace mean little, so the report says where it is one.

import { StdOp } from "#traces/std";
import { grownBytes, grownInts } from "./grown.ts";

/** What no program does, by the event that does it. */
export const IRREGULARITIES = {
  releaseWithoutAcquire: "releases a lock that its thread does not hold",
  acquireOfHeldLock: "takes a lock that another thread holds",
  forkOfRunningThread: "forks a thread that has run already",
  forkTwice: "forks a thread that was forked before",
  joinOfUnknownThread: "joins a thread that never ran and was never forked",
  lockAfterJoin: "takes or releases a lock although its thread was joined",
  forkOrJoinOfItself: "forks or joins its own thread",
} as const;
export type Irregularity = keyof typeof IRREGULARITIES;

export interface Irregularities {
  readonly count: number;
  /** The first one: which event (from 0), and what it does. */
  readonly first: { readonly event: number; readonly what: Irregularity } | null;
}

/** Looks at acquires, releases, forks and joins: engines call it for each of them, and note in `ran` who had an event at all. */
export class OrderCheck {
  #count = 0;
  #first: Irregularities["first"] = null;
  /** Holder + 1 of each lock (0: free) and how often it holds it, side by side. */
  #locks = new Int32Array(128);
  /** 1 for each thread that had an event; engines set it, and take the array anew after `ensure`. */
  ran = new Uint8Array(64);
  #forked = new Uint8Array(64);
  #joined = new Uint8Array(64);

  get result(): Irregularities {
    return { count: this.#count, first: this.#first };
  }

  ensure(threads: number, locks: number): void {
    if (2 * locks > this.#locks.length) this.#locks = grownInts(this.#locks, 4 * locks);
    if (threads > this.ran.length) {
      this.ran = grownBytes(this.ran, 2 * threads);
      this.#forked = grownBytes(this.#forked, 2 * threads);
      this.#joined = grownBytes(this.#joined, 2 * threads);
    }
  }

  acquire(thread: number, lock: number, event: number): void {
    // hot loop
    const locks = this.#locks;
    const holder = locks[2 * lock]!;
    if (this.#joined[thread] !== 0) this.#report("lockAfterJoin", event);
    if (holder === 0) {
      locks[2 * lock] = thread + 1;
      locks[2 * lock + 1] = 1;
    } else if (holder === thread + 1) locks[2 * lock + 1]!++;
    else this.#report("acquireOfHeldLock", event);
  }

  release(thread: number, lock: number, event: number): void {
    // hot loop
    const locks = this.#locks;
    if (this.#joined[thread] !== 0) this.#report("lockAfterJoin", event);
    if (locks[2 * lock] !== thread + 1) this.#report("releaseWithoutAcquire", event);
    else if (--locks[2 * lock + 1]! === 0) locks[2 * lock] = 0;
  }

  forkOrJoin(op: number, thread: number, other: number, event: number): void {
    const isForked = this.#forked[other] === 1;
    const hasRun = this.ran[other] === 1;
    if (other === thread) this.#report("forkOrJoinOfItself", event);
    else if (op === StdOp.join) {
      if (!isForked && !hasRun) this.#report("joinOfUnknownThread", event);
      this.#joined[other] = 1;
    } else {
      if (isForked) this.#report("forkTwice", event);
      else if (hasRun) this.#report("forkOfRunningThread", event);
      this.#forked[other] = 1;
      this.#joined[other] = 0;
    }
  }

  #report(what: Irregularity, event: number): void {
    this.#count++;
    this.#first ??= { event, what };
  }
}
