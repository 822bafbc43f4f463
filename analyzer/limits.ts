// How much the analyzer keeps apart before it merges (house rule 17). Merging loses nothing that main's edits are judged by;
// tests set the limits low to show that.

import { assert } from "#core/base";
import { WORLD_CTX } from "#core/probe";

/**
 * The highest number of a context that the analyzer follows. Vector clocks are quadratic in contexts: 4,096 make 128 MiB of
 * them, at worst.
 */
export const CONTEXT_MAX = 4095;
/** The highest number of a component of the full order under the task reading: handlers and coroutines at a time. */
export const UNIT_MAX = (1 << 16) - 1;

/** Things of one kind that are there at a time: nodes, edges, coroutines, bottom halves, timers, drained sections. */
export const OBJECTS_MAX = 1 << 18;
/** Requests in flight at a time. */
export const TASKS_MAX = 1 << 16;
/** Drained sections that are open at a time, that hold one node, and coroutines that a drainer waits for: they nest a few deep. */
export const SECTIONS_OPEN_MAX = 1024;
/** Edges in one list. */
export const EDGES_OF_A_LIST_MAX = 4096;
/** Handlers and coroutines entered inside one another in a context. */
export const NESTING_MAX = 1 << 16;
/** Operations on the graph inside one another: each finding names all that it was inside of. */
export const OPERATIONS_NESTING_MAX = 256;
/** Readers of all lists together that are told apart: by site, context and operation. */
export const CELLS_MAX = 1 << 18;
/** Lists that are looked at under the task reading, told apart; of more, all lists are (conflicts/suspects.ts). */
export const SUSPECTS_MAX = 1 << 18;
/** Events that are judged again, in all, to find what findings covered-by-luck rest on: some seconds. */
export const EVENTS_AGAIN_MAX = 10_000_000;
/** Parts of a run, of 4,096 events, with a pair that no protocol orders; of more, the full order is followed from its start. */
export const SUSPECT_PARTS_MAX = 16;
/** Of one reader's reads, those that are told apart by what was released after them. */
export const GROUPS_MAX = 4096;
/** What a task's log still tells apart when it was folded. */
export const LOG_FOLDED_MAX = 1 << 14;
/** Channels that a task learned from by itself, without main. */
export const CHANNELS_KNOWN_MAX = 4096;
/** Moments of tasks that edit or drain off the main context, with what each released since, of one task. */
export const MARKS_MAX = 1 << 16;
/** Findings that are told apart, and rows of the coverage table. */
export const FINDINGS_MAX = 1 << 16;
export const ROWS_MAX = 1 << 18;
/** Components of all vector clocks: 8 bytes each. */
export const CLOCK_COMPONENTS_MAX = 1 << 27;

export interface AnalyzerLimits {
  /** Entries of a task's log before it is folded: far above a request's twenty, small enough to stay in the cache. */
  readonly logEntriesMax: number;
  /** Groups of a cell before they are merged: some patterns of requests times the drains since the last merge. */
  readonly groupsMax: number;
}

export const ANALYZER_LIMITS: AnalyzerLimits = { logEntriesMax: 512, groupsMax: 16 };

/** What the flat engine, which reads foreign traces, may use; beyond it, it says so and stops. */
export interface FlatLimits {
  /** Entries of all threads' vector clocks together, 4 bytes each; twice that while they grow. */
  readonly flatClockEntriesMax: number;
  /** Entries of the accesses that are kept by thread, 8 bytes each, of all variables that several threads read or raced on. */
  readonly flatAccessEntriesMax: number;
  /** Pairs of sites that are told apart, and locations with a racy event: an entry of a table each. */
  readonly flatPairsMax: number;
  readonly flatLocationsMax: number;
  /** Occurrences of pairs that are not told apart: n accesses that all race make some n * n / 2 of them, some 0.5 µs each. */
  readonly flatPairsBeyondMax: number;
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
  flatPairsBeyondMax: 1 << 25,
  flatLockSetMembersMax: 1 << 21,
  flatTransactionsMax: 1 << 16,
  flatSearchStepsMax: 1 << 28,
};

assert(CONTEXT_MAX > WORLD_CTX, "the world is told from contexts before they are counted");
assert(ANALYZER_LIMITS.logEntriesMax > 1, "a log holds a read and a release");
assert(ANALYZER_LIMITS.groupsMax > 1, "there is something to merge");
