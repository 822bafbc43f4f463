import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import type { Finding } from "../findings.ts";
import { isDay, matches, parseSuppressions, type Suppression } from "./suppressions.ts";
import { drawnFinding, drawnReport, drawnTrace } from "./test-support.ts";
import { fails, triaged } from "./triage.ts";

const GOOD = `\uFEFF# what was looked at
fingerprint=0123456789abcdef until=2027-02-28 reason=see the ticket: reason=unclear\r

rule=race list=children function=bdrv_co_flush function=bdrv_drop_filter reason=by design
`;

describe("a suppression file", () => {
  it("has an entry a line, with its reason, and comments", () => {
    const { entries, problems } = parseSuppressions(GOOD, "s.txt");
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      {
        place: "s.txt:2",
        fingerprint: "0123456789abcdef",
        rule: null,
        list: null,
        functions: [],
        reason: "see the ticket: reason=unclear",
        until: "2027-02-28",
      },
      {
        place: "s.txt:4",
        fingerprint: null,
        rule: "race",
        list: "children",
        functions: ["bdrv_co_flush", "bdrv_drop_filter"],
        reason: "by design",
        until: null,
      },
    ]);
  });

  it.each([
    ["fingerprint=0123456789abcdef", "has no reason"],
    ["fingerprint=0123456789abcdef reason=   ", "has no reason"],
    ["fingerprint=0123456789ABCDEF reason=x", "16 hexadecimal digits"],
    ["0123456789abcdef reason=x", '"0123456789abcdef" is not understood'],
    ["rule=races function=f reason=x", 'no rule "races"'],
    ["rule=race list=childs function=f reason=x", 'no list "childs"'],
    ["rule=race reason=x", "at least one function="],
    ["function=f reason=x", "names a rule="],
    ["rule=race function=bdrv_* reason=x", "patterns in names are not understood"],
    ["rule=race rule=race function=f reason=x", "rule= twice"],
    ["rule=race function=f until=2027-02-29 reason=x", '"2027-02-29" is no day'],
  ])("one bad line is said in a sentence, and the others hold: %s", (line, words) => {
    const { entries, problems } = parseSuppressions(`${line}\n${GOOD}`, "s.txt");
    expect(entries).toHaveLength(2);
    expect(problems).toEqual([expect.stringMatching(/^s\.txt:1: [A-Z"].*\.$/)]);
    expect(problems[0]).toContain(words);
  });
});

it.each([
  ["2024-02-29", true],
  ["2026-02-29", false],
  ["2100-02-29", false],
  ["2026-13-01", false],
  ["2026-11-31", false],
  ["2026-1-1", false],
])("%s is a day: %s", (text, expected) => expect(isDay(text)).toBe(expected));

function entry(line: string): Suppression {
  return must(parseSuppressions(`${line} reason=x`, "s.txt").entries[0], "an entry");
}

it.each([
  ["rule=race function=bdrv_co_flush", true],
  ["rule=race function=bdrv_drop_filter", true],
  ["rule=race list=children function=bdrv_co_flush function=bdrv_replace_child_noperm", true],
  ["rule=race function=bdrv_co", false],
  ["rule=race list=parents function=bdrv_co_flush", false],
  ["rule=race function=bdrv_co_flush function=bdrv_append", false],
  ["rule=deadlock function=bdrv_co_flush", false],
  ["fingerprint=0123456789abcdef", true],
  ["fingerprint=0123456789abcdee", false],
  ["fingerprint=0123456789abcdef list=parents", false],
])("%s matches the drawn race: %s", (line, expected) => {
  expect(matches(entry(line), drawnFinding(drawnTrace()))).toBe(expected);
});

const MANY: Finding[] = Array.from({ length: 9 }, (_, index) =>
  drawnFinding(drawnTrace(), { fingerprint: `000000000000000${index}` }),
);

function remarks(lines: string, findings: Finding[] = [drawnFinding(drawnTrace())]) {
  const { entries } = parseSuppressions(lines, "s.txt");
  const input = { baseline: null, suppressions: entries, today: "2026-11-29" };
  const report = triaged(
    drawnReport(() => findings),
    input,
  );
  return { triage: must(report.triage, "a triage"), trace: must(report.traces[0], "a trace") };
}

describe("triage by suppressions", () => {
  it("counts what an entry matches, and says which are unused", () => {
    const { triage } = remarks(`${GOOD}rule=deadlock function=f reason=x\n`);
    expect(triage.uses.map(({ findings, occurrences }) => [findings, occurrences])).toEqual([
      [1, 132],
      [1, 132],
      [0, 0],
    ]);
    expect(triage.remarks).toEqual(["s.txt:5: This suppression matches no finding: remove it."]);
  });

  it("ends a suppression after its last day, and says so", () => {
    const on = (day: string) =>
      remarks(`rule=race function=bdrv_co_flush until=${day} reason=x`).trace.standings?.[0]
        ?.suppression ?? null;
    expect(on("2026-11-29")).not.toBeNull();
    expect(on("2026-11-28")).toBeNull();
    const { triage } = remarks("rule=race function=bdrv_co_flush until=2026-11-28 reason=x");
    expect(triage.remarks).toEqual([
      "s.txt:1: This suppression ended on 2026-11-28: 1 finding it matches counts again.",
    ]);
  });

  it("does not say that a finding counts again that another entry accepts", () => {
    const ended = "rule=race function=bdrv_co_flush until=2026-11-28 reason=x";
    const { triage } = remarks(`${ended}\nrule=race function=bdrv_co_flush reason=y`);
    expect(triage.remarks).toEqual([
      "s.txt:1: This suppression ended on 2026-11-28: other entries accept all that it matches.",
    ]);
  });

  it("says which are too wide", () => {
    const { triage } = remarks("rule=race function=bdrv_co_flush reason=x", MANY);
    expect(triage.remarks).toEqual([
      expect.stringContaining("too wide: it matches 9 different findings"),
    ]);
  });
});

it.each([
  ["race", { baseline: null, suppressed: false }, true],
  ["race", { baseline: "unchanged", suppressed: false }, true],
  ["new", { baseline: "unchanged", suppressed: false }, false],
  ["new", { baseline: "new", suppressed: false }, true],
  ["new", { baseline: "new", suppressed: true }, false],
  ["note", { baseline: "new", suppressed: true }, false],
  ["never", { baseline: "new", suppressed: false }, false],
] as const)("--fail-on %s with %j fails: %s", (level, { baseline, suppressed }, expected) => {
  const suppression = suppressed ? entry("fingerprint=0123456789abcdef") : null;
  expect(fails(drawnFinding(drawnTrace()), { baseline, suppression }, level)).toBe(expected);
});
