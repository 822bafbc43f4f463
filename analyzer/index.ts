export { Analysis } from "./analysis.ts";
export { analyze } from "./analyze.ts";
export { byContract } from "./describe.ts";
export * from "./edge-kinds.ts";
export * from "./findings.ts";
export type { AnalyzeOptions, Reading, TraceInput } from "./input.ts";
export { byPolicy } from "./policies/by-policy.ts";
export { POLICIES, POLICY_IDS, type PolicyId, type PolicyInfo } from "./policies/policy.ts";
export * from "./rules.ts";
