// What each thread knows of the others: vector clocks that are shared until somebody learns something new.
//
//   thread t:  own clock ─┐        slot: one entry a thread, the last clock of it that the owner knows of
//              slot ──────┼──────► [ . . 7 . 3 . ]  refs 3   (t itself, and two locks that it released since it last learned)
//   lock l:    t, clock, ─┘
//              slot
//
// A release publishes (thread, its own clock, its slot) in a few stores: the slot gets one more reference, nothing is copied.
// Only when a thread learns something, and its slot is shared, the union goes to a slot of its own, in the same loop that would
// have copied. The own clock is kept outside, so the own entry of a slot is stale: whoever compares asks `u === t` first, and
// whoever learns sets that entry from what was published beside the slot. Each clock value is published once at most by
// releases, writes and forks, as they count it up afterwards; hence one entry tells whether a publication is known in full.
//
// Arrays are replaced when they grow: hot loops take them anew after every call of a method that says so.

import { QuiesceError } from "#core/base";
import type { FlatLimits } from "../limits.ts";
import { grownInts } from "./grown.ts";
import { ClockMemory } from "./wide-clocks.ts";

/** The slot that knows nothing; nobody ever writes it. */
export const NOTHING = 0;

/** 64 KiB, the least that a memory has. */
const ENTRIES_START = 1 << 14;

export class Clocks {
  /** Own clock and slot of each thread, side by side; own clocks begin at 1. */
  threads = new Int32Array(0);
  /** Slot s begins at `s << strideLog2`. */
  words: Int32Array<ArrayBuffer>;
  strideLog2 = 4;
  threadCount = 0;
  readonly #limits: FlatLimits;
  readonly #memory = new ClockMemory(ENTRIES_START);
  #refs = new Int32Array(ENTRIES_START >> 4);
  /** Slots in use or free: all below were handed out once. */
  #slots = 1;
  readonly #free: number[] = [];

  constructor(limits: FlatLimits) {
    this.#limits = limits;
    this.words = this.#memory.words;
  }

  /** Makes room for threads below `count`. Replaces arrays. */
  ensureThreads(count: number): void {
    if (count <= this.threadCount) return;
    if (2 * count > this.threads.length) this.threads = grownInts(this.threads, 4 * count);
    for (let thread = this.threadCount; thread < count; thread++) this.threads[2 * thread] = 1;
    this.threadCount = count;
    while (count > 1 << this.strideLog2) this.#widen();
  }

  /** Publishes what `thread` knows in place of what `before` had; returns the slot, and counts the thread's clock up. */
  publish(thread: number, before: number): number {
    // hot loop
    const slot = this.threads[2 * thread + 1]!;
    if (slot !== before) {
      if (slot !== NOTHING) this.#refs[slot]!++;
      this.#drop(before);
    }
    this.tick(thread);
    return slot;
  }

  #drop(slot: number): void {
    // hot loop
    if (slot !== NOTHING && --this.#refs[slot]! === 0) this.#free.push(slot);
  }

  /** `thread` learns what was published as (`other`, `clock`, `slot`). Replaces arrays. */
  learn(thread: number, other: number, clock: number, slot: number): void {
    // hot loop
    const mine = this.threads[2 * thread + 1]!;
    const isMine = mine !== NOTHING && this.#refs[mine] === 1;
    const target = isMine ? mine : this.#take();
    const { strideLog2, threadCount } = this;
    const to = target << strideLog2;
    if (!isMine || slot !== NOTHING)
      this.#memory.unite(to, mine << strideLog2, slot << strideLog2, threadCount);
    if (!isMine) {
      this.threads[2 * thread + 1] = target;
      this.#drop(mine);
    }
    if (this.words[to + other]! < clock) this.words[to + other] = clock;
  }

  /** `thread` learns all that `other` knows and did. Replaces arrays. */
  learnAll(thread: number, other: number): void {
    this.learn(thread, other, this.threads[2 * other] ?? 0, this.threads[2 * other + 1] ?? NOTHING);
  }

  /** `child` begins with what `thread` knows and did, and with nothing else. Replaces arrays. */
  inherit(child: number, thread: number): void {
    this.#drop(this.threads[2 * child + 1] ?? NOTHING);
    this.threads[2 * child + 1] = NOTHING;
    this.learnAll(child, thread);
  }

  /** `thread` counts up what it publishes next. */
  tick(thread: number): void {
    // hot loop
    const clock = this.threads[2 * thread]! + 1;
    if (clock > 0x7fff_fffe)
      throw new QuiesceError(
        "limit",
        "A thread of the trace has more than 2^31 releases and writes.",
      );
    this.threads[2 * thread] = clock;
  }

  /** A slot of the caller's own, whatever its content. Replaces arrays. */
  #take(): number {
    const slot = this.#free.pop() ?? this.#slots++;
    const needed = (slot + 1) << this.strideLog2;
    if (needed > this.words.length) this.#lengthen(needed);
    this.#refs[slot] = 1;
    return slot;
  }

  #lengthen(needed: number): void {
    this.#growTo(Math.max(needed, Math.min(2 * needed, this.#limits.flatClockEntriesMax)));
    this.#refs = grownInts(this.#refs, (this.words.length >> this.strideLog2) + 1);
  }

  /** Doubles the room for threads in every slot. */
  #widen(): void {
    const from = this.strideLog2++;
    const stride = 1 << this.strideLog2;
    this.#growTo(this.#slots * stride);
    const { words } = this;
    for (let slot = this.#slots - 1; slot > NOTHING; slot--) {
      words.copyWithin(slot * stride, slot << from, (slot + 1) << from);
      words.fill(0, slot * stride + (1 << from), (slot + 1) * stride);
    }
    words.fill(0, 0, stride);
  }

  #growTo(entries: number): void {
    if (entries > this.#limits.flatClockEntriesMax) this.#refuse();
    if (entries <= this.words.length) return;
    this.#memory.grow(entries);
    this.words = this.#memory.words;
  }

  #refuse(): never {
    const text = `What ${this.threadCount} threads know of each other does not fit into ${this.#limits.flatClockEntriesMax} entries; analyse a part of the trace, or one with fewer threads.`;
    throw new QuiesceError("limit", text);
  }
}
