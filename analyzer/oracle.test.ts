// The most important test: on thousands of random traces the engine judges every adjacent pair as the brute-force oracle does.

import { describe, expect, it } from "vitest";
import type { EdgeKind } from "./edge-kinds.ts";
import { ACCIDENTAL_EDGES, SANCTIONED_EDGES } from "./edge-kinds.ts";
import { compareWithOracle } from "./test-support/compare.ts";
import type { RandomTraceOptions } from "./test-support/random-trace.ts";

function compare(
  options: RandomTraceOptions,
  disableEdges: ReadonlySet<EdgeKind> = new Set(),
): void {
  const { engine, expected } = compareWithOracle(options, disableEdges);
  expect(engine, `seed ${options.seed}`).toEqual(expected);
}

describe("engine and oracle agree on every pair", () => {
  it("when only main edits and drains", () => {
    for (let seed = 1; seed <= 400; seed++)
      compare({ seed, events: 120, uniqueSites: seed % 2 === 0, exotic: false });
  });

  it("when tasks and loose events edit and drain too", () => {
    for (let seed = 1; seed <= 400; seed++)
      compare({ seed, events: 120, uniqueSites: seed % 2 === 0, exotic: true });
  });

  it.each([...SANCTIONED_EDGES, ...ACCIDENTAL_EDGES].filter((edge) => edge !== "same-thread"))(
    "with %s switched off",
    (edge) => {
      for (let seed = 1; seed <= 30; seed++)
        compare({ seed, events: 100, uniqueSites: true, exotic: seed % 2 === 0 }, new Set([edge]));
    },
  );
});
