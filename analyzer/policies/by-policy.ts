// A result as one policy sees it.

import { assert } from "#core/base";
import type { AnalysisResult } from "../findings.ts";
import { POLICIES, type PolicyId } from "./policy.ts";

/** `result` with the findings of `policy`, which was asked for, instead of the ordinary ones; and a remark where it cannot judge. */
export function byPolicy(result: AnalysisResult, policy: PolicyId): AnalysisResult {
  const judgement = result.policies?.find((one) => one.policy === policy);
  assert(judgement !== undefined, "a policy is asked for before its verdict is read");
  const { silence, findings } = judgement;
  const remark = `Not judged by ${policy}, ${POLICIES[policy].title}. ${silence}`;
  return {
    ...result,
    findings,
    notes: silence === "" ? result.notes : [...result.notes, remark],
  };
}
