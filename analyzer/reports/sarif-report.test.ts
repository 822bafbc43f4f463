import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Log, Result } from "sarif";
import { afterAll, describe, expect, it } from "vitest";
import { must } from "#core/base";
import { analyze } from "../analyze.ts";
import { POLICY_IDS } from "../policies/policy.ts";
import { RULE_IDS } from "../rules.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { parseBaseline } from "./baseline.ts";
import { GITHUB_LIMITS, sarifReport } from "./sarif-report.ts";
import { parseSuppressions } from "./suppressions.ts";
import { drawnFinding, drawnReport } from "./test-support.ts";
import { triaged } from "./triage.ts";

const folder = mkdtempSync(join(tmpdir(), "quiesce-sarif-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const report = drawnReport((trace) => [
  drawnFinding(trace),
  drawnFinding(trace, {
    rule: "deadlock",
    list: null,
    node: null,
    accesses: [],
    advice: null,
    fingerprint: "00000000000000dd",
  }),
]);
const log = sarifReport(report, { exitCode: 1 });
const run = must(log.runs[0], "one run");
const [race, deadlock] = run.results ?? [];

// Its install script makes the validator's program executable; npm may have been told to run none.
const require = createRequire(import.meta.url);
const program = join(
  dirname(require.resolve("@microsoft/sarif-multitool/package.json")),
  "../sarif-multitool-linux/Sarif.Multitool",
);
if (existsSync(program)) chmodSync(program, 0o755);

/** What the validator of the standard's editors says. */
function validate(sarif: Log): { ruleId?: string; level?: string; text: string }[] {
  const file = join(folder, "report.sarif");
  const verdict = join(folder, "verdict.sarif");
  writeFileSync(file, JSON.stringify(sarif));
  const multitool = dirname(require.resolve("@microsoft/sarif-multitool"));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(multitool, "bin.js"), "validate", file, "--output", verdict, "--log", "ForceOverwrite"],
    { encoding: "utf8" },
  );
  expect(`${status} ${stderr}`.trim(), stdout).toBe("0");
  const results =
    (JSON.parse(readFileSync(verdict, "utf8").replace(/^\uFEFF/, "")) as Log).runs[0]?.results ??
    [];
  return results.map(({ ruleId, level, message }) => {
    return { ruleId: ruleId ?? "", level: level ?? "warning", text: JSON.stringify(message) };
  });
}

describe("the SARIF report", () => {
  it("passes the validator", () => {
    const complaints = validate(log).filter(({ level }) => level !== "note");
    // SARIF2005 wants an address on the web for the tool; there is none that could be named.
    expect(complaints.filter(({ ruleId }) => ruleId !== "SARIF2005")).toEqual([]);
  }, 60_000);

  it("would be refused by the validator if it were broken", () => {
    const broken = structuredClone(log);
    Object.assign(must(broken.runs[0], "one run"), { results: [{ message: 7 }] });
    expect(validate(broken).map(({ level }) => level)).toContain("error");
  }, 60_000);

  it("describes every rule, with help", () => {
    const rules = run.tool.driver.rules ?? [];
    expect(rules.map(({ id }) => id)).toEqual([...RULE_IDS]);
    expect(rules.every(({ help }) => (help?.text ?? "").length > 40)).toBe(true);
    expect(race?.ruleIndex).toBe(RULE_IDS.indexOf("race"));
  });

  it("puts the uncovered read first and the edit beside it, relative to the source root", () => {
    const location = race?.locations?.[0]?.physicalLocation;
    expect(location?.artifactLocation).toEqual({ uri: "core/io/flush.ts", uriBaseId: "%SRCROOT%" });
    expect(location?.region?.startLine).toBe(61);
    const related = must(race?.relatedLocations?.[0], "the other access");
    expect(related.physicalLocation?.artifactLocation?.uri).toBe("core/graph/replace-child.ts");
    expect(race?.message.text).toContain(`[The other access](${related.id})`);
    expect(race?.partialFingerprints).toEqual({
      primaryLocationLineHash: "0123456789abcdef:1",
      "quiesceFinding/v2": "0123456789abcdef",
      "racePairHash/v2": expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    expect(race?.occurrenceCount).toBe(132);
  });

  it("tells the story twice: merged, and with a thread flow for each context", () => {
    const [merged, threads] = race?.codeFlows ?? [];
    expect(merged?.threadFlows).toHaveLength(1);
    expect(threads?.threadFlows.map(({ id }) => id).sort()).toEqual(["iothread0", "main"]);
    const steps = must(merged?.threadFlows[0], "a flow").locations;
    expect(steps.map(({ executionOrder }) => executionOrder)).toEqual(
      steps.map((_, index) => index + 1),
    );
    expect(steps.filter(({ importance }) => importance === "essential")).toHaveLength(2);
    expect(
      steps.every(({ location }) => /^(main|iothread0): /.test(location?.message?.text ?? "")),
    ).toBe(true);
    // Each step of the merged flow is in exactly one of the others, under the same number.
    const numbers = (threads?.threadFlows ?? []).flatMap(({ locations }) =>
      locations.map((one) => one.executionOrder),
    );
    expect(numbers.sort((a = 0, b = 0) => a - b)).toEqual(steps.map((_, index) => index + 1));
  });

  it("shows a finding without an access at the function that its rule points at", () => {
    const traces = drawnReport((trace) => {
      const site = { name: "bdrv_flush", file: "core/io/flush.ts", line: 61 };
      return [
        drawnFinding(trace, { rule: "deadlock", list: null, node: null, accesses: [], site }),
      ];
    });
    const [result] = sarifReport(traces, { exitCode: 1 }).runs[0]?.results ?? [];
    expect(result?.locations?.[0]).toMatchObject({
      physicalLocation: {
        artifactLocation: { uri: "core/io/flush.ts" },
        region: { startLine: 61 },
      },
      logicalLocations: [{ name: "bdrv_flush" }],
    });
  });

  it("shows a finding without an access or a function at its trace", () => {
    expect(deadlock?.locations?.[0]?.physicalLocation?.artifactLocation?.uri).toBe("demo.trace");
    expect(deadlock?.codeFlows).toBeUndefined();
  });

  it("has the stack of each access, and that of where the finding shows when that is none of them", () => {
    const frames = [{ function: "bdrvCoFlush", file: "core/io/flush.ts", line: 61 }];
    const bare = { rule: "unfinished-drain", accesses: [], first: 9, last: 9 } as const;
    const late = { rule: "stale-pointer", first: 140, last: 140 } as const;
    const [trace] = drawnReport((drawn) => [
      drawnFinding(drawn),
      drawnFinding(drawn, { ...bare, fingerprint: "00000000000000aa" }),
      drawnFinding(drawn, { ...late, fingerprint: "00000000000000bb" }),
    ]).traces;
    const stacks = new Map([9, 97, 123, 140].map((event) => [event, frames]));
    const traces = trace === undefined ? [] : [{ ...trace, stacks }];
    const results = sarifReport({ ...report, traces }, { exitCode: 1 }).runs[0]?.results ?? [];
    const whose = (result: Result | undefined) =>
      result?.stacks?.map(({ message }) => message?.text);
    const sides = ["read, iothread0, request 40: flush on blk drive0", "edit, main, main context"];
    expect(whose(results[0])).toEqual(sides);
    expect(whose(results[1])).toEqual(["event 9"]);
    expect(whose(results[2])).toEqual([...sides, "event 140"]);
    expect(results[1]?.stacks?.[0]?.frames[0]?.location).toMatchObject({
      physicalLocation: { artifactLocation: { uri: "core/io/flush.ts" } },
    });
  });

  it("has each fingerprint once, with the occurrences of all traces", () => {
    const twice = sarifReport(
      { ...report, traces: [...report.traces, ...report.traces] },
      { exitCode: 1 },
    );
    const results = twice.runs[0]?.results ?? [];
    expect(results.map(({ occurrenceCount }) => occurrenceCount)).toEqual([264, 264]);
  });

  it("has the states of baseline and suppressions, and is valid with them", () => {
    const { entries } = parseSuppressions(
      "rule=deadlock function=f reason=x\nfingerprint=00000000000000dd reason=planted",
      "s.txt",
    );
    const baseline = parseBaseline(
      JSON.stringify(log).replaceAll("00000000000000dd", "00000000000000ee"),
      "old.sarif",
    );
    const judged = triaged(report, { baseline, suppressions: entries, today: "2026-11-29" });
    const now = sarifReport(judged, { exitCode: 0 });
    const [first, second] = now.runs[0]?.results ?? [];
    expect(first).toMatchObject({ ruleId: "race", baselineState: "unchanged" });
    expect(second).toMatchObject({
      baselineState: "new",
      suppressions: [{ kind: "external", status: "accepted", justification: "planted (s.txt:2)" }],
    });
    const notes = now.runs[0]?.invocations?.[0]?.toolExecutionNotifications ?? [];
    const texts = notes.map(({ message }) => message.text ?? "");
    expect(texts).toContainEqual(expect.stringContaining("matches no finding"));
    expect(texts).toContainEqual(
      expect.stringContaining("00000000000000ee (deadlock) of the baseline"),
    );
    expect(validate(now).filter(({ level }) => level === "error")).toEqual([]);
  }, 60_000);

  it("shows the page of a rule that has one", () => {
    const rules = sarifReport({ ...report, ruleHelp: { race: "# A page" } }, { exitCode: 1 })
      .runs[0]?.tool.driver.rules;
    expect(rules?.find(({ id }) => id === "race")?.help?.markdown).toBe("# A page");
    expect(rules?.find(({ id }) => id === "deadlock")?.help?.markdown).toContain("**");
  });

  it("keeps to what code scanning takes, and says what it left out", () => {
    const many = drawnReport((trace) =>
      Array.from({ length: 30 }, (_, index) =>
        drawnFinding(trace, { fingerprint: index.toString(16).padStart(16, "0") }),
      ),
    );
    const cut = sarifReport(many, { exitCode: 1 }, { results: 20, gzipBytes: 10_000_000 }).runs[0];
    expect(cut?.results).toHaveLength(20);
    expect(JSON.stringify(cut?.invocations)).toContain("10 findings more than the 20");
    // Half-way between all code flows and none: rules and their help are in either.
    const bytesWithin = (gzipBytes: number) =>
      gzipSync(JSON.stringify(sarifReport(many, { exitCode: 1 }, { results: 5_000, gzipBytes })))
        .length;
    const bytes = Math.floor((bytesWithin(1) + bytesWithin(10_000_000)) / 2);
    const small = sarifReport(many, { exitCode: 1 }, { results: 5_000, gzipBytes: bytes });
    expect(gzipSync(JSON.stringify(small)).length).toBeLessThan(bytes + 200);
    const flows = small.runs[0]?.results?.map(({ codeFlows }) => codeFlows !== undefined) ?? [];
    expect(flows).toEqual([...flows].sort().reverse());
    expect(flows[29]).toBe(false);
    expect(JSON.stringify(small.runs[0]?.invocations)).toContain("have no code flows");
    // The real limits: no flow is longer than what is shown of one.
    const longest = (run.results ?? []).flatMap(({ codeFlows = [] }) =>
      codeFlows.flatMap(({ threadFlows }) => threadFlows.map(({ locations }) => locations.length)),
    );
    expect(Math.max(...longest)).toBeLessThanOrEqual(1_000);
    expect(GITHUB_LIMITS).toEqual({ results: 5_000, gzipBytes: 10_000_000 });
  });

  it("takes no name for a link, and no path for anything but a path", () => {
    const linked = drawnReport((trace) => [
      drawnFinding(trace, { title: "node '[x](http://e.example) [0]' is read" }),
      drawnFinding(trace, {
        rule: "deadlock",
        list: null,
        node: null,
        accesses: [],
        fingerprint: "00000000000000dd",
      }),
    ]);
    const traces = linked.traces.map((trace) => {
      return { ...trace, facts: { ...trace.facts, trace: "runs/a:b?c#d %.trace" } };
    });
    const hostile = sarifReport({ ...linked, traces }, { exitCode: 1 });
    const [first, second] = hostile.runs[0]?.results ?? [];
    expect(first?.message.text).toContain("node '\\[x](http://e.example) [0]' is read.");
    expect(first?.message.text).toContain("[The other access](1)");
    const place = second?.locations?.[0]?.physicalLocation?.artifactLocation;
    expect(place?.uri).toBe("runs/a%3Ab%3Fc%23d%20%25.trace");
    expect(validate(hostile).filter(({ level }) => level === "error")).toEqual([]);
  });

  it("names no folder of this machine", () => {
    expect(JSON.stringify(log)).not.toMatch(/file:|"\/|[A-Z]:\\/);
  });
});

it("what was asked for beside findings is in the properties of the run, and the log is valid with it", () => {
  const input = traceFromText(`
      main                             | io1
      drained s1 n1 @idle; release s1 n1 |
                                       | r1: begin; inc n1; read parents n1 @reader; dec n1; end
      insert parents n1 e1 @editor     |`);
  const result = analyze(input, { policies: POLICY_IDS, drains: true });
  const traces = drawnReport(() => []).traces.map(({ facts }) => ({
    facts,
    result,
    material: result.findings.map(() => null),
  }));
  const asked = sarifReport({ ...report, traces }, { exitCode: 1 });
  const [judged] = asked.runs;
  const { drains, policies } = (judged?.properties ?? {}) as {
    drains: { site: { name: string }; needless: number }[];
    policies: { policy: string; findings?: number; notJudged?: string }[];
  };
  expect(drains.map(({ site, needless }) => [site.name, needless])).toEqual([["idle", 1]]);
  expect(policies.map(({ policy, findings }) => [policy, findings])).toEqual([
    ["P0", undefined],
    ["P1", 3],
    ["P2", 2],
    ["P3", 1],
    ["P4", undefined],
    ["P5", undefined],
  ]);
  expect(policies[4]?.notJudged).toMatch(/never takes the graph lock/);
  const outside = judged?.results?.find(({ ruleId }) => ruleId === "edit-outside-drain");
  expect(outside?.properties?.policies).toEqual(["P1"]);
  expect(validate(asked).filter(({ level }) => level === "error")).toEqual([]);
});
