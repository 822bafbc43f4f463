// For the tests of known holes: what happens is drawn as the events of a trace, in their order; what the analyzer says is
// what the scenario promises, over many schedules.

import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { bytesSource, formatEvent, TraceReader } from "#traces";
import { recordScenario } from "../record-scenario.ts";
import type { Scenario } from "../scenario.ts";
import { checkExpectation, judge } from "./test-support.ts";

/** Seeds of the random scheduler over which a hole is found, and those of them that are compared with its drawing. */
const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1);
const DRAWN_SEEDS = SEEDS.slice(0, 5);
const OTHER_SCHEDULERS = ["default", "round-robin", "pct"] as const;

/** A recording as lines of text, as `quiesce dump` prints it. */
export function linesOf(bytes: Uint8Array): string[] {
  const reader = TraceReader.open(bytesSource(bytes));
  const { sites } = reader.header;
  const lines: string[] = [];
  for (const batch of reader.batches())
    for (let index = 0; index < batch.count; index++)
      lines.push(formatEvent(batch, index, { sites, strings: reader.strings }));
  return lines;
}

/**
 * Expect the events of `drawing` in `lines`, in that order, whatever else is in between. A row stands for the next line that
 * has all its words; `!` in front of a row says that no such line comes before the row below is met.
 */
export function expectEvents(lines: readonly string[], drawing: string): void {
  const met: string[] = [];
  const rows = drawing
    .split("\n")
    .map((row) => row.trim())
    .filter((row) => row !== "");
  let at = 0;
  let never: string | null = null;
  for (const row of rows) {
    if (row.startsWith("!")) {
      never = row.slice(1).trim();
      continue;
    }
    const found = lines.findIndex((line, index) => index >= at && has(line, row));
    expect(met, `after these events comes: ${row}`).toSatisfy(() => found >= 0);
    if (never !== null) {
      const forbidden = lines.slice(at, found).filter((line) => has(line, never as string));
      expect(forbidden, `before: ${row}`).toEqual([]);
      never = null;
    }
    met.push(row);
    at = found + 1;
  }
  expect(rows.at(-1)?.startsWith("!"), "a drawing ends with an event").toBe(false);
}

function has(line: string, row: string): boolean {
  const words = line.split(" ");
  return row.split(/\s+/).every((word) => words.includes(word));
}

/** A hole's tests: the events of `drawing` happen, and the analyzer says what the scenario promises, in every schedule. */
export function describeHole(
  scenario: Scenario,
  drawing: string,
  more: () => void = () => {},
): void {
  const promised = must(scenario.expected?.[0], "a hole says what is found");
  describe(scenario.name, () => {
    it("happens as its drawing says", () => {
      for (const seed of DRAWN_SEEDS)
        expectEvents(linesOf(recordScenario(scenario, { seed }).bytes), drawing);
      for (const scheduler of OTHER_SCHEDULERS)
        expectEvents(linesOf(recordScenario(scenario, { seed: 1, scheduler }).bytes), drawing);
    });

    it(`is found with all patches on, and nothing else is, in ${SEEDS.length} schedules`, () => {
      checkExpectation(scenario, promised, SEEDS);
    });

    more();
  });
}

/** Expect that nothing is found in a run with other parameters: the hole is what makes the difference. */
export function expectNothingFound(
  scenario: Scenario,
  params: Readonly<Record<string, string>>,
): void {
  for (const seed of SEEDS) {
    const run = recordScenario(scenario, { seed, params });
    expect(run.outcome).toBe("ok");
    expect(judge(run.bytes).findings).toEqual([]);
  }
}
