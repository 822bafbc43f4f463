// The short form of `npm run long -- fuzz`, and the fuzzer itself.

import { describe, expect, it } from "vitest";
import { type FuzzTarget, fuzz } from "./fuzzer.ts";
import { nbdTarget } from "./nbd-target.ts";
import { qcow2Target } from "./qcow2-target.ts";
import { qmpTarget } from "./qmp-target.ts";

describe("what cannot be trusted is answered", () => {
  it.each<[string, number, () => FuzzTarget]>([
    ["nbd", 60, () => nbdTarget],
    ["qmp", 40, () => qmpTarget],
    ["qcow2", 15, qcow2Target],
  ])("%s", (_name, runs, target) => {
    const result = fuzz(target(), { seed: 1, runs, isGuided: false });
    expect(result.failures).toEqual([]);
    expect(result.runs).toBe(runs);
  });
});

describe("the fuzzer", () => {
  /** Wrong for inputs with the highest bit in each of five bytes: an input is changed in four places at most. */
  const canary: FuzzTarget = {
    name: "canary",
    seeds: [Buffer.from("--------")],
    code: ["/tests/fuzz/"],
    run(input) {
      const isHigh = (at: number) => (input[at] ?? 0) > 127;
      if (!isHigh(1)) return;
      if (!isHigh(2)) return;
      if (!isHigh(4)) return;
      if (!isHigh(5)) return;
      if (isHigh(7)) throw new Error("canary");
    },
  };

  it("finds what is behind several conditions, guided by what is reached", () => {
    const result = fuzz(canary, { seed: 1, runs: 20_000, isGuided: true, failuresMax: 1 });
    expect(result.failures[0] ?? "").toContain("canary");
    expect(result.corpus).toBeGreaterThan(1);
  });

  it("does not, without", () => {
    expect(fuzz(canary, { seed: 1, runs: 3_000, isGuided: false }).failures).toEqual([]);
  });
});
