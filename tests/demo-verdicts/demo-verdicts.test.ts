// The two claims about the demo's workload, for a few seeds; `npm run long -- demo-verdicts` takes 1,000 and 100.

import { describe, expect, it } from "vitest";
import { judgeDemo, objectionToRaces, objectionToSilence } from "./verdicts.ts";

describe("the demo's workload", () => {
  it.each([1, 2, 3, 4, 5, 6])("finds nothing with all patches on (seed %i)", (seed) => {
    expect(objectionToSilence(judgeDemo(seed, []))).toBe("");
  });

  it("finds races on children and parents in five of six seeds with patches 10 and 11 off", () => {
    const objections = [1, 2, 3, 4, 5, 6].map((seed) =>
      objectionToRaces(judgeDemo(seed, [10, 11])),
    );
    expect(objections.filter((text) => text === "").length, objections.join("; ")).toBeGreaterThan(
      4,
    );
  });

  it("objects to silence where there are races, and to races where there is silence", () => {
    expect(objectionToSilence(judgeDemo(1, [10, 11]))).toContain("race: ");
    expect(objectionToRaces(judgeDemo(1, []))).toBe("no race on children");
  });
});
