// Which nodes may be put below which others without making a shape that QEMU's drains do not stand.

import { BlockDriverState } from "#core/graph";
import { patchOn } from "#core/sched";

/** Length of every node, until it is resized: it is not less. */
export const NODE_BYTES = 262_144;

/**
 * Whether `child` may be put below `parents`. With patch 4 no node may be reached from another on two paths: an edge that is
 * attached while its node is drained by way of such a diamond misses the level (docs/known-findings.md, hole-diamond).
 */
export function fits(parents: readonly BlockDriverState[], child: BlockDriverState): boolean {
  if (!patchOn(4)) return true;
  const below = reached([child], (bs) => bs.rawChildren.snapshot().map(({ rawBs }) => rawBs));
  const above = reached(parents, (bs) => bs.rawParents.snapshot().map(({ opaque }) => opaque));
  const known = reached([...above], (bs) => bs.rawChildren.snapshot().map(({ rawBs }) => rawBs));
  return ![...below].some((bs) => known.has(bs));
}

/** Whether a new node may have both as its children. */
export function disjoint(first: BlockDriverState, second: BlockDriverState): boolean {
  if (!patchOn(4)) return true;
  const children = (bs: BlockDriverState): unknown[] =>
    bs.rawChildren.snapshot().map(({ rawBs }) => rawBs);
  const below = reached([first], children);
  return ![...reached([second], children)].some((bs) => below.has(bs));
}

/** The nodes that `next` leads to from `from`, those included. */
function reached(
  from: readonly BlockDriverState[],
  next: (bs: BlockDriverState) => readonly unknown[],
): Set<BlockDriverState> {
  const found = new Set<BlockDriverState>();
  const visit = (bs: unknown): void => {
    if (!(bs instanceof BlockDriverState) || found.has(bs)) return;
    found.add(bs);
    for (const other of next(bs)) visit(other);
  };
  for (const bs of from) visit(bs);
  return found;
}
