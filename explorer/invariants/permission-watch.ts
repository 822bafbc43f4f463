// Permissions after every step: each edge has what a recomputation from nothing gives it.
//
// Every step compares the edges with what was right the last time, which is cheap; only when an edge has changed, or an edit has
// been made, all is computed anew. While an operation is open, the edges that it has changed or moved, and all that is
// below them, wait for its end: until it refreshes permissions, and while it does (drivers may poll), they are half done.

import { BlockBackend } from "#core/backend";
import { AssertionError } from "#core/base";
import {
  assertShared,
  type BdrvChild,
  BLK_PERM_ALL,
  type BlockDriverState,
  bdrvPermNames,
  type Permissions,
  permissionsFromScratch,
} from "#core/graph";
import type { Motion } from "./motion.ts";

export class PermissionWatch {
  /** What was right when it was last looked at. */
  readonly #known = new Map<BdrvChild, Permissions>();
  /** Nodes below edges that the open operation has changed. */
  readonly #unsettled = new Set<BlockDriverState>();
  /** How often all was computed anew. */
  recomputed = 0;

  /** Throws AssertionError; `edited` says whether the graph was edited since the last time. */
  check(nodes: readonly BlockDriverState[], motion: Motion, edited: boolean): void {
    if (motion.operations === 0) this.#unsettled.clear();
    let changed = edited;
    for (const bs of nodes) {
      const parents = bs.rawParents;
      for (let edge = parents.first; edge !== null; edge = parents.next(edge)) {
        const known = this.#known.get(edge);
        if (known?.perm === edge.perm && known.sharedPerm === edge.sharedPerm) continue;
        changed = true;
        if (motion.operations > 0) this.#unsettled.add(bs);
      }
    }
    if (changed) this.#compare(nodes, motion);
  }

  #compare(nodes: readonly BlockDriverState[], motion: Motion): void {
    this.recomputed++;
    const waiting = this.#waiting(nodes, motion);
    this.#known.clear();
    for (const [edge, expected] of permissionsFromScratch(nodes)) {
      const { perm, sharedPerm, rawBs } = edge;
      if (rawBs !== null && waiting.has(rawBs)) continue;
      const { opaque: parent } = edge;
      const isRight =
        parent instanceof BlockBackend
          ? isEnoughFor(parent, edge)
          : perm === expected.perm && sharedPerm === expected.sharedPerm;
      if (!isRight) {
        const asked = parent instanceof BlockBackend ? parent : expected;
        const should = `has ${asText(edge)}, and should have ${asText(asked)}`;
        throw new AssertionError(`edge ${edge.id} '${edge.name}' ${should}`);
      }
      this.#known.set(edge, { perm, sharedPerm });
    }
    for (const bs of nodes) if (!waiting.has(bs)) assertShared(bs);
  }

  /** Nodes that the open operation has not done with, and all below them. */
  #waiting(nodes: readonly BlockDriverState[], motion: Motion): Set<BlockDriverState> {
    const waiting = new Set(this.#unsettled);
    if (motion.operations === 0) return waiting;
    for (const bs of nodes) {
      if (motion.nodes.has(bs.id)) waiting.add(bs);
      for (const edge of bs.rawParents.snapshot()) if (motion.edges.has(edge.id)) waiting.add(bs);
    }
    for (const bs of waiting)
      for (const edge of bs.rawChildren.snapshot())
        if (edge.rawBs !== null) waiting.add(edge.rawBs);
    return waiting;
  }
}

/**
 * The root edge has what its BlockBackend asks of the node (C: blk->perm, unless blk->disable_perm). It may have more: to
 * ask for less is no error when it is refused, and then the edge stays as it was (bdrv_child_try_set_perm).
 */
function isEnoughFor(blk: BlockBackend, { perm, sharedPerm }: Permissions): boolean {
  if (blk.disablePerm) return perm === 0 && sharedPerm === BLK_PERM_ALL;
  return (blk.perm & ~perm) === 0 && (sharedPerm & ~blk.sharedPerm) === 0;
}

function asText({ perm, sharedPerm }: Permissions): string {
  const words = (bits: number): string => bdrvPermNames(bits) || "none";
  return `perm: ${words(perm)}; shared: ${words(sharedPerm)}`;
}
