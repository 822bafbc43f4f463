import { expect, it } from "vitest";
import { must } from "#core/base";
import { jsonReport } from "./json-report.ts";
import { drawnReport } from "./test-support.ts";

interface Shape {
  schemaVersion: number;
  findings: Record<string, unknown>[];
  coverage: Record<string, unknown>[];
  events: number;
  traces: Record<string, unknown>[];
}

it("the JSON report has the promised shape, and loses nothing of the analysis", () => {
  const report = drawnReport();
  const json = JSON.parse(JSON.stringify(jsonReport(report))) as Shape;
  const trace = must(report.traces[0], "a trace");
  expect(json.schemaVersion).toBe(1);
  expect(json.events).toBe(trace.result.events);
  const finding = must(json.findings[0], "a finding");
  for (const key of [
    "rule",
    "severity",
    "list",
    "node",
    "accesses",
    "fingerprint",
    "why",
    "advice",
    "count",
  ]) {
    expect(finding).toHaveProperty(key);
  }
  expect(finding).toMatchObject({ ...JSON.parse(JSON.stringify(trace.result.findings[0])) });
  expect(json.coverage).toMatchObject(JSON.parse(JSON.stringify(trace.result.coverage)));
  expect(json.traces).toMatchObject([
    { trace: "demo.trace", complete: true, runStatus: "ok", findings: 1 },
  ]);
});

it("of several traces, findings and rows say which trace they belong to", () => {
  const [first] = drawnReport().traces;
  const trace = must(first, "a trace");
  const second = { ...trace, facts: { ...trace.facts, trace: "other.trace" } };
  const report = { ...drawnReport(), traces: [trace, second] };
  const json = jsonReport(report) as Shape;
  expect(json.findings.map((finding) => finding.trace)).toEqual(["demo.trace", "other.trace"]);
  expect(json.events).toBe(trace.result.events * 2);
});
