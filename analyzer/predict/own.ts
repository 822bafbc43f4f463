// Predicted races of quiesce's own traces: what another schedule of the same run might show.
//
// Contexts are threads, lists are variables; the locks that a context holds may be taken in another order, everything else that
// orders contexts (bottom halves, wake-ups, kicks, counters, completions of coroutines) stays as it was: such a message is a
// variable that the receiver must read from its sender. What a program does depends on more than its trace tells, so these are
// candidates: whoever reports them runs the program under the schedule that they ask for, and looks (explorer/held-run.ts).

import type { EventBatch } from "#core/probe";
import { MESSAGE, QuiesceSource, StdOp } from "#traces/std";
import { type Prediction, predictRaces } from "./predict.ts";

/** An access of a candidate. */
export interface PredictedAccess {
  readonly event: number;
  readonly ctx: number;
  /** Number of the site in the trace's table. */
  readonly site: number;
  readonly isEdit: boolean;
}

/** Two accesses that might race in another schedule. Events are numbered as in the trace. */
export interface Candidate {
  /** The list, as the catalogue names it, and the number of its owner. */
  readonly list: string;
  readonly owner: number;
  /** In the recorded order. */
  readonly accesses: readonly [PredictedAccess, PredictedAccess];
  /** The context of the earlier access has to wait before this event of its, until the other one has done `letGoAfter`. */
  readonly holdAt: number;
  /** Null: until it has done its access. */
  readonly letGoAfter: number | null;
}

export interface Candidates {
  readonly candidates: readonly Candidate[];
  readonly untried: number;
}

/** One candidate for each pair of sites, those included that race as recorded. */
export function raceCandidates(batches: Iterable<EventBatch>, method: Prediction): Candidates {
  const source = new QuiesceSource(batches, { messagesAs: "variables", withOrigins: true });
  const { names, origins } = source;
  const isShared = (variable: number) => !names.variables.name(variable).startsWith(MESSAGE);
  const { pairs, untried } = predictRaces(source, { method, isShared });
  const candidates = pairs.map(
    ({ variable, threads, witness, holdAt, letGoAfter, accesses }): Candidate => {
      const [list = "", owner = ""] = names.variables.name(variable).split(".");
      const access = (side: 0 | 1): PredictedAccess => ({
        event: origins[witness.race[side]] ?? 0,
        ctx: numberIn(names.threads.name(threads[side])),
        site: accesses[side].location,
        isEdit: accesses[side].op === StdOp.write,
      });
      return {
        list,
        owner: numberIn(owner),
        accesses: [access(0), access(1)],
        holdAt: origins[holdAt] ?? 0,
        letGoAfter: letGoAfter === null ? null : (origins[letGoAfter] ?? 0),
      };
    },
  );
  return { candidates, untried };
}

/** The number in `ctx3`, `n12`, `blk1`. */
function numberIn(name: string): number {
  return Number(name.replace(/^\D+/, ""));
}
