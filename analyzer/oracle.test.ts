// The most important test: on thousands of random traces the engine judges every adjacent pair as the brute-force oracle does.

import { describe, expect, it } from "vitest";
import { ACCIDENTAL_EDGES, SANCTIONED_EDGES } from "./edge-kinds.ts";
import { type CompareOptions, compareWithOracle } from "./test-support/compare.ts";
import type { RandomTraceOptions } from "./test-support/random-trace.ts";

const ALL = [...SANCTIONED_EDGES, ...ACCIDENTAL_EDGES].filter((edge) => edge !== "same-thread");

function compare(options: RandomTraceOptions, engine: CompareOptions = {}): void {
  const { engine: found, expected } = compareWithOracle(options, engine);
  expect(found, `seed ${options.seed}`).toEqual(expected);
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

  it("when the logs of tasks are folded at every turn", () => {
    const limits = { logEntriesMax: 2, groupsMax: 1000 };
    for (let seed = 1; seed <= 300; seed++)
      compare(
        { seed, events: 200, uniqueSites: seed % 2 === 0, exotic: seed % 3 === 0 },
        { limits },
      );
  });

  it("when reads that main's edits cannot tell apart are merged at every turn", () => {
    const limits = { logEntriesMax: 512, groupsMax: 2 };
    for (let seed = 1; seed <= 100; seed++)
      compare({ seed, events: 300, uniqueSites: false, exotic: false, narrow: true }, { limits });
  });

  it("when there are six contexts, whatever their numbers", () => {
    for (let seed = 1; seed <= 60; seed++)
      compare({
        seed,
        events: 150,
        uniqueSites: seed % 2 === 0,
        exotic: seed % 3 !== 0,
        contexts: 6,
        contextStep: [1, 64, 301, 819][seed % 4] ?? 1,
      });
  });

  it.each([false, true])(
    "when two handlers of one context are ordered only by what posted them (others edit too: %s)",
    (exotic) => {
      for (let seed = 1; seed <= 200; seed++)
        compare(
          { seed, events: 150, uniqueSites: seed % 2 === 0, exotic, contexts: 2 + (seed % 3) },
          { reading: "task" },
        );
    },
  );

  it("when a later handler has the component of one that read, and edits", () => {
    const trace = { seed: 1990, events: 41, uniqueSites: false, exotic: true, contexts: 2 };
    compare(trace, { reading: "task" });
  });

  it("when a read comes after the edit that it saw, once it was judged", () => {
    for (let seed = 1; seed <= 200; seed++)
      compare(
        {
          seed,
          events: 120,
          uniqueSites: seed % 2 === 0,
          exotic: seed % 5 !== 0 && seed % 3 === 0,
          contexts: 2 + (seed % 3),
        },
        { order: "shb", reading: seed % 5 === 0 ? "task" : "thread" },
      );
  });

  it.each(ALL)("with %s switched off", (edge) => {
    const disableEdges = new Set([edge]);
    for (let seed = 1; seed <= 30; seed++)
      compare({ seed, events: 100, uniqueSites: true, exotic: seed % 2 === 0 }, { disableEdges });
  });
});
