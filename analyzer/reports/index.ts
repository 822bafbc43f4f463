// Reports over analysed traces: text, JSON, SARIF 2.1.0 and HTML.

export { collectMaterial } from "./collect.ts";
export { coverageSummary, coverageText, pairText } from "./coverage-report.ts";
export { type FlowStep, flowOf } from "./flow.ts";
export { type FindingGroup, groupFindings, readOf } from "./groups.ts";
export { htmlReport } from "./html/page.ts";
export { type JsonExtras, jsonReport } from "./json-report.ts";
export type { FindingMaterial, GraphPicture, LaneWindow } from "./material.ts";
export { REPORT_SCHEMA_VERSION, type Report, type RunFacts, type TraceReport } from "./report.ts";
export { type SarifExtras, sarifReport } from "./sarif-report.ts";
export {
  findingsText,
  groupText,
  type ReportStyle,
  summaryText,
  type TextOptions,
} from "./text-report.ts";
export {
  counted,
  functionOf,
  grouped,
  luckText,
  ownerText,
  placeOf,
  ruleCount,
  ruleCounts,
  ruleWord,
  siteText,
} from "./words.ts";
export { wrap } from "./wrap.ts";
