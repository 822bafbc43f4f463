import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { analyze } from "../../analyze.ts";
import type { AnalysisResult } from "../../findings.ts";
import { POLICY_IDS } from "../../policies/policy.ts";
import { traceFromText } from "../../test-support/trace-from-text.ts";
import { drawnFinding, drawnReport } from "../test-support.ts";
import { htmlReport } from "./page.ts";

const page = htmlReport(drawnReport());

function hashOf(element: "style" | "script"): string {
  const [, text] = must(new RegExp(`<${element}>([^]*?)</${element}>`).exec(page), "it is there");
  return `sha256-${createHash("sha256").update(must(text, "it has text")).digest("base64")}`;
}

describe("what is on the page only when it was asked for", () => {
  const asked = (changes: Partial<AnalysisResult>): string => {
    const report = drawnReport();
    const traces = report.traces.map((one) => ({ ...one, result: { ...one.result, ...changes } }));
    return htmlReport({ ...report, traces });
  };
  const input = traceFromText(`
      main                             | io1
      drained s1 n1 @idle; release s1 n1 |
                                       | r1: begin; inc n1; read parents n1 @reader; dec n1; end
      insert parents n1 e1 @editor     |`);
  const { drains = [], policies = [] } = analyze(input, { policies: POLICY_IDS, drains: true });

  it("the cost of drains", () => {
    expect(page).not.toContain('data-tab="drains"');
    expect(asked({ drains })).toMatch(/data-panel="drains"[\s\S]*<code title="[^"]*">idle<\/code>/);
  });

  it("the findings by policy, when there are several to compare", () => {
    expect(asked({ policies: policies.slice(1, 2) })).not.toContain('data-tab="policies"');
    const compared = asked({ policies });
    expect(compared).toMatch(/<th scope="row">parents-read-off-main<\/th><td class="number">–/);
    expect(compared).toContain("not judged. The trace never takes the graph lock");
  });

  it("which race another one brings with it", () => {
    const report = drawnReport((trace) => [
      drawnFinding(trace),
      drawnFinding(trace, {
        fingerprint: "00000000000000aa",
        consequenceOf: drawnFinding(trace).fingerprint,
      }),
    ]);
    expect(htmlReport(report)).toContain(
      '<dt>Comes with</dt><dd><a href="#r0-f0">another race</a>',
    );
  });
});

describe("the HTML report", () => {
  it("is the same for the same traces, byte for byte", () => {
    expect(htmlReport(drawnReport())).toBe(page);
  });

  it("allows its own style and script, by their hashes, and nothing else", () => {
    const [, policy = ""] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? [];
    expect(policy.replaceAll("&#39;", "'").split("; ")).toEqual([
      "default-src 'none'",
      `style-src '${hashOf("style")}'`,
      `script-src '${hashOf("script")}'`,
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
    ]);
  });

  it("refers to nothing outside itself and has no inline style or handler", () => {
    expect(page).not.toMatch(/https?:|<link[^>]+href="(?!data:)|<img|@import|url\(/);
    expect(page).not.toMatch(/<[a-z][^>]*\s(?:style|on[a-z]+)=/);
  });

  it("escapes what comes from a trace", () => {
    const nasty = `<script>alert("x")</script>&'`;
    const report = drawnReport((trace) => [
      drawnFinding(trace, {
        title: nasty,
        why: nasty,
        node: { kind: "node", id: 3, name: nasty },
        accesses: drawnFinding(trace).accesses.map((access) => ({
          ...access,
          detail: nasty,
          taskText: nasty,
        })),
      }),
    ]);
    const [trace] = report.traces;
    const facts = {
      ...must(trace, "a trace").facts,
      trace: nasty,
      label: nasty,
      scenario: nasty,
      replayCommand: nasty,
    };
    const text = htmlReport({ ...report, traces: [{ ...must(trace, "a trace"), facts }] });
    expect(text.match(/<script>/g)).toHaveLength(1);
    expect(text).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#39;");
  });

  it("has each finding with its pictures and its story, and the coverage table", () => {
    expect(page.match(/<article class="finding/g)).toHaveLength(1);
    for (const part of ['class="lanes"', 'class="graph"', 'class="story"', 'class="coverage"']) {
      expect(page).toContain(part);
    }
  });

  it("says where a finding without an access shows, and what was running there", () => {
    const site = { name: "bdrv_co_flush/dec", file: "core/io/flush.ts", line: 61 };
    const bare = { rule: "unfinished-drain", accesses: [], first: 9, last: 9 } as const;
    const [trace] = drawnReport((drawn) => [
      drawnFinding(drawn, { ...bare, site }),
      drawnFinding(drawn, { ...bare, rule: "unbalanced-counter", site: null }),
    ]).traces;
    const stack = [{ function: "bdrvDecInFlight", file: "core/io/in-flight.ts", line: 7 }];
    const stacks = new Map([[9, stack]]);
    const text = htmlReport({ ...drawnReport(), traces: [{ ...must(trace, "one"), stacks }] });
    expect(text).toMatch(
      /<dt>Look at<\/dt><dd><code>bdrv_co_flush<\/code> .*flush\.ts:61.* at event 9\./,
    );
    expect(text).toContain("<dt>Where</dt><dd>It shows at event 9.");
    expect(text.match(/<code>bdrvDecInFlight<\/code>/g)).toHaveLength(2);
    expect(page).not.toContain("<dt>Where</dt>");
  });

  it("stays small however long the trace: no finding brings more than its window", () => {
    const near = htmlReport(drawnReport()).length;
    const far = htmlReport(drawnReport(undefined, { far: true })).length;
    expect(far).toBeLessThan(near * 2);
  });

  it("has unique ids", () => {
    const report = drawnReport((trace) => [drawnFinding(trace), drawnFinding(trace)]);
    const ids = [...htmlReport(report).matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
