// On whose behalf: each level of a node's, edge's or parent's quiesce counter belongs to one drained section.
//
// QEMU only counts. When an edge moves from a node drained by section A to one drained by section B, its parent keeps its
// level and nothing is called, but from then on it is the end of B that lets the parent go. The analyzer has to know, or it
// would take the end of A for it; hence `quiesce_transfer`. Nothing here is a read that QEMU does: no list event.

import { assert, type SectionId } from "../base/index.ts";
import { Ev, Owner, site } from "../probe/index.ts";
import { globalStateCode, machine } from "../sched/index.ts";
import type { BdrvChild, BlockDriverState, EdgeParent } from "./state.ts";

const SITE_RETARGET_LEVELS = site("retarget_levels");

/** The entries of `levels` that `held` lacks, in order; each entry of `held` answers for one of `levels`. Common. */
export function levelsNotIn(levels: readonly SectionId[], held: readonly SectionId[]): SectionId[] {
  const answering = [...held];
  return levels.filter((section) => {
    const at = answering.indexOf(section);
    if (at < 0) return true;
    answering.splice(at, 1);
    return false;
  });
}

/**
 * `child` now points at `newBs`: the levels that its parent holds for sections that `newBs` does not know are held for
 * sections of `newBs` that the parent does not hold yet. What is left over is put last: it will be ended next.
 */
export function retargetLevels(child: BdrvChild, newBs: BlockDriverState): void {
  globalStateCode(SITE_RETARGET_LEVELS);
  const stale = levelsNotIn(child.quiescedFor, newBs.quiescedFor);
  const missing = levelsNotIn(newBs.quiescedFor, child.quiescedFor);
  const moves = Math.min(stale.length, missing.length);
  const before = child.quiescedFor.length;
  for (let i = 0; i < moves; i++)
    transferLevel(child, stale[i] as SectionId, missing[i] as SectionId);
  const leftOver = stale.slice(moves);
  // All out before any goes in: a section may be left over more than once.
  for (const section of leftOver)
    child.quiescedFor.splice(child.quiescedFor.lastIndexOf(section), 1);
  child.quiescedFor.push(...leftOver);
  assert(child.quiescedFor.length === before, "a transfer changes no counter");
}

/** One level of `child`, of its parent and of all above that came through it changes its section. */
function transferLevel(child: BdrvChild, from: SectionId, to: SectionId): void {
  assert(from !== to, "a level is transferred to another section");
  relabel(child.quiescedFor, from, to);
  const parent = child.opaque as EdgeParent;
  if (!relabel(parent.quiescedFor, from, to)) return;
  machine.probe.emit(Ev.quiesce_transfer, ownerOf(child), child.parentId, from, to);
  if (!child.klass.parentIsBds) return;
  const above = (child.opaque as BlockDriverState).rawParents;
  for (const edge of above.snapshot())
    if (edge.quiescedFor.includes(from)) transferLevel(edge, from, to);
}

function relabel(levels: SectionId[], from: SectionId, to: SectionId): boolean {
  const at = levels.indexOf(from);
  if (at < 0) return false;
  levels[at] = to;
  return true;
}

function ownerOf(child: BdrvChild): number {
  switch (child.klass.name) {
    case "child_of_bds":
      return Owner.node;
    case "child_root":
      return Owner.blk;
    case "child_job":
      return Owner.job;
  }
}
