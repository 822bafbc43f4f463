import { describe, expect, it } from "vitest";
import { sourceOf } from "#traces/std";
import { randomTrace, stdText, stdTrace } from "../flat/test-support.ts";
import { racesByEnumeration, smallTrace } from "./oracle/test-support.ts";
import { predictRaces } from "./predict.ts";
import { comparePrediction, racesBySearch } from "./test-support.ts";
import { faultOf } from "./witness.ts";

describe("prediction over small random traces", () => {
  it("finds exactly the sync-preserving races, and the optimistic reversals; none that no reordering shows", () => {
    const found = { syncp: 0, osr: 0, any: 0 };
    for (let seed = 1; seed <= 1500; seed++) {
      const trace = smallTrace(seed);
      const compared = comparePrediction(trace);
      expect(compared.differences, `seed ${seed}\n${stdText(trace)}`).toEqual([]);
      for (const kind of ["syncp", "osr", "any"] as const) found[kind] += compared.found[kind];
    }
    expect(found.syncp).toBeGreaterThan(1000);
    expect(found.osr).toBeGreaterThan(found.syncp);
    // Races that need more than either method are rare: the long form meets some.
    expect(found.any).toBeGreaterThanOrEqual(found.osr);
  });

  it("is complete where there are no locks", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const trace = smallTrace(seed, { locks: 0 });
      const all = [...racesByEnumeration(trace, false)].sort();
      for (const method of ["syncp", "osr"] as const)
        expect([...racesBySearch(trace, method)].sort(), stdText(trace)).toEqual(all);
    }
  });
});

describe("a trace that is longer than the window", () => {
  it("has no race that the whole trace has not, and its witnesses hold from its beginning", () => {
    let shown = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const trace = randomTrace({ seed, events: 60 });
      for (const method of ["syncp", "osr"] as const) {
        const whole = racesBySearch(trace, method);
        const { pairs } = predictRaces(sourceOf(trace), {
          method,
          limits: { windowEventsMax: 16 },
        });
        for (const { witness } of pairs) {
          const before = Array.from({ length: witness.from }, (_, i) => i);
          const order = [...before, ...witness.order];
          expect(faultOf({ from: 0, order, race: witness.race }, trace.events, [])).toBe(null);
          if (method === "syncp") expect(whole).toContain(witness.race.join(" "));
          shown++;
        }
      }
    }
    expect(shown).toBeGreaterThan(500);
  });
});

describe("the check of a witness", () => {
  const { events } = stdTrace(`
    T1|acq(l)|1
    T1|w(x)|2
    T1|rel(l)|3
    T2|acq(l)|4
    T2|rel(l)|5
    T2|r(x)|6
    T1|fork(T3)|7
    T3|w(x)|8
    T1|join(T3)|9
    T1|r(x)|10`);
  it.each([
    ["holds when sections are reversed", [3, 4, 0], [1, 5], null],
    ["wants both to come next", [3, 4], [1, 5], "One of the two cannot come next."],
    ["wants threads to go in order", [1], [1, 5], "Event 1 is not what its thread does next."],
    ["wants locks to be free", [0, 3], [1, 5], "Event 3 takes a lock that is taken."],
    [
      "wants locks to be held",
      [3, 4, 0, 1, 2, 2],
      [1, 5],
      "Event 2 is not what its thread does next.",
    ],
    ["wants reads to see the same", [3, 4, 5], [1, 7], "Event 5 reads from another write."],
    ["wants threads to be forked", [7], [1, 5], "Event 7 comes before its thread is forked."],
    [
      "wants joins to wait",
      [0, 1, 2, 6, 8],
      [1, 5],
      "Event 8 joins a thread that is not as far as it was.",
    ],
    ["wants a conflict", [0, 1, 2, 3, 4, 6, 7, 8], [5, 9], "The two only read."],
    ["wants two threads", [], [1, 9], "The two are of one thread."],
    ["wants accesses", [], [0, 5], "The two are no accesses to one variable."],
  ] as const)("%s", (_, order, race, fault) => {
    expect(faultOf({ from: 0, order, race }, events, [])).toBe(fault);
  });
});

it("stops at what no program does", () => {
  const trace = stdTrace(`
    T1|w(x)|1
    T2|rel(l)|2
    T2|w(x)|3`);
  const { racyEvents, unlawful } = predictRaces(sourceOf(trace), { method: "syncp" });
  expect({ racyEvents, unlawful }).toEqual({ racyEvents: 0, unlawful: 1 });
});

it("counts what it had no budget for", () => {
  const trace = randomTrace({ seed: 3, events: 200 });
  const all = predictRaces(sourceOf(trace), { method: "osr" });
  const some = predictRaces(sourceOf(trace), { method: "osr", limits: { workMax: 200 } });
  expect(all.untried).toBe(0);
  expect(some.untried).toBeGreaterThan(0);
  expect(some.racyEvents).toBeLessThan(all.racyEvents);
});
