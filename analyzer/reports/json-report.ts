// The JSON of `quiesce races --json`: one object, versioned by `schemaVersion`, which grows by additions only.
//
// With one trace, `findings` and `coverage` are that trace's. With several, findings and rows carry the `trace` that they
// belong to, and `traces` has what differs between them. The same traces give the same bytes.

import { must } from "#core/base";
import {
  type CoverageRow,
  FINGERPRINT_VERSION,
  type Finding,
  type PolicyJudgement,
} from "../findings.ts";
import { POLICIES } from "../policies/policy.ts";
import { RULES } from "../rules.ts";
import { pathTo } from "./graph-path.ts";
import { sectionsBeside } from "./open-sections.ts";
import { REPORT_SCHEMA_VERSION, type Report, type TraceReport } from "./report.ts";
import { momentOf } from "./stacks.ts";
import { type Stood, stood } from "./standing.ts";
import { againText } from "./words.ts";

/** The report as plain data. */
export function jsonReport(report: Report): unknown {
  return {
    schemaVersion: REPORT_SCHEMA_VERSION,
    fingerprintVersion: FINGERPRINT_VERSION,
    tool: report.tool,
    findings: report.traces.flatMap((trace) => stood(trace).map((one) => jsonFinding(trace, one))),
    coverage: report.traces.flatMap((trace) =>
      trace.result.coverage.map((row) => jsonRow(trace, row)),
    ),
    events: report.traces.reduce((sum, { result }) => sum + result.events, 0),
    traces: report.traces.map(jsonTrace),
    triage: report.triage ?? null,
  };
}

function jsonFinding(trace: TraceReport, { finding, standing, index }: Stood) {
  const { rule, severity, list, node, accesses, fingerprint, again, ...rest } = finding;
  const moment = momentOf(finding);
  return {
    rule,
    ruleTitle: RULES[rule].title,
    severity,
    list,
    node,
    accesses: accesses.map((_, side) => jsonAccess(trace, finding, index, side)),
    fingerprint,
    ...rest,
    stack: moment === null ? null : (trace.stacks?.get(moment) ?? null),
    baselineState: standing.baseline,
    suppression: standing.suppression,
    trace: trace.facts.trace,
    replay: again ?? againText(trace.facts, finding),
  };
}

/**
 * With the way in the graph to the finding's node at that moment, the sections that were open and did not hold it, and the call
 * stack where there is one.
 */
function jsonAccess(
  { material, stacks }: TraceReport,
  finding: Finding,
  index: number,
  side: number,
) {
  const access = must(finding.accesses[side], "a side is an access");
  const own = material[index] ?? null;
  const graph = own?.graphs[side] ?? null;
  const path = graph === null ? [] : pathTo(graph);
  const beside = sectionsBeside(finding, own, side);
  return { ...access, sectionsBeside: beside, path, stack: stacks?.get(access.event) ?? null };
}

function jsonRow({ facts }: TraceReport, row: CoverageRow) {
  return { ...row, trace: facts.trace };
}

function jsonTrace({ facts, result }: TraceReport) {
  const { events, complete, runStatus, reading, notes, findings, policies = [] } = result;
  const { drains, prediction } = result;
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
    ...(prediction === undefined ? {} : { prediction }),
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
