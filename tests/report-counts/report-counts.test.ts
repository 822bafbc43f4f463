// Every report of a run tells of the same findings: whoever reads two of them counts the same, for each stored scenario.

import { describe, expect, it } from "vitest";
import { analyze } from "#analyzer";
import {
  githubAnnotations,
  gitlabReport,
  htmlReport,
  jsonReport,
  junitReport,
  markdownReport,
  type Report,
  sarifReport,
  summaryText,
} from "#analyzer/reports";
import { recordScenario, SCENARIOS, type Scenario } from "#explorer";
import { bytesSource, TraceReader } from "#traces";

/** How many findings each report tells of, by the number that it says and by what it lists. */
function countsOf(report: Report): Record<string, number> {
  const [trace] = report.traces;
  if (trace === undefined) throw new Error("there is one trace");
  const json = jsonReport(report) as { findings: unknown[]; traces: { findings: number }[] };
  const sarif = sarifReport(report, { exitCode: 0 }) as { runs: { results: unknown[] }[] };
  const page = htmlReport(report);
  const plain = { columns: 100, paint: (_: string, text: string) => text };
  const annotations = githubAnnotations(report);
  const junit = junitReport(report, { failOn: "note" });
  return {
    text: summed(/: (.*) in [\d,]+ events/.exec(summaryText(trace, plain))?.[1] ?? "?"),
    json: json.findings.length,
    "json's traces": json.traces[0]?.findings ?? 0,
    sarif: sarif.runs[0]?.results.length ?? 0,
    junit: total([...junit.matchAll(/<failure [^>]*message="([\d,]+) /g)]),
    markdown: number(/^## quiesce: (\S+) /.exec(markdownReport(report, { artifact: null }))?.[1]),
    gitlab: gitlabReport(report).length,
    annotations:
      [...annotations.matchAll(/^::(?:error|warning) /gm)].length +
      total([...annotations.matchAll(/^::notice .*::([\d,]+) more/gm)]),
    "html's title": number(/<title>quiesce: (\S+) findings?/.exec(page)?.[1]),
    "html's list": [...page.matchAll(/<article /g)].length,
  };
}

function number(text = "?"): number {
  return text === "no" ? 0 : Number(text.replaceAll(",", ""));
}

/** `13 races, 1 deadlock` is 14. */
function summed(text: string): number {
  return text.split(", ").reduce((sum, part) => sum + number(/^\S+/.exec(part)?.[0]), 0);
}

function total(matches: readonly RegExpExecArray[]): number {
  return matches.reduce((sum, [, text]) => sum + number(text), 0);
}

/** How a scenario is run. */
type Way = Pick<NonNullable<Scenario["expected"]>[number], "without" | "lock">;

function reportOf(scenario: Scenario, { without = [], lock = "none" }: Way): Report {
  const { bytes } = recordScenario(scenario, { seed: 1, without, lock });
  const reader = TraceReader.open(bytesSource(bytes));
  const { sites } = reader.header;
  const { strings } = reader;
  const result = analyze({ batches: reader.batches(), sites, strings }, { drains: true });
  const facts = {
    ...{ trace: "run.trace", label: "", scenario: scenario.name, seed: 1, host: "simulated" },
    ...{ lock: "none", patchesOff: [], level: "full", digest: "", replayCommand: "" },
  };
  return {
    tool: { name: "quiesce", version: "0" },
    traces: [{ facts, result, material: [] }],
  };
}

describe("every report has as many findings as the others", () => {
  it.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
    "%s",
    { timeout: 120_000 },
    (_name, scenario) => {
      for (const way of scenario.expected ?? [{}]) check(reportOf(scenario, way));
    },
  );
});

function check(report: Report): void {
  const findings = report.traces.flatMap(({ result }) => result.findings);
  expect(new Set(findings.map(({ fingerprint }) => fingerprint)).size).toBe(findings.length);
  const counts = countsOf(report);
  expect(counts).toEqual(
    Object.fromEntries(Object.keys(counts).map((name) => [name, findings.length])),
  );
}
