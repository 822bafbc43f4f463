// For tests of scenarios: each run is recorded twice and compared, replayed from its inputs alone, counted, and judged by
// the analyzer, whose findings must be exactly those that the scenario promises.

import { expect } from "vitest";
import { type AnalysisResult, type AnalyzeOptions, analyze } from "#analyzer";
import { Ev, type EventName, siteTable } from "#core/probe";
import { replayTrace } from "#replay";
import { bytesSource, TraceReader } from "#traces";
import { expectedLine, findingFits, findingLine } from "../finding-line.ts";
import {
  inputsOf,
  type RecordedRun,
  type RecordOptions,
  recordScenario,
  recordTwice,
} from "../record-scenario.ts";
import { worldBuilder } from "../run-scenario.ts";
import type { Expectation, Scenario } from "../scenario.ts";

/** A recorded run with what happened in it. */
export interface CheckedRun extends RecordedRun {
  readonly reader: TraceReader;
  /** How many events of each kind. */
  count(...names: EventName[]): number;
  /** C names of the graph operations that ran. */
  readonly operations: ReadonlySet<string>;
  /** What the scenario noted. */
  readonly notes: readonly string[];
}

/** Record `scenario` twice, replay it from its inputs, and expect all of that to be equal. */
export function checkRun(scenario: Scenario, options: RecordOptions): CheckedRun {
  const run = recordTwice(scenario, options);
  const inputs = TraceReader.open(bytesSource(inputsOf(run.bytes)));
  const report = replayTrace(inputs, { buildWorld: worldBuilder(() => scenario) });
  expect(report.divergence).toBeUndefined();
  expect([report.identical, report.complete, report.events]).toEqual([true, true, run.events]);
  return { ...run, ...look(run.bytes) };
}

function look(bytes: Uint8Array): Pick<CheckedRun, "reader" | "count" | "operations" | "notes"> {
  const reader = TraceReader.open(bytesSource(bytes));
  const counts = new Map<number, number>();
  const operations = new Set<string>();
  const noted: number[] = [];
  for (const batch of reader.batches()) {
    for (let i = 0; i < batch.count; i++) {
      const kind = batch.kind(i);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      if (kind === Ev.graph_op_begin) operations.add(siteTable[batch.arg(i, 0) - 1]?.name ?? "");
      if (kind === Ev.note) noted.push(batch.arg(i, 0));
    }
  }
  return {
    reader,
    count: (...names) => names.reduce((sum, name) => sum + (counts.get(Ev[name]) ?? 0), 0),
    operations,
    notes: noted.map((id) => reader.strings[id] ?? ""),
  };
}

/** Analyse a recording. */
export function judge(bytes: Uint8Array, options: AnalyzeOptions = {}): AnalysisResult {
  const reader = TraceReader.open(bytesSource(bytes));
  const { sites } = reader.header;
  return analyze({ batches: reader.batches(), sites, strings: reader.strings }, options);
}

/** Run the scenario as `expectation` says and expect what it says, in each of `seeds`. */
export function checkExpectation(
  scenario: Scenario,
  expectation: Expectation,
  seeds: readonly number[] = [1, 2],
): void {
  const { without = [], lock = "none", outcome = "ok", finds, others = false } = expectation;
  for (const seed of seeds) {
    const run = checkRun(scenario, { seed, without, lock });
    expect(run.outcome).toBe(outcome);
    const found = judge(run.bytes).findings.map(findingLine);
    const unexpected = others
      ? []
      : found.filter((line) => !finds.some((promise) => findingFits(promise, line)));
    const missing = finds.filter((promise) => !found.some((line) => findingFits(promise, line)));
    expect({ unexpected, missing: missing.map(expectedLine) }).toEqual({
      unexpected: [],
      missing: [],
    });
  }
}

/**
 * Expect that each edge of the orders that the verdict rests on cannot be switched off without a false race: in both orders,
 * or, where an accident orders the two accesses as well, when only the sanctioned order is looked at.
 */
export function checkRestsOn(scenario: Scenario, expectation: Expectation): void {
  const { without = [], lock = "none", restsOn = [] } = expectation;
  const { bytes } = recordScenario(scenario, { seed: 1, without, lock });
  const races = (options: AnalyzeOptions) =>
    judge(bytes, options).findings.filter(({ rule }) => rule === "race").length;
  for (const edge of restsOn) {
    const disableEdges = new Set([edge]);
    const isNeeded = (["both", "sanctioned"] as const).some(
      (orders) => races({ orders, disableEdges }) > races({ orders }),
    );
    expect(isNeeded, `the verdict rests on ${edge}`).toBe(true);
  }
}

/** What a run of `expectation` is called in a test's title. */
export function titleOf({ without, lock }: Expectation): string {
  const off = without === undefined ? "all patches on" : `patches ${without.join(" and ")} off`;
  return lock === "aio" ? `${off}, AioContext lock` : off;
}
