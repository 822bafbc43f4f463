// How much the analyzer keeps apart before it merges (house rule 17). Merging loses nothing that main's edits are judged by;
// tests set the limits low to show that.

import { assert } from "#core/base";
import { WORLD_CTX } from "#core/probe";

/**
 * The highest number of a context that the analyzer follows. The full order's clocks are quadratic in contexts: 4,096 make
 * 128 MiB of them, at worst.
 */
export const CONTEXT_MAX = 4095;

export interface AnalyzerLimits {
  /** Entries of a task's log before it is folded: far above a request's twenty, small enough to stay in the cache. */
  readonly logEntriesMax: number;
  /** Groups of a cell before they are merged: some patterns of requests times the drains since the last merge. */
  readonly groupsMax: number;
}

export const ANALYZER_LIMITS: AnalyzerLimits = { logEntriesMax: 512, groupsMax: 48 };

/** What the flat engine, which reads foreign traces, may use; beyond it, it says so and stops. */
export interface FlatLimits {
  /** Entries of all threads' vector clocks together, 4 bytes each; twice that while they grow. */
  readonly flatClockEntriesMax: number;
  /** Entries of the accesses that are kept by thread, 8 bytes each, of all variables that several threads read or raced on. */
  readonly flatAccessEntriesMax: number;
  /** Pairs of sites that are told apart, and locations with a racy event: an entry of a table each. */
  readonly flatPairsMax: number;
  readonly flatLocationsMax: number;
  /** Members of all sets of locks that the lockset rule tells apart. */
  readonly flatLockSetMembersMax: number;
  /** Blocks and single events that the atomicity rule cannot forget yet, and how many its searches may visit together. */
  readonly flatTransactionsMax: number;
  readonly flatSearchStepsMax: number;
}

export const FLAT_LIMITS: FlatLimits = {
  flatClockEntriesMax: 1 << 26,
  flatAccessEntriesMax: 1 << 25,
  flatPairsMax: 1 << 18,
  flatLocationsMax: 1 << 23,
  flatLockSetMembersMax: 1 << 21,
  flatTransactionsMax: 1 << 16,
  flatSearchStepsMax: 1 << 28,
};

assert(CONTEXT_MAX > WORLD_CTX, "the world is told from contexts before they are counted");
assert(ANALYZER_LIMITS.logEntriesMax > 1, "a log holds a read and a release");
assert(ANALYZER_LIMITS.groupsMax > 1, "there is something to merge");
