// The judges of the policies, one a file.

import type { PassContext } from "../passes/pass.ts";
import { AsleepJudge, type LockJudge, type PolicyLock } from "./asleep.ts";
import { ContextLockJudge } from "./p0-context-lock.ts";
import { SeriesJudge } from "./p1-series.ts";
import { ParentOnlyJudge } from "./p2-parent-only.ts";
import { QuiescedEdgeJudge } from "./p3-quiesced-edge.ts";
import { GraphLockJudge } from "./p4-graph-lock.ts";
import { NoDrainUnderLockJudge } from "./p5-no-drain-under-lock.ts";
import type { PolicyId, PolicyJudge } from "./policy.ts";

const JUDGES: Readonly<Record<PolicyId, new (context: PassContext) => PolicyJudge>> = {
  P0: ContextLockJudge,
  P1: SeriesJudge,
  P2: ParentOnlyJudge,
  P3: QuiescedEdgeJudge,
  P4: GraphLockJudge,
  P5: NoDrainUnderLockJudge,
};

/** A judge for each of `policies`. Those whose lock is not `awake` sleep until it is taken; null: all are awake. */
export function judgesOf(
  policies: readonly PolicyId[],
  context: PassContext,
  awake: ReadonlySet<PolicyLock> | null,
): PolicyJudge[] {
  return policies.map((id) => {
    const judge = new JUDGES[id](context);
    const sleeps = awake !== null && isLockJudge(judge) && !awake.has(judge.lockName);
    return sleeps ? new AsleepJudge(judge) : judge;
  });
}

function isLockJudge(judge: PolicyJudge): judge is LockJudge {
  return "lockName" in judge;
}
