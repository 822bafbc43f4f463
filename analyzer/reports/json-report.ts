// The JSON of `quiesce races --json`: one object, versioned by `schemaVersion`, which grows by additions only.
//
// With one trace, `findings` and `coverage` are that trace's. With several, findings and rows carry the `trace` that they
// belong to, and `traces` has what differs between them. `seconds` is how long the analysis took: the one value that is not
// the same for the same traces, and it comes from the caller.

import type { Access, CoverageRow, PolicyJudgement } from "../findings.ts";
import { POLICIES } from "../policies/policy.ts";
import { RULES } from "../rules.ts";
import { pathTo } from "./graph-path.ts";
import { REPORT_SCHEMA_VERSION, type Report, type TraceReport } from "./report.ts";
import { type Stood, stood } from "./standing.ts";
import { againText } from "./words.ts";

/** How long it took, and what the exit code will be. */
export interface JsonExtras {
  readonly seconds: number;
}

/** The report as plain data. */
export function jsonReport(report: Report, { seconds }: JsonExtras): unknown {
  return {
    schemaVersion: REPORT_SCHEMA_VERSION,
    tool: report.tool,
    findings: report.traces.flatMap((trace) => stood(trace).map((one) => jsonFinding(trace, one))),
    coverage: report.traces.flatMap((trace) =>
      trace.result.coverage.map((row) => jsonRow(trace, row)),
    ),
    events: report.traces.reduce((sum, { result }) => sum + result.events, 0),
    seconds,
    traces: report.traces.map(jsonTrace),
    triage: report.triage ?? null,
  };
}

function jsonFinding(trace: TraceReport, { finding, standing, index }: Stood) {
  const { rule, severity, list, node, accesses, fingerprint, ...rest } = finding;
  return {
    rule,
    ruleTitle: RULES[rule].title,
    severity,
    list,
    node,
    accesses: accesses.map((access, side) => jsonAccess(trace, access, index, side)),
    fingerprint,
    ...rest,
    baselineState: standing.baseline,
    suppression: standing.suppression,
    trace: trace.facts.trace,
    replay: againText(trace.facts, finding),
  };
}

/** With the way in the graph to the finding's node at that moment, and the call stack where there is one. */
function jsonAccess(
  { material, stacks }: TraceReport,
  access: Access,
  index: number,
  side: number,
) {
  const graph = material[index]?.graphs[side] ?? null;
  const path = graph === null ? [] : pathTo(graph);
  return { ...access, path, stack: stacks?.get(access.event) ?? null };
}

function jsonRow({ facts }: TraceReport, row: CoverageRow) {
  return { ...row, trace: facts.trace };
}

function jsonTrace({ facts, result }: TraceReport) {
  const { events, complete, runStatus, reading, notes, findings, policies = [], drains } = result;
  const judgements = policies.length === 0 ? {} : { policies: policies.map(jsonJudgement) };
  return {
    ...facts,
    events,
    complete,
    runStatus,
    reading,
    notes,
    findings: findings.length,
    ...judgements,
    ...(drains === undefined ? {} : { drains }),
  };
}

/** What a policy that was asked for says: `counts` has every rule that is in force by it. */
function jsonJudgement({ policy, silence, rules, findings }: PolicyJudgement) {
  const { title, demands } = POLICIES[policy];
  const counts = Object.fromEntries(
    rules.map((rule) => [rule, findings.filter((finding) => finding.rule === rule).length]),
  );
  return { policy, title, demands, judged: silence === "", silence, counts, findings };
}
