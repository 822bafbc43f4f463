// What the analyzer is given: the events in batches, and the tables that give their numbers names. A trace reader, a
// recorder's memory and a drawn test all fit this shape, so the analyzer knows none of them.

import type { EventBatch, Site } from "#core/probe";
import type { Suspects } from "./conflicts/suspects.ts";
import type { EdgeKind } from "./edge-kinds.ts";
import type { AnalyzerLimits } from "./limits.ts";
import type { PolicyLock } from "./policies/asleep.ts";
import type { PolicyId } from "./policies/policy.ts";

/** A trace as the analyzer sees it. `strings` may still grow while `batches` are read: it is looked at when the last one is done. */
export interface TraceInput {
  readonly batches: Iterable<EventBatch>;
  /** The same events from the start, where they can be read again: `analyze` is quicker then, as few runs need that. */
  readonly again?: () => Iterable<EventBatch>;
  /** Entry i is the site i + 1. */
  readonly sites: readonly Site[];
  /** Entry i is the string i; entry 0 is "". */
  readonly strings: readonly string[];
}

/** The readings of program order. */
export const READINGS = ["thread", "task", "both"] as const;
export type Reading = (typeof READINGS)[number];

/** How to analyse; all have sensible defaults. */
export interface AnalyzeOptions {
  /** "both" (the default) also names accidents; "sanctioned" is faster and calls every unsanctioned pair a race. */
  readonly orders?: "both" | "sanctioned";
  /**
   * "hb" (the default): lists are judged, not trusted, so a read orders nothing. "shb": schedulable happens-before (Mathur, Kini,
   * Viswanathan, OOPSLA 2018): once it was judged, a read comes after the edit whose outcome it saw, in the full order. Then
   * what is a race only because of another race is none, and each one that is left is one that some schedule shows.
   */
  readonly order?: "hb" | "shb";
  /**
   * Program order of the full order: "thread" (the default) puts all events of a context in a row; "task" orders two handlers
   * of an iothread only by what posted them, which shows what another schedule of the same context could do. "both" follows
   * the two at once (`analyze` alone does): the findings of "thread", and those that only "task" has.
   */
  readonly reading?: Reading;
  /** Kinds of edges to leave out: shows which of them a verdict rests on. */
  readonly disableEdges?: ReadonlySet<EdgeKind>;
  /** Policies to judge by as well; the result has a judgement of each. By default none: the findings are those of P1. */
  readonly policies?: readonly PolicyId[];
  /** Also say what each drain cost (`AnalysisResult.drains`), with a note where one was needless. By default no. */
  readonly drains?: boolean;
  /**
   * Also find out without which accidental edges a pair that luck keeps apart is a race, where the trace can be read again: that
   * judges it some more times, if there are such pairs. By default no.
   */
  readonly smallestEdges?: boolean;
}

/** What follows the full order (order/full.ts). */
export type Clocks = "main" | "vectors";

/** How an analysis works; its results are the same but that "main" throws OffMain where it cannot judge. */
export interface AnalysisSettings {
  readonly limits?: AnalyzerLimits;
  /** By default vectors. */
  readonly clocks?: Clocks;
  /** Gathers the lists of which the full order, or the task reading, is to be asked. */
  readonly suspects?: Suspects;
  /** Judge these lists alone, and by the rules alone that ask for the full order. */
  readonly only?: Suspects;
  /** Locks that are known to be taken; where another is, LockTaken is thrown if a policy rests on it. By default each is. */
  readonly awake?: ReadonlySet<PolicyLock>;
}
