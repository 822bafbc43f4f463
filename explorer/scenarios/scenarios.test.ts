// Every scenario keeps what it promises: how it ends and what the analyzer finds, in each way to run it. (Each run is
// recorded twice and replayed on the way: test-support.ts.)

import { describe, expect, it } from "vitest";
import { ACCIDENTAL_EDGES, type EdgeKind, SANCTIONED_EDGES } from "#analyzer";
import { Ev } from "#core/probe";
import { bytesSource, TraceReader } from "#traces";
import { recordScenario } from "../record-scenario.ts";
import { SCENARIOS } from "./index.ts";
import { checkExpectation, checkRestsOn, titleOf } from "./test-support.ts";

describe.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  "scenario %s",
  (_name, scenario) => {
    const runs = (scenario.expected ?? []).map((run) => [titleOf(run), run] as const);

    it("says what it shows", () => {
      expect(scenario.title).toMatch(/^[A-Z].*\.$/);
      expect(runs.length).toBeGreaterThan(0);
    });

    it.each(runs)("keeps its promise with %s", (_title, run) => {
      checkExpectation(scenario, run);
      checkRestsOn(scenario, run);
    });
  },
);

it("every kind of edge is one that some scenario cannot do without", () => {
  const needed = SCENARIOS.flatMap(({ expected = [] }) =>
    expected.flatMap((run) => run.restsOn ?? []),
  );
  const kinds: readonly EdgeKind[] = [...SANCTIONED_EDGES, ...ACCIDENTAL_EDGES];
  expect(kinds.filter((kind) => !needed.includes(kind))).toEqual([
    "same-thread",
    // Only of the order that is called schedulable.
    "read-from",
  ]);
});

it("an operation is completed in the context that submitted it: no edge is needed from the one to the other", () => {
  for (const scenario of SCENARIOS) {
    const { bytes } = recordScenario(scenario, { seed: 1 });
    const submitted = new Map<number, number>();
    for (const batch of TraceReader.open(bytesSource(bytes)).batches()) {
      for (let i = 0; i < batch.count; i++) {
        if (batch.kind(i) === Ev.io_submit) submitted.set(batch.arg(i, 0), batch.ctx(i));
        if (batch.kind(i) === Ev.io_done) expect(submitted.get(batch.arg(i, 0))).toBe(batch.ctx(i));
      }
    }
    if (scenario.name === "demo") expect(submitted.size).toBeGreaterThan(100);
  }
});

it("no two scenarios have the same name", () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});
