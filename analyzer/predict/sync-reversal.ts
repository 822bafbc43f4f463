// Optimistic sync-reversal races (Shi, Mathur, Pavlogiannis, ICSE 2024): critical sections may change their order, where it is
// clear which way. Sections that must stay open (their release comes after one of the two accesses) come last of their lock;
// all others, and all conflicting accesses, keep the recorded order. If that is possible, i.e. the order has no cycle, any
// arrangement of it is a correct reordering.

import { StdOp } from "#traces/std";
import type { Closure } from "./closure.ts";
import { NONE, type Section, type Window } from "./window.ts";

/** The events of an optimistic reordering, in its order, after which both accesses can come next; null for none. */
export function syncReversalOrder(
  window: Window,
  closure: Closure,
  first: number,
  second: number,
): readonly number[] | null {
  closure.reset();
  closure.addBefore(first);
  closure.addBefore(second);
  if (closure.contains(first) || closure.contains(second)) return null;
  closure.closeOptimistically(first, second);
  const open: Section[] = [];
  let isReversed = false;
  for (const end of closure.ends()) {
    const [section, another] = end.open;
    if (another !== undefined) return null;
    if (section === undefined) continue;
    open.push(section);
    if (end.lastClosed === null || end.lastClosed.acquire < section.acquire) continue;
    // What was taken before the window cannot be taken last.
    if (section.acquire === NONE) return null;
    isReversed = true;
  }
  const events = window.eventsOf(closure.cut);
  return isReversed ? arranged(window, events, open, closure) : events;
}

/** `events` in an order in which `open` come last of their locks; null when there is a cycle. */
function arranged(
  window: Window,
  events: readonly number[],
  open: readonly Section[],
  closure: Closure,
): readonly number[] | null {
  const before = predecessors(window, events, new Set(open.map(({ acquire }) => acquire)));
  closure.work += 2 * events.length;
  const state = new Uint8Array(window.count);
  const order: number[] = [];
  // Depth first, in the recorded order, so that nothing moves that need not.
  for (const root of events) {
    const stack = [root];
    while (stack.length > 0) {
      const event = stack.at(-1) ?? NONE;
      if (state[event] !== SEEN) {
        if (state[event] === DONE) {
          stack.pop();
          continue;
        }
        state[event] = SEEN;
        for (const earlier of before.get(event) ?? []) {
          if (state[earlier] === SEEN) return null;
          if (state[earlier] !== DONE) stack.push(earlier);
        }
        continue;
      }
      stack.pop();
      state[event] = DONE;
      order.push(event);
    }
  }
  return order;
}

/** Being visited: everything before it comes first; and in the order already. */
const SEEN = 1;
const DONE = 2;

/** What comes directly before each event: in its thread, among conflicting accesses, and among the sections of its lock. */
function predecessors(
  { events, threads, forks, joined, isOuter }: Window,
  inside: readonly number[],
  open: ReadonlySet<number>,
): ReadonlyMap<number, readonly number[]> {
  const before = new Map<number, number[]>();
  const lastOf = new Map<number, number>();
  const writes = new Map<number, number>();
  const reads = new Map<number, number[]>();
  const released = new Map<number, number>();
  for (const event of inside) {
    const [op, operand, thread] = [
      events.ops[event],
      events.operands[event] ?? 0,
      threads[event] ?? 0,
    ];
    const own = [lastOf.get(thread) ?? forks[thread], joined[event]];
    lastOf.set(thread, event);
    if (op === StdOp.read) {
      own.push(writes.get(operand));
      const since = reads.get(operand);
      if (since === undefined) reads.set(operand, [event]);
      else since.push(event);
    } else if (op === StdOp.write) {
      own.push(writes.get(operand), ...(reads.get(operand) ?? []));
      writes.set(operand, event);
      reads.delete(operand);
    } else if (isOuter[event] === 1) {
      if (op === StdOp.release) released.set(operand, event);
      else if (!open.has(event)) own.push(released.get(operand));
    }
    before.set(
      event,
      own.filter((earlier) => earlier !== undefined && earlier !== NONE) as number[],
    );
  }
  // The last release of a lock is known only now.
  for (const acquire of open) {
    const last = released.get(events.operands[acquire] ?? 0);
    if (last !== undefined) before.get(acquire)?.push(last);
  }
  return before;
}
