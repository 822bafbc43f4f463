// For tests of scenarios: each run is recorded twice and compared, replayed from its inputs alone, and counted.

import { expect } from "vitest";
import { Ev, type EventName, siteTable } from "#core/probe";
import { replayTrace } from "#replay";
import { bytesSource, TraceReader } from "#traces";
import { inputsOf, type RecordedRun, type RecordOptions, recordTwice } from "../record-scenario.ts";
import { worldBuilder } from "../run-scenario.ts";
import type { Scenario } from "../scenario.ts";

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
