// What a drain cost, and whether anything needed it.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import type { DrainRow } from "../findings.ts";
import { drainsText, stoppedText } from "../reports/drains-report.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

function rowsOf(text: string): readonly DrainRow[] {
  return analyze(traceFromText(text), { drains: true }).drains ?? [];
}

function rulesOf(text: string, drains = true): string[] {
  return analyze(traceFromText(text), { drains }).findings.map(({ rule }) => rule);
}

/** A drain of node 1 and BlockBackend 1, with `inside` in it, and `before` when it looks for requests in flight. */
function drain(inside: string, before = ""): string {
  return `
      main
      drain s1 n1 @f; up n1 s1; up b1 s1; ${before} zero n1 s1; zero b1 s1; waited s1; begun s1
      ${inside}
      undrain s1; down b1 s1; down n1 s1; undrained s1`;
}

/** `text` in main, where BEGIN and END are a drain that stops BlockBackend 1. */
function between(text: string): string {
  return `
      main
      ${text.replace("BEGIN", "drain s1 n1 @f; up b1 s1; waited s1; begun s1").replace("END", "undrain s1; down b1 s1; undrained s1")}`;
}

describe("a drain is needless", () => {
  it("when nothing was in flight, nobody waited, and nothing was edited", () => {
    expect(rowsOf(drain(""))).toMatchObject([
      { site: { name: "f" }, kind: "single", count: 1, needless: 1, busy: 0, edits: 0 },
    ]);
    expect(rulesOf(drain(""))).toEqual(["needless-drain"]);
  });

  it("which is not said unless asked for", () => {
    expect(rulesOf(drain(""), false)).toEqual([]);
    expect(analyze(traceFromText(drain(""))).drains).toBeUndefined();
  });

  it.each([
    ["a counter was above zero", drain("", "busy b1 s1;"), { busy: 1 }],
    ["a request was queued", drain("queue b1 c1"), { requestsWaited: 1 }],
    ["the graph was edited", drain("insert children n1 e1 @editor"), { edits: 1 }],
    ["a node moved to another context", drain("home n1 main"), { edits: 1 }],
    [
      "a job came to a pause point",
      drain("job-gate j1 paused").replace("up b1 s1", "up j1 s1; up b1 s1"),
      { jobsPaused: 1 },
    ],
  ])("not when %s", (_what, text, row) => {
    expect(rowsOf(text)).toMatchObject([{ ...row, needless: 0 }]);
    expect(rulesOf(text)).not.toContain("needless-drain");
  });

  it("not when another drain of the same site was needed", () => {
    const text = `${drain("")}
      drain s2 n1 @f; up b1 s2; busy b1 s2; zero b1 s2; waited s2; begun s2; undrain s2; down b1 s2; undrained s2`;
    expect(rowsOf(text)).toMatchObject([{ count: 2, needless: 1 }]);
    expect(rulesOf(text)).toEqual([]);
  });
});

describe("what a drain stops", () => {
  it("is counted in events, from its first level to its last", () => {
    const text = `
      main
      drain s1 n1 @f; up b1 s1; up b1 s1; waited s1; begun s1
      undrain s1; down b1 s1; kick; down b1 s1; undrained s1`;
    // The raise is event 1, the last lowering event 8.
    expect(rowsOf(text)).toMatchObject([{ stopped: 1, stoppedEvents: 7 }]);
  });

  it.each([
    ["no reading inside", "clock 1000; BEGIN; END; clock 9000", 0, 8000, "at most 0.008 ms"],
    ["one inside", "clock 1000; BEGIN; clock 3500; END; clock 9000", 0, 8000, "at most 0.008 ms"],
    [
      "two inside",
      "clock 1000; BEGIN; clock 3500; clock 6000; END; clock 9000",
      2500,
      8000,
      "0.003 to 0.008 ms",
    ],
    ["no reading after it", "clock 1000; BEGIN; clock 3500; END", 0, null, "5 events"],
    [
      "two inside, none after",
      "BEGIN; clock 3500; clock 60000; END",
      56_500,
      null,
      "at least 0.057 ms",
    ],
    ["none before: it begins at 0", "BEGIN; END; clock 4000", 0, 4000, "at most 0.004 ms"],
  ])("and in time between two bounds: %s", (_what, text, stoppedNs, stoppedNsMax, said) => {
    const [row] = rowsOf(between(text));
    expect(row).toMatchObject({ stoppedNs, stoppedNsMax });
    expect(stoppedText(row as DrainRow)).toMatch(new RegExp(`${said}$`));
  });

  it("but time between two sections is not certain to be of either", () => {
    const hour = 3_600_000_000_000;
    const text = `main
      clock 0; drain s1 n1 @f; up b1 s1; waited s1; begun s1; undrain s1; down b1 s1; undrained s1
      clock 10; clock ${hour}
      drain s2 n1 @f; up b1 s2; waited s2; begun s2; undrain s2; down b1 s2; undrained s2; clock ${hour + 10}`;
    expect(rowsOf(text)).toMatchObject([{ stoppedNs: 0, stoppedNsMax: 20 }]);
  });

  it("changes hands when an edge moves between drained nodes", () => {
    const text = `
      main
      drain s1 n1 @f; up b1 s1; waited s1; drain s2 n2 @g; transfer b1 s1 s2; waited s2
      undrain s1; undrained s1; undrain s2; down b1 s2; undrained s2`;
    const stopped = Object.fromEntries(
      rowsOf(text).map(({ site, stoppedEvents }) => [site.name, stoppedEvents]),
    );
    expect(stopped).toEqual({ f: 3, g: 5 });
  });

  it("is a table, dearest first", () => {
    const text = `
      main
      drain s1 n1 @cheap; up n1 s1; waited s1; undrain s1; down n1 s1; undrained s1
      drain s2 n1 @dear; up b1 s2; queue b1 c1; waited s2; undrain s2; down b1 s2; undrained s2`;
    const table = drainsText(rowsOf(text), { columns: 100, paint: (_, words) => words });
    const rows = table.trimEnd().split("\n");
    expect(rows[1]).toMatch(/^single drain in dear .* 1 +0 +0 +1 {2}4 events$/);
    expect(rows[2]).toMatch(/^single drain in cheap .* 1 +1 +0 +0 {2}nothing stopped$/);
  });
});
