// A scenario: a program on the block layer, with the promise of what the analyzer says about it.
//
// One scenario a file, as the default export; `scenarios/index.ts` is the table of the built-in ones, and a user's own file
// has the same shape. `main` is the main context's thread: it makes nodes, iothreads and guests through the core's own
// functions and a few helpers of its World. All that it draws comes from the world's seed, so that a seed is a run.

import type { EdgeKind, ListName, RuleId } from "#analyzer";
import type { LockRegime, PatchNumber, Polls, RunOutcome } from "#core/sched";
import type { DiskOptions } from "./simulated-disk.ts";
import type { World } from "./world.ts";

/** A finding that a scenario is there to show; what is left out may be anything. Names of functions are C names. */
export interface ExpectedFinding {
  readonly rule: RuleId;
  readonly list?: ListName;
  /** Name of the node, BlockBackend or edge whose list it is. */
  readonly node?: string;
  /** Function of the reading access, or of the earlier of two edits. */
  readonly reader?: string;
  /** Function of the editing access. */
  readonly editor?: string;
  /** A function around the editing access, or, if there is none, around the only one. */
  readonly operation?: string;
}

/** One way to run a scenario, and what the analyzer then says: the findings listed, each at least once, and no others. */
export interface Expectation {
  readonly without?: readonly PatchNumber[];
  readonly lock?: LockRegime;
  /** How the run ends; default "ok". */
  readonly outcome?: Exclude<RunOutcome, "wait">;
  /** What is found, worst first. */
  readonly finds: readonly ExpectedFinding[];
  /**
   * Edges of the analyzer's orders that this verdict cannot do without: switch one off, and a race is reported that is none
   * (an edge of the sanctioned order: when only that order is looked at).
   */
  readonly restsOn?: readonly EdgeKind[];
  /** Others are found as well: the run is too rich to list them all. */
  readonly others?: boolean;
}

/** A program on the block layer; see the file comment. */
export interface Scenario {
  readonly name: string;
  /** One sentence. */
  readonly title: string;
  /** What `--param` may set, with defaults. */
  readonly params?: Readonly<Record<string, string>>;
  /** What is to be seen; the first entry is the plain run. A user's own scenario need not say. */
  readonly expected?: readonly Expectation[];
  /** How the modelled disk behaves in a simulated run. */
  readonly disk?: DiskOptions;
  /** Steps after which a run is called endless. */
  readonly stepsMax?: number;
  main(world: World): Polls<void>;
}
