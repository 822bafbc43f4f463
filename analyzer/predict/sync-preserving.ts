// Sync-preserving races (Mathur, Pavlogiannis, Viswanathan, POPL 2021): two conflicting accesses race if a correct reordering that
// keeps the order of the critical sections of each lock puts them side by side. That is so if and only if their closure
// contains neither of them; the closure itself, in the recorded order, is then the reordering.

import type { Closure } from "./closure.ts";

/**
 * Whether there is such a reordering, and if so, `closure` is it. It may hold beforehand what it was filled with for an earlier
 * event of the thread of `first`, and the same `second`: that is part of it.
 */
export function isSyncPreservingRace(closure: Closure, first: number, second: number): boolean {
  closure.addBefore(first);
  closure.addBefore(second);
  closure.closeKeepingOrder();
  return !closure.contains(first) && !closure.contains(second);
}
