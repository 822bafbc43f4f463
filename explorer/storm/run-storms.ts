// Storms over many seeds, with the invariants checked: for the test, and for its long form.

import { NullProbe } from "#core/probe";
import type { AtEntry, PatchNumber } from "#core/sched";
import { runScenario } from "../run-scenario.ts";
import { storm } from "./storm.ts";
import type { StormTally } from "./storm-state.ts";

/** One way to run storms. */
export interface StormRegime {
  readonly name: string;
  readonly without: readonly PatchNumber[];
}

/**
 * With patch 4 the graphs have no diamonds (moves.ts says why); without it, and without patch 11 whose assertion it then meets,
 * they have any shape, with the drains of patch 10 and with those of 7.2.
 */
export const STORM_REGIMES: readonly StormRegime[] = [
  { name: "all patches on, no diamonds", without: [] },
  { name: "patches 4 and 11 off, any shape", without: [4, 11] },
  { name: "patches 4, 10 and 11 off, any shape", without: [4, 10, 11] },
];

/** What storms did, by move; and what went wrong, with the seed. */
export interface StormReport {
  readonly operations: number;
  readonly moves: ReadonlyMap<string, StormTally>;
  readonly violations: readonly string[];
}

/** Run `seeds` storms of `operations` each, from `firstSeed` on; `atEntry` is told of every function that is entered. */
export function runStorms(
  regime: StormRegime,
  { firstSeed, seeds, operations }: { firstSeed: number; seeds: number; operations: number },
  atEntry?: AtEntry,
): StormReport {
  const moves = new Map<string, StormTally>();
  const violations: string[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const wrong = runOne(regime, seed, operations, moves, atEntry);
    if (wrong !== null)
      violations.push(`seed ${seed}: ${wrong}\nAgain: ${stormCommand(regime, seed, operations)}`);
  }
  return { operations: seeds * operations, moves, violations };
}

/** The command that runs a storm again, checks it, and records it up to where it goes wrong. */
export function stormCommand({ without }: StormRegime, seed: number, operations: number): string {
  const off = without.length === 0 ? "" : ` --without-patch ${without.join(",")}`;
  return `quiesce record storm --seed ${seed} --param operations=${operations}${off} --check -o storm.trace`;
}

/** What went wrong, or null. */
function runOne(
  { without }: StormRegime,
  seed: number,
  operations: number,
  moves: Map<string, StormTally>,
  atEntry: AtEntry | undefined,
): string | null {
  const scenario = storm((tallies) => {
    for (const [move, tally] of tallies) add(moves, move, tally);
  });
  const params = { operations: String(operations) };
  try {
    const probe = new NullProbe();
    const run = runScenario(scenario, {
      seed,
      params,
      without,
      probe,
      checkInvariants: true,
      ...(atEntry === undefined ? {} : { atEntry }),
    });
    if (run.outcome === "ok") return null;
    return `${run.outcome} ${run.machine.assertion?.message ?? ""}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function add(moves: Map<string, StormTally>, move: string, more: StormTally): void {
  const { done, refused, injected } = moves.get(move) ?? { done: 0, refused: 0, injected: 0 };
  moves.set(move, {
    done: done + more.done,
    refused: refused + more.refused,
    injected: injected + more.injected,
  });
}
