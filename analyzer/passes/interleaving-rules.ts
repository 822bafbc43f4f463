// The rules about interleaving on one thread, lifetimes, and wake-ups: one a file, put together here.

import { DrainPhases } from "./drain-phases.ts";
import { InterleavedOperations } from "./interleaved-operations.ts";
import { LostWakeup } from "./lost-wakeup.ts";
import type { Pass, PassContext } from "./pass.ts";
import { PollNotAllowed } from "./poll-not-allowed.ts";
import { RaceWithFree } from "./race-with-free.ts";
import { StalePointer } from "./stale-pointer.ts";
import { UseAfterFree } from "./use-after-free.ts";

export function interleavingRules(context: PassContext): readonly Pass[] {
  const drains = new DrainPhases(context);
  return [
    drains,
    new UseAfterFree(context),
    new RaceWithFree(context),
    new InterleavedOperations(context, drains),
    new StalePointer(context, drains),
    new LostWakeup(context),
    new PollNotAllowed(context),
  ];
}
