// The ten litmus programs of the races reference (2.4), as files in RAPID's form, and what each engine says of them: racy events,
// and for the atomicity engine whether it finds a violation.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { sourceOf } from "#traces/std";
import { predictRaces } from "../predict/index.ts";
import { analyzeAtomicity } from "./atomicity.ts";
import { analyzeFlat } from "./flat.ts";
import { analyzeLockSets } from "./lockset.ts";
import { stdTrace } from "./test-support.ts";

const FOLDER = new URL("../../traces/std/litmus/", import.meta.url);

const ENGINES = {
  hb: (text: string) => analyzeFlat(sourceOf(stdTrace(text)), { order: "hb" }).racyEvents,
  shb: (text: string) => analyzeFlat(sourceOf(stdTrace(text)), { order: "shb" }).racyEvents,
  syncp: (text: string) => predictRaces(sourceOf(stdTrace(text)), { method: "syncp" }).racyEvents,
  osr: (text: string) => predictRaces(sourceOf(stdTrace(text)), { method: "osr" }).racyEvents,
  lockset: (text: string) => analyzeLockSets(sourceOf(stdTrace(text))).racyEvents,
  atomicity: (text: string) => analyzeAtomicity(sourceOf(stdTrace(text))).violations.length,
} as const;

const EXPECTED = `
                                               hb shb syncp osr lockset atomicity
    L01-plain-race                              1   1     1   1       1         0
    L02-same-lock                               0   0     0   0       0         0
    L03-write-in-section-and-after-empty-one    0   0     0   1       1         0
    L04-write-before-section-and-after-another  0   0     1   1       1         0
    L05-flag-then-data                          2   1     1   1       2         0
    L06-fork-join-hand-off                      0   0     0   0       2         0
    L07-two-readers-one-joined                  1   1     1   1       3         0
    L08-hand-off-through-a-lock                 0   0     0   0       1         0
    L09-iteration-with-a-yield                  0   0     0   0       0         1
    L10-iteration-in-one-section                0   0     0   0       0         0`;

const [head = [], ...rows] = EXPECTED.trim()
  .split("\n")
  .map((row) => row.trim().split(/ +/));

describe("litmus", () => {
  it("has ten programs, each with a row, and an engine for each column", () => {
    expect(Object.keys(ENGINES)).toEqual(head);
    const files = readdirSync(FOLDER).map((file) => file.replace(/\.std$/, ""));
    expect(files.sort()).toEqual(rows.map(([name]) => name));
  });

  it.each(rows.map((row) => [row[0] ?? "", row.slice(1).map(Number)] as const))(
    "%s",
    (name, row) => {
      const text = readFileSync(new URL(`${name}.std`, FOLDER), "utf8");
      const engines = Object.entries(ENGINES);
      const expected = engines.map(([engine]) => [engine, row[head.indexOf(engine)]]);
      expect(engines.map(([engine, judge]) => [engine, judge(text)])).toEqual(expected);
    },
  );
});
