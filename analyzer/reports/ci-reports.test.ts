// JUnit, Markdown, GitHub's annotations and GitLab's JSON: what each consumer needs to hold for one drawn race.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { RULE_IDS } from "../rules.ts";
import { parseBaseline } from "./baseline.ts";
import { githubAnnotations } from "./github-annotations.ts";
import { gitlabReport } from "./gitlab-report.ts";
import { junitReport } from "./junit-report.ts";
import { markdownReport } from "./markdown-report.ts";
import type { Report } from "./report.ts";
import { parseSuppressions } from "./suppressions.ts";
import { drawnFinding, drawnReport } from "./test-support.ts";
import { type FailOn, triaged } from "./triage.ts";

const XMLLINT = "/usr/bin/xmllint";
const HOSTILE = 'a "name" & <b>|`*_\u001b[31m\ud800';
const plain = drawnReport();
const mixed = drawnReport((trace) => [
  drawnFinding(trace),
  drawnFinding(trace, {
    rule: "covered-by-luck",
    severity: "warning",
    fingerprint: "00000000000000aa",
  }),
  drawnFinding(trace, { rule: "deadlock", accesses: [], fingerprint: "00000000000000bb" }),
]);

function many(count: number, text = ""): Report {
  return drawnReport((trace) =>
    Array.from({ length: count }, (_, index) =>
      drawnFinding(trace, {
        node: { kind: "node", id: index, name: text },
        title: `${text} ${index}.`,
        fingerprint: index.toString(16).padStart(16, "0"),
      }),
    ),
  );
}

function suppressed(report: Report, line: string): Report {
  const { entries } = parseSuppressions(`${line} reason=it is <fine>`, "s.txt");
  return triaged(report, { baseline: null, suppressions: entries, today: "2026-11-29" });
}

function known(report: Report, fingerprint: string): Report {
  const text = JSON.stringify({
    kind: "quiesce-baseline",
    schemaVersion: 2,
    findings: [{ fingerprint }],
  });
  const baseline = parseBaseline(text, "base.json");
  return triaged(report, { baseline, suppressions: [], today: "2026-11-29" });
}

describe("JUnit XML", () => {
  const junit = (report: Report, failOn: FailOn = "race") => junitReport(report, { failOn });

  it("has a case for each rule, passing ones too, and the whole report in the failure", () => {
    const xml = junit(plain);
    for (const rule of RULE_IDS) expect(xml).toContain(`name="${rule}"`);
    expect(xml).toContain(`tests="${RULE_IDS.length + 1}" failures="1" errors="0" skipped="0"`);
    for (const words of [
      "bdrv_co_flush",
      "core/graph/replace-child.ts:77",
      "why   ",
      "fix   ",
      "again quiesce replay",
    ])
      expect(xml).toContain(words);
  });

  it("fails as --fail-on says; what is not as bad passes and is told", () => {
    expect(junit(mixed)).toContain('failures="2"');
    expect(junit(mixed)).toMatch(/name="covered-by-luck"[^>]*><system-out>/);
    expect(junit(mixed, "warning")).toContain('failures="3"');
    expect(junit(mixed, "never")).toContain('failures="0"');
  });

  it("skips what is suppressed or known, with the reason", () => {
    const xml = junit(suppressed(plain, "rule=race function=bdrv_co_flush"));
    expect(xml).toContain('failures="0" errors="0" skipped="1"');
    expect(xml).toContain("suppressed by s.txt:1: it is &lt;fine&gt;");
    const base = junit(known(plain, "0123456789abcdef"), "new");
    expect(base).toContain('<skipped message="1 race known: the baseline has it"/>');
  });

  it("is not green for a trace that breaks off", () => {
    const trace = must(plain.traces[0], "a trace");
    const cut = { ...trace, result: { ...trace.result, findings: [], complete: false } };
    expect(junit({ ...plain, traces: [cut] })).toContain('failures="0" errors="1"');
  });

  it.skipIf(!existsSync(XMLLINT))("is XML, whatever names a trace has", () => {
    for (const report of [plain, mixed, many(90, HOSTILE)]) {
      const xml = junit(report);
      const { status, stderr } = spawnSync(XMLLINT, ["--noout", "-"], {
        input: xml,
        encoding: "utf8",
      });
      expect(`${status} ${stderr}`.trim()).toBe("0");
    }
    expect(spawnSync(XMLLINT, ["--noout", "-"], { input: "<a>&</a>" }).status).not.toBe(0);
  });
});

describe("Markdown", () => {
  const markdown = (report: Report, artifact: string | null = null) =>
    markdownReport(report, { artifact });

  it("has the counts, the findings in a table, each in full below, and where the whole report is", () => {
    const text = markdown(mixed, "quiesce-report");
    expect(text).toMatch(/^## quiesce: 3 findings in 1 trace\n/);
    expect(text.match(/^\| (error|warning): /gm)).toHaveLength(3);
    expect(text.match(/<details>/g)).toHaveLength(3);
    expect(text).toContain("is the artifact `quiesce-report` of this run");
    expect(markdown(mixed, "https://ci.example/1")).toContain("(<https://ci.example/1>)");
  });

  it("names the function to look at for a finding without an access", () => {
    const site = { name: "blk_drain/wait", file: "core/backend/drain.ts", line: 12 };
    const bare = {
      rule: "unfinished-drain",
      accesses: [],
      title: "Out of balance.",
      site,
    } as const;
    const text = markdown(drawnReport((trace) => [drawnFinding(trace, bare)]));
    expect(text).toContain("| Out of balance.<br>`blk_drain` `core/backend/drain.ts:12` |");
  });

  it("shows what is new, and counts what is known", () => {
    const text = markdown(known(mixed, "0123456789abcdef"));
    expect(text).toMatch(/^## quiesce: 2 new findings/);
    expect(text).toMatch(/\| 1 \| 0 \|\n/);
    expect(text).not.toContain("`0123456789abcdef`");
  });

  it("has fifty rows at most, and never more bytes than GitHub takes", () => {
    const text = markdown(many(200, "x".repeat(5_000)));
    expect(text.match(/^\| error: /gm)).toHaveLength(50);
    expect(text).toContain("150 findings more are in the reports");
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(900_000);
    expect(text).toContain("would make this page too long");
    expect(Buffer.byteLength(markdown(many(60, "ü".repeat(40_000))))).toBeLessThanOrEqual(900_000);
  });

  it("lets no name of a trace become markup", () => {
    const text = markdown(many(1, HOSTILE));
    expect(text.replace(/```text\n[\s\S]*?\n```\n/g, "")).not.toContain("<b>");
    const [row = ""] = text.match(/^\| error: .*$/m) ?? [];
    expect(row.split(/(?<!\\)\|/)).toHaveLength(7);
  });
});

describe("GitHub's annotations", () => {
  it("name file and line, and carry the whole text in one line", () => {
    expect(githubAnnotations(mixed).split("\n")).toEqual([
      expect.stringMatching(
        /^::error file=core\/io\/flush\.ts,line=61,title=quiesce%3A Uncovered read%3A race::The children of .*%0Aread: bdrv_co_flush/,
      ),
      expect.stringMatching(/^::error file=demo\.trace,line=1,/),
      expect.stringMatching(/^::warning file=core\/io\/flush\.ts,line=61,/),
      "",
    ]);
  });

  it("are ten of a kind at most, the rest counted", () => {
    const lines = githubAnnotations(many(25)).trim().split("\n");
    expect(lines.filter((line) => line.startsWith("::error "))).toHaveLength(10);
    expect(lines.at(-1)).toContain("::15 more findings: ");
  });

  it("are for new findings alone", () => {
    expect(githubAnnotations(known(plain, "0123456789abcdef"))).toBe("");
    expect(githubAnnotations(suppressed(plain, "fingerprint=0123456789abcdef"))).toBe("");
  });

  it("cannot be broken by a name", () => {
    const text = githubAnnotations(many(1, "100%\r\n::error::x"));
    expect(text.trim().split(/\r?\n/)).toHaveLength(1);
    expect(text).toContain("100%25%0D%0A");
  });
});

describe("GitLab's code quality JSON", () => {
  it("has an issue for each fingerprint, with a place and without line numbers in the fingerprint", () => {
    const issues = gitlabReport({ ...mixed, traces: [...mixed.traces, ...mixed.traces] });
    expect(
      issues.map(({ severity, location }) => [severity, location.path, location.lines.begin]),
    ).toEqual([
      ["critical", "core/io/flush.ts", 61],
      ["minor", "core/io/flush.ts", 61],
      ["critical", "demo.trace", 1],
    ]);
    expect(new Set(issues.map(({ fingerprint }) => fingerprint)).size).toBe(3);
    expect(issues[0]?.description).toContain(
      "edit in bdrv_replace_child_noperm (core/graph/replace-child.ts:77)",
    );
  });

  it("leaves suppressed findings out", () => {
    expect(gitlabReport(suppressed(plain, "rule=race function=bdrv_co_flush"))).toEqual([]);
  });
});
