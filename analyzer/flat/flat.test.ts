import { describe, expect, it } from "vitest";
import {
  closureVerdict,
  firstAtomicityViolation,
  naiveVerdict,
  racyBySchedulability,
} from "./oracle/test-support.ts";
import {
  atomicityDiffers,
  engineVerdict,
  locksetDiffers,
  randomTrace,
  stdText,
} from "./test-support.ts";

describe.each(["hb", "shb"] as const)("the %s engine on random traces", (order) => {
  it("agrees with the transitive closure", () => {
    for (let seed = 1; seed <= 400; seed++) {
      const trace = randomTrace({ seed, events: 20 + (seed % 5) * 30 });
      const expected = closureVerdict(trace, order);
      expect(engineVerdict(trace, order), stdText(trace)).toEqual(expected);
    }
  });

  it("agrees with full vector clocks, also on traces that no program can have", () => {
    for (let seed = 1; seed <= 400; seed++) {
      const trace = randomTrace({ seed, events: 20 + (seed % 5) * 30, lawless: seed % 2 === 0 });
      expect(engineVerdict(trace, order), stdText(trace)).toEqual(naiveVerdict(trace, order));
    }
  });
});

it("schedulable happens-before: an event is racy if and only if some earlier conflicting access is not before it", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const trace = randomTrace({ seed, events: 40 + (seed % 5) * 20 });
    expect(engineVerdict(trace, "shb").racyEvents, stdText(trace)).toEqual(
      racyBySchedulability(trace),
    );
  }
});

it("the lockset rule agrees with sets of names", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const trace = randomTrace({ seed, events: 60, lawless: seed % 2 === 0 });
    expect(locksetDiffers(trace), stdText(trace)).toBe(false);
  }
});

it("the atomicity rule agrees with a graph of all conflicting pairs", () => {
  let violated = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const trace = randomTrace({ seed, events: 20 + (seed % 4) * 15, blocks: true });
    expect(atomicityDiffers(trace), stdText(trace)).toBe(false);
    if (firstAtomicityViolation(trace) !== null) violated++;
  }
  expect(violated).toBeGreaterThan(30);
  expect(violated).toBeLessThan(270);
});
