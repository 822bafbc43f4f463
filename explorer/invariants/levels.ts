// How often each node must be quiesced, from nothing but the open drained sections and the shape of the graph (reference,
// sections 2.2 to 2.5): a subtree drain goes down every edge; each level of a child goes up every edge to its parent, but
// not back up the edge by which it came down; a drain of everything is one level at each node and goes nowhere.

import { type BdrvChild, BlockDriverState } from "#core/graph";

/** What the open sections put on a node by themselves. */
export interface OwnLevels {
  readonly single: number;
  readonly subtree: number;
  readonly all: number;
}

/** The quiesce_counter that each of `nodes` must have. */
export function expectedLevels(
  nodes: readonly BlockDriverState[],
  ownLevels: (node: number) => OwnLevels,
): Map<BlockDriverState, number> {
  const recursive = new Map<BlockDriverState, number>();
  const levels = new Map<BlockDriverState, number>();

  /** Subtree levels of `bs`: its own and, for each edge above it, those of the parent node. */
  const recursiveOf = (bs: BlockDriverState): number =>
    remembered(recursive, bs, () => {
      let count = ownLevels(bs.id).subtree;
      for (const edge of bs.rawParents.snapshot())
        if (edge.opaque instanceof BlockDriverState) count += recursiveOf(edge.opaque);
      return count;
    });

  /** All levels of `bs`: its own, those that came down, and those that come up from its children. */
  const levelsOf = (bs: BlockDriverState): number =>
    remembered(levels, bs, () => {
      const own = ownLevels(bs.id);
      let count = own.single + own.all + recursiveOf(bs);
      for (const edge of bs.rawChildren.snapshot()) count += comingUp(edge, bs, own.all);
      return count;
    });

  const comingUp = (edge: BdrvChild, parent: BlockDriverState, all: number): number =>
    edge.rawBs === null ? 0 : levelsOf(edge.rawBs) - recursiveOf(parent) - all;

  for (const bs of nodes) levelsOf(bs);
  return levels;
}

function remembered(
  known: Map<BlockDriverState, number>,
  bs: BlockDriverState,
  compute: () => number,
): number {
  const found = known.get(bs);
  if (found !== undefined) return found;
  const value = compute();
  known.set(bs, value);
  return value;
}
