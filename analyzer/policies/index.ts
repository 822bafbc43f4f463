// The judges of the policies, one a file.

import type { PassContext } from "../passes/pass.ts";
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

/** A judge for each of `policies`. */
export function judgesOf(policies: readonly PolicyId[], context: PassContext): PolicyJudge[] {
  return policies.map((id) => new JUDGES[id](context));
}
