// Storms over many seeds, with the invariants checked: for the test, and for its long form.

import { Ev, ProbeBase } from "#core/probe";
import type { AtEntry, PatchNumber } from "#core/sched";
import { runScenario } from "../run-scenario.ts";
import { storm } from "./storm.ts";
import type { StormTally } from "./storm-state.ts";

/** One way to run storms. */
export interface StormRegime {
  readonly name: string;
  readonly without: readonly PatchNumber[];
  /** QEMU's assertions that requests may meet while an operation on the graph is open, as a patch that is off prevents it. */
  readonly holes: readonly string[];
}

/**
 * Without patch 10, bdrv_replace_node drains the old node alone: each edge lets its parent go on as soon as it points at the new
 * one, and the permissions below that are refreshed when all edges have moved.
 */
const BEFORE_PERMISSIONS = [
  "offset + bytes <= bs->total_sectors * BDRV_SECTOR_SIZE || child->perm & BLK_PERM_RESIZE",
  "child->perm & (BLK_PERM_WRITE_UNCHANGED | BLK_PERM_WRITE)",
  "child->perm & BLK_PERM_WRITE",
];

/**
 * With patch 4 the graphs have no diamonds (moves.ts says why); without it, and without patch 11 whose assertion it then meets,
 * they have any shape, with the drains of patch 10 and with those of 7.2.
 */
export const STORM_REGIMES: readonly StormRegime[] = [
  { name: "all patches on, no diamonds", without: [], holes: [] },
  { name: "patches 4 and 11 off, any shape", without: [4, 11], holes: [] },
  {
    name: "patches 4, 10 and 11 off, any shape",
    without: [4, 10, 11],
    holes: BEFORE_PERMISSIONS,
  },
];

/** What storms did, by move; and what went wrong, with the seed. */
export interface StormReport {
  readonly operations: number;
  readonly moves: ReadonlyMap<string, StormTally>;
  readonly violations: readonly string[];
  /** Storms that ended in a hole of their regime, with the command. */
  readonly holes: readonly string[];
}

/** Run `seeds` storms of `operations` each, from `firstSeed` on; `atEntry` is told of every function that is entered. */
export function runStorms(
  regime: StormRegime,
  { firstSeed, seeds, operations }: { firstSeed: number; seeds: number; operations: number },
  atEntry?: AtEntry,
): StormReport {
  const moves = new Map<string, StormTally>();
  const violations: string[] = [];
  const holes: string[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const ending = runOne(regime, seed, operations, moves, atEntry);
    if (ending === null) continue;
    const list = ending.inHole ? holes : violations;
    const again = stormCommand(regime, seed, operations);
    list.push(`seed ${seed}: ${ending.what}\nAgain: ${again}`);
  }
  return { operations: seeds * operations, moves, violations, holes };
}

/** The command that runs a storm again, checks it, and records it up to where it goes wrong. */
export function stormCommand({ without }: StormRegime, seed: number, operations: number): string {
  const off = without.length === 0 ? "" : ` --without-patch ${without.join(",")}`;
  return `quiesce record storm --seed ${seed} --param operations=${operations}${off} --check -o storm.trace`;
}

/** Counts the operations on the graph and the transactions that are open. */
class OpenEdits extends ProbeBase {
  count = 0;
  override emit(kind: number): void {
    if (kind === Ev.graph_op_begin || kind === Ev.tran_new) this.count++;
    else if (kind === Ev.graph_op_end || kind === Ev.tran_end) this.count--;
  }
  override emitWide(): void {}
}

/** What went wrong, or null. */
function runOne(
  { without, holes }: StormRegime,
  seed: number,
  operations: number,
  moves: Map<string, StormTally>,
  atEntry: AtEntry | undefined,
): { what: string; inHole: boolean } | null {
  const scenario = storm((tallies) => {
    for (const [move, tally] of tallies) add(moves, move, tally);
  });
  const params = { operations: String(operations) };
  const edits = new OpenEdits();
  try {
    const run = runScenario(scenario, {
      seed,
      params,
      without,
      probe: edits,
      checkInvariants: true,
      ...(atEntry === undefined ? {} : { atEntry }),
    });
    if (run.outcome === "ok") return null;
    const assertion = run.machine.assertion?.message ?? "";
    const inHole = edits.count > 0 && holes.includes(assertion);
    return { what: `${run.outcome} ${assertion}`, inHole };
  } catch (error) {
    return { what: error instanceof Error ? error.message : String(error), inHole: false };
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
