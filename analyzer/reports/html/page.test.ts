import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { drawnFinding, drawnReport } from "../test-support.ts";
import { htmlReport } from "./page.ts";

const page = htmlReport(drawnReport());

function hashOf(element: "style" | "script"): string {
  const [, text] = must(new RegExp(`<${element}>([^]*?)</${element}>`).exec(page), "it is there");
  return `sha256-${createHash("sha256").update(must(text, "it has text")).digest("base64")}`;
}

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
