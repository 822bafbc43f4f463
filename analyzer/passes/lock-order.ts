// Cycles in the order of locks: somebody takes b while holding a, somebody else a while holding b; another schedule stops both for
// ever. No schedule that was seen has to.
//
//   main   lock a ── lock b ── unlock …          a → b by main
//   io1                lock b ── lock a ── …     b → a by io1: a cycle, unless both held a third lock c, the gate
//
// Who takes a lock is a thread (its context) for the locks of threads, and the running coroutine or handler for those of
// coroutines (co_mutex, co_rwlock): a coroutine keeps them while it sleeps. A cycle needs as many different takers as it has locks,
// and no lock that two of them hold in common: that gate would keep them apart. Readers of a co_rwlock count as holders, though
// two readers do not stop one another; the big lock does not, since main holds it from beginning to end.

import { Ev, LockKindOf } from "#core/probe";
import type { Told } from "../drafts.ts";
import type { Names } from "../names.ts";
import type { Pass, PassContext } from "./pass.ts";

/** Locks of a cycle: longer ones are not looked for. */
const CYCLE_MAX = 4;
/** Takers of one lock under another that are remembered. */
const WITNESSES_MAX = 16;
/** Pairs of locks that are remembered: far more than a sane program has. */
const EDGES_MAX = 4096;

/** Somebody took one lock while holding another. */
interface Witness {
  readonly taker: number;
  readonly ctx: number;
  readonly index: number;
  /** Everything that was held. */
  readonly held: readonly number[];
  /** A lock of the thread was held or taken: it does not stop others of that thread. */
  readonly ofThread: boolean;
}

interface Step {
  readonly from: number;
  readonly to: number;
  readonly witness: Witness;
}

export class LockOrder implements Pass {
  readonly kinds = [Ev.lock_acquire, Ev.lock_release] as const;
  readonly #context: PassContext;
  /** Held locks, by taker: a context, or an activity (model/operations.ts), whose numbers differ from those of contexts. */
  readonly #held = new Map<number, number[]>();
  /** From a lock that was held to locks taken meanwhile. */
  readonly #edges = new Map<number, Map<number, Witness[]>>();
  #edgeCount = 0;
  /** The one lock that is held, and by whom, while nothing else is: most are given back at once, and never come into the table. */
  #loneLock = 0;
  #loneTaker = 0;
  #loneIsOfThread = false;
  /** Locks of threads among those in the table. */
  readonly #ofThreads = new Set<number>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, lock: number, lockKind: number, depth: number): void {
    if (lockKind === LockKindOf.bql) return;
    const { now, operations } = this.#context;
    const ofThread = lockKind === LockKindOf.aio_context || lockKind === LockKindOf.mutex;
    const activity = operations.activity(now.ctx);
    const taker = ofThread ? now.ctx : activity;
    if (kind === Ev.lock_release) {
      if (depth === 0) this.#release(taker, lock);
      return;
    }
    if (depth !== 1) return;
    if (this.#loneLock === 0 && this.#held.size === 0) {
      this.#loneLock = lock;
      this.#loneTaker = taker;
      this.#loneIsOfThread = ofThread;
      return;
    }
    if (this.#loneLock !== 0) {
      this.#held.set(this.#loneTaker, [this.#loneLock]);
      if (this.#loneIsOfThread) this.#ofThreads.add(this.#loneLock);
    }
    this.#loneLock = 0;
    if (ofThread) this.#ofThreads.add(lock);
    const own = this.#held.get(taker);
    const other = ofThread ? activity : now.ctx;
    const more = other === taker ? undefined : this.#held.get(other);
    if (own !== undefined || more !== undefined) {
      const held = [...(own ?? []), ...(more ?? [])];
      const isMixed = ofThread || held.some((one) => this.#ofThreads.has(one));
      this.#takes(lock, taker, held, isMixed);
    }
    if (own === undefined) this.#held.set(taker, [lock]);
    else own.push(lock);
  }

  #release(taker: number, lock: number): void {
    if (this.#loneLock === lock && this.#loneTaker === taker) {
      this.#loneLock = 0;
      return;
    }
    const own = this.#held.get(taker);
    const at = own?.lastIndexOf(lock) ?? -1;
    if (own === undefined || at < 0) return;
    own.splice(at, 1);
    if (own.length === 0) this.#held.delete(taker);
  }

  #takes(lock: number, taker: number, held: readonly number[], ofThread: boolean): void {
    const { ctx, index } = this.#context.now;
    for (const from of held) {
      const witnesses = from === lock ? null : this.#witnesses(from, lock);
      if (witnesses === null || witnesses.length >= WITNESSES_MAX) continue;
      const isKnown = witnesses.some(
        (witness) => witness.taker === taker && witness.held.join() === held.join(),
      );
      if (!isKnown) witnesses.push({ taker, ctx, index, held, ofThread });
    }
  }

  #witnesses(from: number, to: number): Witness[] | null {
    let edges = this.#edges.get(from);
    if (edges === undefined) {
      edges = new Map();
      this.#edges.set(from, edges);
    }
    let witnesses = edges.get(to);
    if (witnesses === undefined) {
      if (this.#edgeCount >= EDGES_MAX) return null;
      this.#edgeCount++;
      witnesses = [];
      edges.set(to, witnesses);
    }
    return witnesses;
  }

  finish(): void {
    // Each cycle is found from its smallest lock.
    for (const start of this.#edges.keys()) this.#search(start, start, []);
  }

  #search(start: number, at: number, path: readonly Step[]): void {
    for (const [to, witnesses] of this.#edges.get(at) ?? []) {
      if (to < start || path.some((step) => step.from === to && to !== start)) continue;
      for (const witness of witnesses) {
        if (!path.every((step) => canMeet(step.witness, witness))) continue;
        const steps = [...path, { from: at, to, witness }];
        if (to === start) this.#note(steps);
        else if (steps.length < CYCLE_MAX) this.#search(start, to, steps);
      }
    }
  }

  #note(steps: readonly Step[]): void {
    const { drafts } = this.#context;
    const locks = steps.map(({ from }) => from);
    const last = Math.max(...steps.map(({ witness }) => witness.index));
    const told: Told = {
      title: (names) =>
        `Locks are taken in a circle: ${[...locks, locks[0] ?? 0].map((lock) => names.lock(lock)).join(", then ")}.`,
      why: (names) => `${steps.map((step) => stepText(step, names)).join("; ")}.`,
      identity: (names) => locks.map((lock) => names.lock(lock)).sort(),
    };
    const why = { code: "told", told } as const;
    drafts.tell("lock-order-cycle", locks.join(" "), last, { why, node: null, site: 0 });
  }
}

function stepText({ from, to, witness }: Step, names: Names): string {
  return `${names.ctx(witness.ctx)} took ${names.lock(to)} while holding ${names.lock(from)}, at event ${witness.index}`;
}

/** Whether both can be where they are at once: they are different, and no lock is held by both. */
function canMeet(a: Witness, b: Witness): boolean {
  if (a.taker === b.taker || (a.ctx === b.ctx && (a.ofThread || b.ofThread))) return false;
  return !a.held.some((lock) => b.held.includes(lock));
}
