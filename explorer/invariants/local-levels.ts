// The arithmetic of drains at one node and its edges, which holds after every step (reference, sections 2.2 to 2.5):
//
//   levels of a node    = its own + subtree levels of each parent node + levels that each edge below has passed up
//   its subtree levels  = its own + subtree levels of each parent node
//   levels of an edge   = levels of its node - those that came down through it - those of drains of everything
//   (parent is a node)                         (subtree levels of the parent)
//   levels of an edge   = levels of its node
//   (parent is a BlockBackend or a job)
//
// Each side comes from another place: "its own" from the ledger of events, all else from the counters that stand in the graph.
// Where it holds at every node it holds for the graph, as levels.ts computes it from nothing. Left out is what an open
// operation has in motion.

import { type BdrvChild, BlockDriverState } from "#core/graph";
import { expectEqual } from "./expect.ts";
import type { Ledger } from "./ledger.ts";

/** Throws AssertionError where the arithmetic of `bs` is wrong. */
export function checkLocalLevels(bs: BlockDriverState, ledger: Ledger): void {
  const own = ledger.ownLevels(bs.id);
  const { motion } = ledger;
  let fromAbove = 0;
  let inMotion = motion.nodes.has(bs.id);
  const parents = bs.rawParents;
  for (let edge = parents.first; edge !== null; edge = parents.next(edge)) {
    const parent = edge.opaque;
    if (parent instanceof BlockDriverState) fromAbove += parent.recursiveQuiesceCounter;
    if (motion.edges.has(edge.id)) inMotion = true;
    else
      expectEqual(
        levelsOf(edge, bs, own.drainAll),
        edge.parentQuiesceCounter,
        edge,
        "parent_quiesce_counter",
      );
  }
  let fromBelow = 0;
  const children = bs.rawChildren;
  for (let edge = children.first; edge !== null; edge = children.next(edge)) {
    fromBelow += edge.parentQuiesceCounter;
    if (motion.edges.has(edge.id)) inMotion = true;
  }
  if (inMotion) return;
  expectEqual(
    own.subtree + fromAbove,
    bs.recursiveQuiesceCounter,
    bs,
    "recursive_quiesce_counter, by its parents,",
  );
  expectEqual(
    own.all + fromAbove + fromBelow,
    bs.quiesceCounter,
    bs,
    "quiesce_counter, by its edges,",
  );
}

/** The levels that `edge` has passed up to its parent. */
function levelsOf(edge: BdrvChild, bs: BlockDriverState, drainAll: number): number {
  const parent = edge.opaque;
  if (!(parent instanceof BlockDriverState)) return bs.quiesceCounter;
  return bs.quiesceCounter - parent.recursiveQuiesceCounter - drainAll;
}
