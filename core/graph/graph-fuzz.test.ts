// Random operations on a graph, with drained sections held open across them: after each operation the invariants hold, and in
// the end, when all sections have ended, nothing is drained and nothing leaks.
//
// A run ends when a node can be reached on two ways from one above it: a subtree drain that is applied to the top of such a
// diamond comes back up to it on the other way, and QEMU's arithmetic does not survive that (diamond.test.ts).

import { describe, expect, it } from "vitest";
import { Prng } from "../base/index.ts";
import {
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
} from "../io/index.ts";
import { machine, type PatchNumber, type Polls } from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import {
  assertGraphInvariants,
  type BlockDriverState,
  bdrvAddChild,
  bdrvAllStates,
  bdrvAppend,
  bdrvDelChild,
  bdrvDropFilter,
  bdrvInsertNode,
  bdrvOpenDriver,
  bdrvReplaceChildBs,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvUnref,
  graphToText,
  settle,
} from "./index.ts";
import { filterDriver, formatDriver, plainDriver, quorumDriver } from "./test-support.ts";

const NO_SITE = 0 as never;
const SEEDS = 150;
const OPERATIONS = 40;
const NODES_MAX = 14;

interface World {
  readonly prng: Prng;
  /** Nodes that the fuzzer holds a reference to. */
  readonly own: BlockDriverState[];
  /** Open drained sections: how to end them. */
  readonly open: (() => Polls<void>)[];
  readonly done: Map<string, number>;
}

type Operation = (world: World) => Polls<void>;

const OPERATION_TABLE: readonly Operation[] = [
  function* open({ prng, own }): Polls<void> {
    if (own.length >= NODES_MAX) return;
    own.push(yield* bdrvOpenDriver(prng.pick([formatDriver, plainDriver, quorumDriver]), ""));
  },
  function* append({ prng, own }): Polls<void> {
    if (own.length >= NODES_MAX) return;
    const below = prng.pick(own);
    const above = yield* bdrvOpenDriver(prng.chance(1, 2) ? formatDriver : filterDriver, "");
    own.push(above);
    yield* bdrvAppend(above, below);
  },
  function* insertFilter({ prng, own }): Polls<void> {
    if (own.length >= NODES_MAX) return;
    own.push(yield* bdrvInsertNode(prng.pick(own), filterDriver, ""));
  },
  function* dropFilter({ prng, own }): Polls<void> {
    const filters = own.filter((bs) => bs.drv.isFilter && bs.rawFile !== null);
    if (filters.length > 0) yield* bdrvDropFilter(prng.pick(filters));
  },
  function* setBacking({ prng, own }): Polls<void> {
    const overlays = own.filter((bs) => bs.drv === formatDriver);
    if (overlays.length === 0) return;
    yield* bdrvSetBackingHd(prng.pick(overlays), prng.chance(1, 3) ? null : prng.pick(own));
  },
  function* replaceNode({ prng, own }): Polls<void> {
    const [from, to] = [prng.pick(own), prng.pick(own)];
    if (from !== to) yield* bdrvReplaceNode(from, to);
  },
  function* replaceChild({ prng, own }): Polls<void> {
    const edge = prng.pick(own).rawChildren.first;
    const to = prng.pick(own);
    if (edge === null || edge.rawBs === to || reaches(to, edge.opaque)) return;
    yield* bdrvReplaceChildBs(edge, to);
  },
  function* addChild({ prng, own }): Polls<void> {
    const quorums = own.filter((bs) => bs.drv === quorumDriver);
    if (quorums.length > 0) yield* bdrvAddChild(prng.pick(quorums), prng.pick(own));
  },
  function* delChild({ prng, own }): Polls<void> {
    const full = own.filter((bs) => bs.drv === quorumDriver && bs.rawChildren.length > 0);
    if (full.length === 0) return;
    const parent = prng.pick(full);
    yield* bdrvDelChild(parent, prng.pick(parent.rawChildren.snapshot()));
  },
  function* drain({ prng, own, open }): Polls<void> {
    const bs = prng.pick(own);
    yield* bdrvDrainedBegin(bs, NO_SITE);
    open.push(() => bdrvDrainedEnd(bs, NO_SITE));
  },
  function* drainSubtree({ prng, own, open }): Polls<void> {
    const bs = prng.pick(own);
    yield* bdrvSubtreeDrainedBegin(bs, NO_SITE);
    open.push(() => bdrvSubtreeDrainedEnd(bs, NO_SITE));
  },
  function* endDrain({ prng, open }): Polls<void> {
    if (open.length === 0) return;
    const [end] = open.splice(prng.below(open.length), 1);
    if (end !== undefined) yield* end();
  },
];

function reaches(from: BlockDriverState, to: unknown): boolean {
  if (from === to) return true;
  return from.rawChildren.snapshot().some((edge) => edge.rawBs !== null && reaches(edge.rawBs, to));
}

/** Whether a node is reached twice from `top`. */
function hasDiamond(top: BlockDriverState, seen = new Set<BlockDriverState>()): boolean {
  if (seen.has(top)) return true;
  seen.add(top);
  return top.rawChildren
    .snapshot()
    .some((edge) => edge.rawBs !== null && hasDiamond(edge.rawBs, seen));
}

function* fuzz(world: World): Polls<void> {
  world.own.push(yield* bdrvOpenDriver(formatDriver, ""));
  for (let i = 0; i < OPERATIONS; i++) {
    const operation = world.prng.pick(OPERATION_TABLE);
    const outcome = yield* settle(() => operation(world));
    const word = `${operation.name}${outcome.ok ? "" : " refused"}`;
    world.done.set(word, (world.done.get(word) ?? 0) + 1);
    assertGraphInvariants(bdrvAllStates());
    if (bdrvAllStates().some((bs) => hasDiamond(bs))) break;
  }
  for (const end of world.open) yield* end();
  assertGraphInvariants(bdrvAllStates());
  expect(graphToText()).not.toContain("[");
  for (const bs of world.own) yield* bdrvUnref(bs);
  expect(graphToText()).toBe("");
  expect(machine.mainContext.externalDisableCount).toBe(0);
}

describe("any sequence of operations keeps the graph and its drains in balance", () => {
  it.each<{ without: readonly PatchNumber[] }>([
    { without: [] },
    { without: [3, 4, 11] },
    { without: [3, 4, 10, 11] },
  ])(`in ${SEEDS} seeds, without patches $without`, ({ without }) => {
    const done = new Map<string, number>();
    for (let seed = 0; seed < SEEDS; seed++) {
      const world = { prng: new Prng(seed), own: [], open: [], done };
      const run = runMain(() => fuzz(world), { without });
      expect({ seed, outcome: run.outcome, text: run.machine.assertion?.message ?? "" }).toEqual({
        seed,
        outcome: "ok",
        text: "",
      });
    }
    // Every operation was done, and some were refused: the fuzzer does what its table says.
    for (const { name } of OPERATION_TABLE) expect(done.get(name) ?? 0).toBeGreaterThan(SEEDS / 2);
    expect(done.get("setBacking refused") ?? 0).toBeGreaterThan(0);
  });
});
