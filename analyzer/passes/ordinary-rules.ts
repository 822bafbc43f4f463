// All ordinary rules, in the order in which they see an event: those that every policy keeps, and those about drains (P1).

import { Deadlock } from "./deadlock.ts";
import { drainRules } from "./drain-rules.ts";
import { editRules } from "./edit-rules.ts";
import { interleavingRules } from "./interleaving-rules.ts";
import { IterationRule } from "./iteration-rule.ts";
import { JobSleepRule } from "./job-sleep.ts";
import { lockRules } from "./lock-rules.ts";
import type { Pass, PassContext } from "./pass.ts";

/** The rules; `told` are those that the loop over the events also tells things directly (analysis.ts). */
export function ordinaryRules(context: PassContext, told: readonly Pass[]): readonly Pass[] {
  return [
    ...editRules(context),
    new IterationRule(context),
    new JobSleepRule(context),
    ...drainRules(context),
    ...lockRules(context),
    new Deadlock(context),
    ...told,
    ...interleavingRules(context),
  ];
}
