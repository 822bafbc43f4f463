import { expect, it } from "vitest";
import { Ev, FLOAT_WIDE, FLOATS_PER_EVENT } from "#core/probe";
import { bytesSource, TraceReader } from "#traces";
import { recordScenario } from "../record-scenario.ts";
import patch09 from "./patch-09.ts";

/** What the job says of itself, and how many of its sleeps ended early. */
function runOf(
  without: readonly 9[],
  seed: number,
): { readonly says: string; readonly cut: number } {
  const reader = TraceReader.open(bytesSource(recordScenario(patch09, { seed, without }).bytes));
  let says = "";
  let cut = 0;
  for (const batch of reader.batches())
    for (let i = 0; i < batch.count; i++) {
      if (batch.kind(i) === Ev.note) says = reader.strings[batch.arg(i, 0)] ?? "";
      if (
        batch.kind(i) === Ev.job_sleep_end &&
        (batch.floats[i * FLOATS_PER_EVENT + FLOAT_WIDE] ?? 0) > 0
      )
        cut++;
    }
  return { says, cut };
}

it.each([1, 2, 3])(
  "the job keeps its limit with patch 9, and every sleep is whole (seed %i)",
  (seed) => {
    const { says, cut } = runOf([], seed);
    expect(says).toMatch(/^the job keeps its limit: 20 units in 9\d\d ms, at least 900 allowed$/);
    expect(cut).toBe(0);
  },
);

it.each([1, 2, 3])(
  "without it each drain ends a sleep, and the limit is ignored (seed %i)",
  (seed) => {
    const { says, cut } = runOf([9], seed);
    expect(says).toMatch(
      /^the job ignores its limit: 20 units in [12]\d\d ms, at least 900 allowed$/,
    );
    expect(cut).toBeGreaterThan(5);
  },
);
