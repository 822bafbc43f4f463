import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { baselineText, parseBaseline } from "./baseline.ts";
import { jsonReport } from "./json-report.ts";
import type { Report } from "./report.ts";
import { sarifReport } from "./sarif-report.ts";
import { drawnFinding, drawnReport } from "./test-support.ts";
import { triaged } from "./triage.ts";

const [A, B] = ["00000000000000aa", "00000000000000bb"];
const two = drawnReport((trace) => [
  drawnFinding(trace, { fingerprint: B }),
  drawnFinding(trace, { fingerprint: A }),
]);
const findings = must(two.traces[0], "a trace").result.findings;

describe("a baseline", () => {
  it.each([
    ["its own form", baselineText(findings)],
    ["a SARIF log", JSON.stringify(sarifReport(two, { exitCode: 1 }))],
    ["the JSON of a run", JSON.stringify(jsonReport(two))],
  ])("is read from %s", (_, text) => {
    const { entries, name } = parseBaseline(text, "base.json");
    expect(name).toBe("base.json");
    expect([...entries.keys()].sort()).toEqual([A, B]);
    expect(entries.get(A)?.rule).toBe("race");
  });

  it("is the same text in whatever order findings come, and once for each fingerprint", () => {
    const text = baselineText(findings);
    expect(baselineText([...findings, ...findings].reverse())).toBe(text);
    expect(text.split("\n")).toHaveLength(5);
    expect(JSON.parse(baselineText([]))).toMatchObject({ findings: [] });
  });

  it.each([
    ["its own form", baselineText(findings).replace('"schemaVersion": 2', '"schemaVersion": 1')],
    [
      "a SARIF log",
      JSON.stringify(sarifReport(two, { exitCode: 1 })).replaceAll("Finding/v2", "Finding/v1"),
    ],
    [
      "the JSON of a run",
      JSON.stringify({ ...Object(jsonReport(two)), fingerprintVersion: undefined }),
    ],
  ])("whose fingerprints were made otherwise is refused: %s", (_, text) => {
    expect(() => parseBaseline(text, "old.json")).toThrow(
      /^old\.json: This baseline .* made fingerprints otherwise, so every finding would be new: .*\.$/,
    );
  });

  it.each([["5"], ["null"], ["{}"], ['{"fingerprint":"zz"}']])(
    "one of whose entries is %s is refused, not read in part",
    (entry) => {
      const text = baselineText(findings).replace('"findings": [', `"findings": [${entry},`);
      expect(() => parseBaseline(text, "b.json")).toThrow(
        /^b\.json: An entry of this baseline has no/,
      );
    },
  );

  it("of a clean run needs no fingerprints", () => {
    const none = drawnReport(() => []);
    const clean = JSON.stringify(sarifReport(none, { exitCode: 0 }));
    expect(parseBaseline(clean, "base.json").entries.size).toBe(0);
  });

  it.each(["", "[]", "{}", '{"findings":[]}', '{"version":"2.1.0"}', "nonsense"])(
    "refuses what is none with one sentence: %j",
    (text) => {
      expect(() => parseBaseline(text, "b.json")).toThrow(/^b\.json: This is no baseline: .*\.$/);
    },
  );
});

function against(report: Report, text: string) {
  const baseline = parseBaseline(text, "base.json");
  return triaged(report, { baseline, suppressions: [], today: "2026-11-29" });
}

describe("triage by a baseline", () => {
  it("tells new findings from known ones, and names those that are gone", () => {
    const one = drawnReport((trace) => [
      drawnFinding(trace, { fingerprint: A }),
      drawnFinding(trace),
    ]);
    const { traces, triage } = against(one, baselineText(findings));
    expect(traces[0]?.standings?.map(({ baseline }) => baseline)).toEqual(["unchanged", "new"]);
    expect(triage?.absent.map(({ fingerprint }) => fingerprint)).toEqual([B]);
  });

  it("calls nothing gone when a trace breaks off", () => {
    const [trace] = drawnReport(() => []).traces;
    const { result, ...rest } = must(trace, "a trace");
    const cut = { ...two, traces: [{ ...rest, result: { ...result, complete: false } }] };
    expect(against(cut, baselineText(findings)).triage?.absent).toEqual([]);
  });
});
