// Tests of prediction: what the search says of every pair of accesses of a small trace, beside what brute force says.

import { type AbstractTrace, sourceOf } from "#traces/std";
import { Closure } from "./closure.ts";
import { isConflict, racesByEnumeration, racesByReversal } from "./oracle/test-support.ts";
import { PREDICT_LIMITS, type Prediction, predictRaces, WindowSearch } from "./predict.ts";
import { Window } from "./window.ts";
import { faultOf } from "./witness.ts";

/** The pairs that the search finds, each tried alone; every witness is checked. */
export function racesBySearch(trace: AbstractTrace, method: Prediction): Set<string> {
  const { events } = trace;
  const window = new Window(events, []);
  const search = new WindowSearch(window, { method }, PREDICT_LIMITS);
  const races = new Set<string>();
  for (let second = 0; second < events.count; second++)
    for (let first = 0; first < second; first++) {
      if (!isConflict(trace, first, second)) continue;
      const order = search.orderFor(first, second, new Closure(window), true);
      if (order === false) continue;
      races.add(`${first} ${second}`);
      const fault = faultOf({ from: 0, order: order ?? [], race: [first, second] }, events, []);
      if (fault !== null) throw new Error(`${first} ${second}: ${fault}`);
    }
  return races;
}

/** How search and brute force differ over `trace`, in words; and how many pairs there are of each kind. */
export function comparePrediction(trace: AbstractTrace): {
  readonly differences: readonly string[];
  readonly found: { readonly syncp: number; readonly osr: number; readonly any: number };
} {
  const any = racesByEnumeration(trace, false);
  const preserving = racesByEnumeration(trace, true);
  const reversal = racesByReversal(trace);
  const syncp = racesBySearch(trace, "syncp");
  const osr = racesBySearch(trace, "osr");
  const differences = [
    ...unequal("syncp", syncp, preserving),
    ...unequal("osr", osr, new Set([...preserving, ...reversal])),
    ...[...osr].filter((pair) => !any.has(pair)).map((pair) => `false alarm ${pair}`),
    ...sweepDifferences(trace, syncp, osr),
  ];
  return { differences, found: { syncp: syncp.size, osr: osr.size, any: any.size } };
}

/** The sweep over a whole trace has to find what the single tries found: the same racy events and pairs. */
function sweepDifferences(
  trace: AbstractTrace,
  ...[syncp, osr]: [Set<string>, Set<string>]
): string[] {
  return (
    [
      ["syncp", syncp],
      ["osr", osr],
    ] as const
  ).flatMap(([method, pairs]) => {
    const { racyEvents, pairs: told, untried } = predictRaces(sourceOf(trace), { method });
    const later = new Set([...pairs].map((pair) => pair.split(" ")[1]));
    const extra = told.filter(({ witness }) => !pairs.has(witness.race.join(" ")));
    // Each event of a small trace has a location of its own, so pairs of sites are pairs of events.
    const isSame =
      racyEvents === later.size &&
      extra.length === 0 &&
      told.length === pairs.size &&
      untried === 0;
    return isSame ? [] : [`${method} sweep: ${racyEvents} racy events, not ${later.size}`];
  });
}

function unequal(
  name: string,
  found: ReadonlySet<string>,
  expected: ReadonlySet<string>,
): string[] {
  return [
    ...[...found].filter((pair) => !expected.has(pair)).map((pair) => `${name} finds ${pair}`),
    ...[...expected].filter((pair) => !found.has(pair)).map((pair) => `${name} misses ${pair}`),
  ];
}
