// A well-formed trace of any length, as the races reference describes those on which RAPID was measured: some 18 % of the events
// synchronise, 61 % read, 21 % write; 64 locks guard 16 variables each, every thread has 16 of its own, 8 are only read once the
// others run; one access in a thousand ignores the locks. A thread that holds a lock is picked more often, as sections are short.

import { Prng } from "#core/base";
import {
  type AbstractBlock,
  type AbstractNames,
  type AbstractSource,
  newBlock,
  StdOp,
} from "#traces/std";

export interface StdWorkload {
  readonly events: number;
  readonly threads: number;
  readonly locks: number;
  readonly seed: number;
  /** One access in so many ignores the locks; 0: none does. */
  readonly undisciplined: number;
}

const GUARDED_PER_LOCK = 16;
const OWN_PER_THREAD = 16;
const SHARED = 8;
const BLOCK = 1 << 14;
/** RapidBin's. */
const LOCATION_MAX = (1 << 15) - 1;
/** Accesses between taking a lock and letting go of it: 18 % of the events synchronise. */
const ACCESSES_PER_SECTION = 8;

export function stdWorkload(workload: StdWorkload): AbstractSource {
  return { names: namesOf(workload), blocks: () => new Generating(workload).blocks() };
}

function namesOf({ threads, locks }: StdWorkload): AbstractNames {
  const table = (prefix: string, count: number) => ({
    count,
    name: (i: number) => `${prefix}${i}`,
  });
  const variables = locks * GUARDED_PER_LOCK + threads * OWN_PER_THREAD + SHARED;
  return {
    threads: table("T", threads),
    variables: table("V", variables),
    locks: table("L", locks),
  };
}

class Generating {
  readonly #workload: StdWorkload;
  readonly #random: Prng;
  readonly #block = newBlock(BLOCK);
  /** Per thread: the lock that it holds or -1, and the accesses until it lets go. */
  readonly #held: Int32Array;
  readonly #left: Int32Array;
  readonly #isTaken: Uint8Array;
  readonly #holders: number[] = [];

  constructor(workload: StdWorkload) {
    this.#workload = workload;
    this.#random = new Prng(workload.seed);
    this.#held = new Int32Array(workload.threads).fill(-1);
    this.#left = new Int32Array(workload.threads);
    this.#isTaken = new Uint8Array(workload.locks);
  }

  *blocks(): Generator<AbstractBlock, void, undefined> {
    const { threads, locks, events } = this.#workload;
    const shared = locks * GUARDED_PER_LOCK + threads * OWN_PER_THREAD;
    let done = 0;
    for (let i = 0; i < SHARED; i++) this.#emit(0, StdOp.write, shared + i);
    for (let thread = 1; thread < threads; thread++) this.#emit(0, StdOp.fork, thread);
    for (;;) {
      while (this.#block.count < BLOCK - 1) this.#step();
      if (done + this.#block.count >= events) break;
      done += this.#block.count;
      yield this.#block;
      this.#block.count = 0;
    }
    this.#block.count = events - done;
    yield this.#block;
  }

  /** One event. */
  #step(): void {
    const random = this.#random;
    const isHolder = this.#holders.length > 0 && random.below(100) < 85;
    const thread = isHolder ? random.pick(this.#holders) : random.below(this.#workload.threads);
    const held = this.#held[thread] ?? -1;
    const left = this.#left[thread] ?? 0;
    if (held < 0) {
      const lock = random.below(this.#workload.locks);
      if (this.#isTaken[lock] === 0) this.#take(thread, lock);
      else this.#access(thread, this.#ownVariable(thread));
    } else if (left === 0) this.#letGo(thread, held);
    else {
      this.#left[thread] = left - 1;
      this.#accessIn(thread, held);
    }
  }

  /** An access by a thread that holds the lock `held`. */
  #accessIn(thread: number, held: number): void {
    const random = this.#random;
    const { threads, locks, undisciplined } = this.#workload;
    if (undisciplined > 0 && random.below(undisciplined) === 0)
      this.#access(thread, random.below(locks * GUARDED_PER_LOCK));
    else {
      const kind = random.below(10);
      const shared = locks * GUARDED_PER_LOCK + threads * OWN_PER_THREAD;
      if (kind === 0) this.#emit(thread, StdOp.read, shared + random.below(SHARED));
      else if (kind < 3) this.#access(thread, this.#ownVariable(thread));
      else this.#access(thread, held * GUARDED_PER_LOCK + random.below(GUARDED_PER_LOCK));
    }
  }

  #ownVariable(thread: number): number {
    return (
      this.#workload.locks * GUARDED_PER_LOCK +
      thread * OWN_PER_THREAD +
      this.#random.below(OWN_PER_THREAD)
    );
  }

  #take(thread: number, lock: number): void {
    this.#isTaken[lock] = 1;
    this.#held[thread] = lock;
    this.#left[thread] = 1 + this.#random.below(2 * ACCESSES_PER_SECTION);
    this.#holders.push(thread);
    this.#emit(thread, StdOp.acquire, lock);
  }

  #letGo(thread: number, lock: number): void {
    this.#isTaken[lock] = 0;
    this.#held[thread] = -1;
    const last = this.#holders.pop();
    const index = this.#holders.indexOf(thread);
    if (index >= 0 && last !== undefined) this.#holders[index] = last;
    this.#emit(thread, StdOp.release, lock);
  }

  #access(thread: number, variable: number): void {
    this.#emit(thread, this.#random.below(100) < 72 ? StdOp.read : StdOp.write, variable);
  }

  #emit(thread: number, op: StdOp, operand: number): void {
    const block = this.#block;
    const at = block.count++;
    block.ops[at] = op;
    block.threads[at] = thread;
    block.operands[at] = operand;
    const isAccess = op === StdOp.read || op === StdOp.write;
    block.locations[at] = isAccess ? (2 * operand + (op & 1)) & LOCATION_MAX : op;
  }
}
