// The flat analysis: races of an abstract trace by happens-before or schedulable happens-before, block by block.

import type { AbstractNames, AbstractSource } from "#traces/std";
import { FLAT_LIMITS, type FlatLimits } from "../limits.ts";
import { HbEngine } from "./hb-engine.ts";
import type { Irregularities } from "./order-check.ts";
import type { FlatPair } from "./race-tally.ts";
import { ShbEngine } from "./shb-engine.ts";

/** Happens-before, or schedulable happens-before. */
export type FlatOrder = "hb" | "shb";

export interface FlatOptions {
  readonly order: FlatOrder;
  readonly limits?: Partial<FlatLimits>;
  /** Called now and then with how many events are done. */
  readonly onProgress?: (events: number) => void;
}

export interface FlatResult {
  readonly order: FlatOrder;
  readonly events: number;
  /** RAPID's figures: events that are in a race with an earlier one, and how many locations and variables these have. */
  readonly racyEvents: number;
  readonly racyLocations: number;
  readonly racyVariables: number;
  /** Counted from 0; null when no event is racy. */
  readonly firstRacyEvent: number | null;
  /** Racing pairs of sites, by first occurrence. */
  readonly pairs: readonly FlatPair[];
  readonly pairsBeyondLimit: number;
  readonly irregularities: Irregularities;
  readonly names: AbstractNames;
}

/** Judges all of `source`. */
export function analyzeFlat(source: AbstractSource, options: FlatOptions): FlatResult {
  const limits = { ...FLAT_LIMITS, ...options.limits };
  const engine = options.order === "hb" ? new HbEngine(limits) : new ShbEngine(limits);
  for (const block of source.blocks()) {
    engine.feed(block, source.names);
    options.onProgress?.(engine.events);
  }
  const { tally, order, events } = engine;
  const { racyEvents, racyLocations, racyVariables, firstRacyEvent, pairs, pairsBeyondLimit } =
    tally;
  return {
    order: options.order,
    events,
    racyEvents,
    racyLocations,
    racyVariables,
    firstRacyEvent: firstRacyEvent < 0 ? null : firstRacyEvent,
    pairs,
    pairsBeyondLimit,
    irregularities: order.result,
    names: source.names,
  };
}
