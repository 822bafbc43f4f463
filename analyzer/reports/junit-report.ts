// JUnit XML, for the test tabs of GitLab, Jenkins, Azure and their like: a suite for each trace, a case for each rule, so that
// "no race" is seen to pass. A rule that has a finding which counts fails, with the whole report as its text; one whose findings
// are all known or suppressed is skipped, with the reasons. There is no time in it: the same traces give the same bytes.

import type { Finding } from "../findings.ts";
import { RULE_IDS, RULES, type RuleId } from "../rules.ts";
import { groupFindings } from "./groups.ts";
import { siteOfFinding } from "./primary.ts";
import type { Report, TraceReport } from "./report.ts";
import { excuseOf, isNew, type Stood, stood } from "./standing.ts";
import { groupText, type TextOptions } from "./text-report.ts";
import { type FailOn, fails } from "./triage.ts";
import { ruleCount } from "./words.ts";

/** What the command line adds. */
export interface JunitExtras {
  readonly failOn: FailOn;
}

const LOOK: TextOptions = { columns: 100, paint: (_, text) => text, details: true };
/** Findings of one rule and trace that are written in full: a viewer shows this text as it is. */
const GROUPS_MAX = 40;

interface Case {
  readonly name: string;
  readonly file: string;
  readonly outcome: "passed" | "failed" | "skipped" | "error";
  readonly inside: string;
}

/** The report as JUnit XML. */
export function junitReport(report: Report, extras: JunitExtras): string {
  const suites = report.traces.map((trace) => suiteOf(trace, extras));
  const cases = suites.flatMap((suite) => suite.cases);
  const body = suites.map(({ trace, cases: own }) => suiteXml(trace, own)).join("");
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="quiesce races" ${totals(cases)}>\n${body}</testsuites>\n`;
}

function suiteOf(trace: TraceReport, extras: JunitExtras): { trace: TraceReport; cases: Case[] } {
  const all = stood(trace);
  const cases = RULE_IDS.map((rule) =>
    caseOf(
      rule,
      all.filter(({ finding }) => finding.rule === rule),
      trace,
      extras,
    ),
  );
  return { trace, cases: [completeness(trace), ...cases] };
}

/** A trace that breaks off is never green. */
function completeness({ result }: TraceReport): Case {
  const name = "the trace is complete";
  if (result.complete) return { name, file: "", outcome: "passed", inside: "" };
  const message = `The recording breaks off after ${result.events} events.`;
  const inside = `<error type="incomplete" message="${attribute(message)}">${content(result.notes.join("\n"))}</error>`;
  return { name, file: "", outcome: "error", inside };
}

function caseOf(
  rule: RuleId,
  all: readonly Stood[],
  trace: TraceReport,
  { failOn }: JunitExtras,
): Case {
  const failing = all.filter(({ finding, standing }) => fails(finding, standing, failOn));
  const [first] = failing.length > 0 ? failing : all;
  const base = { name: rule, file: first === undefined ? "" : fileOf(first.finding) };
  if (failing.length > 0) {
    const message = `${ruleCount(rule, failing.length)}: ${first?.finding.title ?? ""}`;
    const text = fullText(failing, trace);
    const inside = `<failure type="${rule}" message="${attribute(message)}">${content(text)}</failure>`;
    return { ...base, outcome: "failed", inside };
  }
  const excused = all.filter(({ standing }) => !isNew(standing));
  if (excused.length > 0) {
    const reasons = [...new Set(excused.map(({ standing }) => excuseOf(standing)))].join("; ");
    const message = `${ruleCount(rule, excused.length)} ${reasons}`;
    return { ...base, outcome: "skipped", inside: `<skipped message="${attribute(message)}"/>` };
  }
  if (all.length === 0) return { ...base, outcome: "passed", inside: "" };
  // Found, but not bad enough to fail: it passes and says so.
  return {
    ...base,
    outcome: "passed",
    inside: `<system-out>${content(fullText(all, trace))}</system-out>`,
  };
}

function fullText(all: readonly Stood[], trace: TraceReport): string {
  const groups = groupFindings(all.map(({ finding }) => finding));
  const texts = groups.slice(0, GROUPS_MAX).map((group) => groupText(group, trace, LOOK));
  const left = groups.length - texts.length;
  if (left > 0) texts.push(`… and ${left} more; the JSON and HTML reports have all of them.\n`);
  return `${RULES[groups[0]?.first.rule ?? "race"].help}\n\n${texts.join("\n")}`;
}

function fileOf(finding: Finding): string {
  return siteOfFinding(finding)?.file ?? "";
}

function suiteXml({ facts }: TraceReport, cases: readonly Case[]): string {
  const properties = (
    [
      ["scenario", facts.scenario],
      ["seed", String(facts.seed)],
      ["label", facts.label],
      ["replay", facts.replayCommand],
    ] as const
  ).map(([name, value]) => `   <property name="${name}" value="${attribute(value)}"/>\n`);
  const classname = attribute(`quiesce.${facts.scenario || facts.trace}`);
  const lines = cases.map(({ name, file, inside }) => {
    const at = file === "" ? "" : ` file="${attribute(file)}"`;
    const open = `  <testcase classname="${classname}" name="${attribute(name)}"${at}`;
    return inside === "" ? `${open}/>\n` : `${open}>${inside}</testcase>\n`;
  });
  return ` <testsuite name="${attribute(facts.trace)}" ${totals(cases)}>\n  <properties>\n${properties.join("")}  </properties>\n${lines.join("")} </testsuite>\n`;
}

function totals(cases: readonly Case[]): string {
  const count = (outcome: Case["outcome"]) => cases.filter((one) => one.outcome === outcome).length;
  return `tests="${cases.length}" failures="${count("failed")}" errors="${count("error")}" skipped="${count("skipped")}"`;
}

/** Text that XML 1.0 can carry: some characters cannot be written at all, not even escaped. */
function legal(text: string): string {
  return text.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
}

function content(text: string): string {
  return legal(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function attribute(text: string): string {
  return content(text)
    .replaceAll('"', "&quot;")
    .replace(/[\r\n\t]/g, " ");
}
