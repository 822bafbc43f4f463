// Circles in the order of locks by brute force: every sequence of at most four takings, each of a lock while another is held.

import { Ev, LockKindOf } from "#core/probe";
import type { Event } from "../oracle-kinds.ts";
import { whereOf } from "./stacks.ts";
import type { Violation } from "./violation.ts";

/** Somebody took a lock while holding others. */
interface Taking {
  readonly taker: string;
  readonly ctx: number;
  /** A lock of the thread is among those held and taken. */
  readonly ofThread: boolean;
  readonly lock: number;
  readonly held: readonly number[];
}

/** A lock that is held, by a thread or by what runs in it. */
interface Held {
  readonly lock: number;
  readonly ofThread: boolean;
  readonly by: string;
}

export function lockOrderCycle(events: readonly Event[]): Violation[] {
  const takings = takingsOf(events);
  const circles = new Set<string>();
  const extend = (path: readonly Taking[], locks: readonly number[]): void => {
    for (const next of takings) {
      if (!next.held.includes(locks.at(-1) as number) || !path.every((one) => canMeet(one, next)))
        continue;
      if (next.lock === locks[0] && locks.length > 1) circles.add(locks.join(" "));
      else if (!locks.includes(next.lock) && path.length < 3)
        extend([...path, next], [...locks, next.lock]);
    }
  };
  for (const lock of new Set(takings.map((taking) => taking.lock))) extend([], [lock]);
  // Each circle is found from every lock in it: keep the one that begins with the smallest.
  return [...circles]
    .filter((circle) => {
      const locks = circle.split(" ").map(Number);
      return locks[0] === Math.min(...locks);
    })
    .map((said) => ({ rule: "lock-order-cycle", key: said, at: 0, said }));
}

function takingsOf(events: readonly Event[]): Taking[] {
  const where = whereOf(events);
  const held: Held[] = [];
  const takings: Taking[] = [];
  events.forEach(({ kind, ctx, args: [lock, what, depth] }, at) => {
    if ((kind !== Ev.lock_acquire && kind !== Ev.lock_release) || what === LockKindOf.bql) return;
    const ofThread = what === LockKindOf.aio_context || what === LockKindOf.mutex;
    // The body of a context is its thread.
    const thread = `ctx ${ctx}`;
    const runner = where[at]?.activity ?? thread;
    const by = ofThread ? thread : runner;
    if (kind === Ev.lock_release) {
      const own = held.findLastIndex((one) => one.lock === lock && one.by === by);
      if (depth === 0 && own >= 0) held.splice(own, 1);
    } else if (depth === 1) {
      const own = held.filter((one) => one.by === thread || one.by === runner);
      if (own.length > 0)
        takings.push({
          taker: by,
          ctx,
          ofThread: ofThread || own.some((one) => one.ofThread),
          lock,
          held: own.map((one) => one.lock),
        });
      held.push({ lock, ofThread, by });
    }
  });
  return takings;
}

/** Both can be where they are at once: they are different, and no lock is held by both. */
function canMeet(a: Taking, b: Taking): boolean {
  if (a.taker === b.taker || (a.ctx === b.ctx && (a.ofThread || b.ofThread))) return false;
  return !a.held.some((lock) => b.held.includes(lock));
}
