export { Analysis, analyze } from "./analysis.ts";
export * from "./edge-kinds.ts";
export * from "./findings.ts";
export type { AnalyzeOptions, TraceInput } from "./input.ts";
export * from "./rules.ts";
