// Reports over analysed traces: text, JSON, SARIF 2.1.0 and HTML.

export { type Baseline, type BaselineEntry, baselineText, parseBaseline } from "./baseline.ts";
export { collectMaterial } from "./collect.ts";
export { coverageSummary, coverageText, pairText } from "./coverage-report.ts";
export { drainsText } from "./drains-report.ts";
export { type FlowStep, flowOf } from "./flow.ts";
export { githubAnnotations } from "./github-annotations.ts";
export { type CodeQualityIssue, gitlabReport } from "./gitlab-report.ts";
export { pathTo, pictureOfEdit } from "./graph-path.ts";
export { type FindingGroup, groupFindings, readOf } from "./groups.ts";
export { htmlReport } from "./html/page.ts";
export { jsonReport } from "./json-report.ts";
export { type JunitExtras, junitReport } from "./junit-report.ts";
export { type MarkdownExtras, markdownReport } from "./markdown-report.ts";
export type { FindingMaterial, GraphPicture, LaneWindow } from "./material.ts";
export { type SectionBeside, sectionsBeside } from "./open-sections.ts";
export { policiesMarkdown, policiesText } from "./policy-report.ts";
export { REPORT_SCHEMA_VERSION, type Report, type RunFacts, type TraceReport } from "./report.ts";
export { type SarifExtras, sarifReport } from "./sarif-report.ts";
export { frameText, type StackFrame, type Stacks, stackEvents } from "./stacks.ts";
export { isNew, type Standing, standingOf, stood } from "./standing.ts";
export {
  isDay,
  type ParsedSuppressions,
  parseSuppressions,
  type Suppression,
  type SuppressionUse,
} from "./suppressions.ts";
export {
  findingHead,
  findingsBody,
  findingsText,
  groupText,
  type ReportStyle,
  summaryText,
  type TextOptions,
  triageText,
} from "./text-report.ts";
export { type FailOn, fails, type Triage, type TriageInput, triaged } from "./triage.ts";
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
