// What a storm knows about its graph: which references it holds, which BlockBackends and drained sections it has open, and how
// an operation is tried.
//
// An operation is tried with a snapshot before it. When it is refused, by a rule of the block layer or by a failure that the
// storm injected, the snapshot after it must be the same text. One operation in so many is made to fail at its first fault point,
// then, as nothing has changed, at its second, and so on at every one that its transactions have, until it is through.

import { type BlockBackend, blkAll } from "#core/backend";
import { AssertionError, EIO, must, type Prng } from "#core/base";
import { driverReferences } from "#core/drivers";
import {
  type BlockDriverState,
  BlockError,
  bdrvAllStates,
  bdrvRef,
  bdrvUnref,
  faultInjector,
  settle,
} from "#core/graph";
import { blockLayerToText } from "#core/jobs";
import type { AioContext, Polls } from "#core/sched";
import type { World } from "../world.ts";
import type { StormJob } from "./job-moves.ts";
import type { StormBlock } from "./node-moves.ts";

/** One operation in so many is made to fail, at every fault point that it has. */
const FAULT_EVERY = 24;
/** More nodes are not made. */
const NODES_MAX = 30;
/** No operation has more. */
const FAULT_POINTS_MAX = 1000;

/** What became of operations: done, refused by a rule of the block layer, or made to fail by the storm. */
export interface StormTally {
  readonly done: number;
  readonly refused: number;
  readonly injected: number;
}

type Ending = keyof StormTally;

/** A drained section that the storm has open; it holds a reference to its node. */
export interface OpenSection {
  readonly bs: BlockDriverState;
  readonly endDrain: () => Polls<void>;
}

/** A chain of two nodes that the storm has frozen; it holds a reference to the upper one. */
export interface FrozenChain {
  readonly bs: BlockDriverState;
  readonly base: BlockDriverState;
}

export class StormState {
  readonly world: World;
  readonly prng: Prng;
  readonly contexts: readonly AioContext[];
  readonly drives: readonly BlockBackend[];
  readonly sections: OpenSection[] = [];
  readonly frozen: FrozenChain[] = [];
  readonly jobs: StormJob[] = [];
  readonly blocks: StormBlock[] = [];
  /** By move. */
  readonly tallies = new Map<string, StormTally>();
  /** References that the storm holds, by node. */
  readonly #held = new Map<BlockDriverState, number>();
  #names = 0;
  #move = "";

  constructor(world: World, contexts: readonly AioContext[], drives: readonly BlockBackend[]) {
    this.world = world;
    this.prng = world.prng;
    this.contexts = contexts;
    this.drives = drives;
    this.#countReferences(true);
  }

  /** A node name that no node has had. */
  name(what: string): string {
    return `${what}${++this.#names}`;
  }

  /** The nodes that can be used. A filter that was dropped, and that a job still keeps, is none: there is nothing below it. */
  nodes(): readonly BlockDriverState[] {
    return bdrvAllStates().filter(
      ({ refcnt, closed, drv, rawFile, rawBacking }) =>
        refcnt > 0 && !closed && !(drv.isFilter && rawFile === null && rawBacking === null),
    );
  }

  /** Whether so many more nodes may be made. */
  hasRoom(count = 1): boolean {
    return this.nodes().length + count <= NODES_MAX;
  }

  /** A node that the storm still holds. */
  held(): BlockDriverState | undefined {
    return [...this.#held.keys()][0];
  }

  /** One of `list` for which `fits` holds; undefined when there is none. */
  pick<T>(list: readonly T[], fits: (item: T) => boolean = () => true): T | undefined {
    const fitting = list.filter(fits);
    return fitting.length === 0 ? undefined : fitting[this.prng.below(fitting.length)];
  }

  /** The storm now owns a reference to `bs` that it was given. */
  hold(bs: BlockDriverState): void {
    this.#held.set(bs, (this.#held.get(bs) ?? 0) + 1);
  }

  /** Take a reference of its own. */
  ref(bs: BlockDriverState): void {
    bdrvRef(bs);
    this.hold(bs);
  }

  /** Give one of its references away, to be dropped by whoever got it. */
  give(bs: BlockDriverState): void {
    const left = must(this.#held.get(bs), "the storm holds what it gives away") - 1;
    if (left === 0) this.#held.delete(bs);
    else this.#held.set(bs, left);
  }

  /** Drop one of its references. Polls. */
  *letGo(bs: BlockDriverState): Polls<void> {
    this.give(bs);
    yield* bdrvUnref(bs);
  }

  /** Whether the storm itself keeps `bs` alive. */
  holds(bs: BlockDriverState): boolean {
    return this.#held.has(bs);
  }

  /** Whether one of its references is needed until a section ends or a chain is thawed. */
  isInUse(bs: BlockDriverState): boolean {
    return [...this.sections, ...this.frozen, ...this.blocks].some((use) => use.bs === bs);
  }

  /** Run `move`, in whose course references are in motion. Polls. */
  *carryOut(name: string, move: () => Polls<void>): Polls<void> {
    this.#countReferences(false);
    this.#move = name;
    yield* move();
    this.#countReferences(true);
  }

  /**
   * Try one operation of the block layer; false when it was refused, and then nothing has changed. One of several
   * transactions, `composite`, may have moved nodes to another context all the same. Polls.
   */
  *attempt(
    operation: () => Polls<void>,
    kind: "transaction" | "composite" = "transaction",
  ): Polls<boolean> {
    if (!this.prng.chance(1, FAULT_EVERY))
      return (yield* this.#tryOnce(operation, kind, 0)) === "done";
    for (let point = 1; point < FAULT_POINTS_MAX; point++) {
      const ending = yield* this.#tryOnce(operation, kind, point);
      if (ending !== "injected") return ending === "done";
    }
    throw new AssertionError(`${this.#move} has more fault points than any operation has`);
  }

  /** Try it, with a failure at fault point number `point`, if it comes so far; 0: without. Polls. */
  *#tryOnce(
    operation: () => Polls<void>,
    kind: "transaction" | "composite",
    point: number,
  ): Polls<Ending> {
    const leftOut = { progressOfJobs: true, contexts: kind === "composite" };
    const before = blockLayerToText(leftOut);
    const fault = injectFault(point);
    const outcome = yield* settle(operation);
    faultInjector().reached = null;
    const ending = outcome.ok ? "done" : fault.happened ? "injected" : "refused";
    this.#tally(ending);
    if (outcome.ok) return ending;
    const after = blockLayerToText(leftOut);
    if (after !== before)
      throw new AssertionError(
        `${this.#move} is refused with "${outcome.error.message}", but something has changed:\n${differingLines(before, after)}`,
      );
    return ending;
  }

  #tally(ending: Ending): void {
    const tally = this.tallies.get(this.#move) ?? { done: 0, refused: 0, injected: 0 };
    this.tallies.set(this.#move, { ...tally, [ending]: tally[ending] + 1 });
  }

  /** Tell the checker that references are on their way: between two moves none are. */
  #countReferences(accounted: boolean): void {
    const checker = this.world.checker;
    if (checker === null) return;
    checker.holders = {
      referencesTo: (bs) => (this.#held.get(bs) ?? 0) + (driverReferences().get(bs) ?? 0),
    };
    checker.probe.motion.handsAreFull = !accounted;
    checker.probe.edited = true;
  }

  /** BlockBackends of the storm that have a node, or that have none. */
  drive(hasNode: boolean): BlockBackend | undefined {
    const alive = blkAll();
    return this.pick(
      this.drives,
      (blk) => alive.includes(blk) && (blk.rawRoot !== null) === hasNode,
    );
  }
}

/** The lines of which one text has more than the other. */
function differingLines(before: string, after: string): string {
  const [were, are] = [before.split("\n"), after.split("\n")];
  const gone = were.filter((line) => !are.includes(line)).map((line) => `- ${line}`);
  const come = are.filter((line) => !were.includes(line)).map((line) => `+ ${line}`);
  return [...gone, ...come].join("\n");
}

/** Let fault point number `point` fail; `happened` says whether it was reached. */
function injectFault(point: number): { readonly happened: boolean } {
  const fault = { happened: false };
  let countdown = point;
  if (point === 0) return fault;
  faultInjector().reached = (where) => {
    if (--countdown !== 0) return;
    fault.happened = true;
    throw new BlockError(EIO, `injected failure in ${where}`);
  };
  return fault;
}
