// The oracles of the rules that look at no pair, each quadratic and told from the events alone: for tests. `oracle.ts` has that of
// the pairs. Together they cover every rule that there is; a test looks at that.

import type { EventBatch } from "#core/probe";
import { type Event, eventsOf } from "../oracle-kinds.ts";
import type { RuleId } from "../rules.ts";
import { deadlock } from "./deadlock.ts";
import { drainCosts, needlessDrain } from "./drain-cost.ts";
import { editInIoCompletion } from "./edit-in-io-completion.ts";
import { editInIteration } from "./edit-in-iteration.ts";
import { editRules } from "./edits.ts";
import { interleavedOperations } from "./interleaved-operations.ts";
import { jobSleep } from "./job-sleep.ts";
import { ledger } from "./ledger.ts";
import { lockOrderCycle } from "./lock-order-cycle.ts";
import { lostWakeup } from "./lost-wakeup.ts";
import { policyOracle } from "./policies.ts";
import { pollNotAllowed } from "./poll-not-allowed.ts";
import { raceWithFree } from "./race-with-free.ts";
import { requestInDrainedSection } from "./request-in-drained-section.ts";
import { stalePointer } from "./stale-pointer.ts";
import { useAfterFree } from "./use-after-free.ts";
import { verdicts } from "./verdicts.ts";
import { linesOf, type Violation } from "./violation.ts";
import { wrongContextLock } from "./wrong-context-lock.ts";

interface RuleOracle {
  readonly rules: readonly RuleId[];
  readonly find: (events: readonly Event[]) => Violation[];
}

const ORACLES: readonly RuleOracle[] = [
  { rules: ["use-after-free"], find: useAfterFree },
  { rules: ["race-with-free"], find: raceWithFree },
  { rules: ["interleaved-operations"], find: interleavedOperations },
  { rules: ["stale-pointer"], find: stalePointer },
  { rules: ["lost-wakeup"], find: lostWakeup },
  { rules: ["poll-not-allowed"], find: pollNotAllowed },
  { rules: ["request-in-drained-section"], find: requestInDrainedSection },
  { rules: ["edit-outside-drain", "edit-before-poll-end", "edit-off-main"], find: editRules },
  { rules: ["edit-in-io-completion"], find: editInIoCompletion },
  { rules: ["edit-in-iteration"], find: editInIteration },
  {
    rules: ["wrong-thread", "wrong-home", "modelled-assertion", "unbalanced-counter"],
    find: verdicts,
  },
  { rules: ["unfinished-drain", "end-without-begin", "leaked-level"], find: ledger },
  { rules: ["wrong-context-lock"], find: wrongContextLock },
  { rules: ["deadlock", "contexts-wait-in-circle"], find: deadlock },
  { rules: ["lock-order-cycle"], find: lockOrderCycle },
  { rules: ["job-sleep-cut-short"], find: jobSleep },
  { rules: ["needless-drain"], find: needlessDrain },
];

/** Rules that have an oracle here, without those that are a policy's own. */
export const ORACLE_RULES: readonly RuleId[] = ORACLES.flatMap(({ rules }) => rules);

/** What each of these rules, and each policy, finds in `batches`, as lines, with the cost of drains. */
export function ruleOracle(batches: readonly EventBatch[]): string[] {
  const events = batches.flatMap(eventsOf);
  const rules = ORACLES.flatMap(({ find }) => linesOf(find(events)));
  const policies = policyOracle(events).flatMap(({ policy, found }) =>
    linesOf(found).map((line) => `${policy} ${line}`),
  );
  return [...rules, ...policies, ...drainCosts(events)].sort();
}
