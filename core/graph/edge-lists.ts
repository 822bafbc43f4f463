// Editing the graph: the only place that writes a list, an alias, or an edge's node. Each write leaves its event, with the
// site of the function that asked for it.
//
// Whether the write was allowed is not decided here: callers have asserted it (writable.ts) and hold the drains.

import { assert, type SiteId } from "../base/index.ts";
import { Ev, List } from "../probe/index.ts";
import { globalStateCode, machine } from "../sched/index.ts";
import { backingBlockerOf } from "./op-blockers.ts";
import { BDRV_CHILD_COW, type BdrvChild, BlockDriverState, type EdgePlace } from "./state.ts";

/** Link `child` into the `children` of its parent `bs`: at the head, or where it was when it had `place`. */
export function insertIntoChildren(
  bs: BlockDriverState,
  child: BdrvChild,
  site: SiteId,
  place: EdgePlace | null,
): void {
  globalStateCode(site);
  assert(child.opaque === bs, "an edge is a child of its parent");
  assert(!bs.rawChildren.has(child), "an edge is in its parent's children once");
  if (place === null) bs.rawChildren.insertHead(child);
  else bs.rawChildren.insertBefore(child, place.inChildren);
  machine.probe.emit(Ev.list_insert, List.children, bs.id, child.id, site);
}

/** Unlink `child` from the `children` of its parent `bs`. */
export function removeFromChildren(bs: BlockDriverState, child: BdrvChild, site: SiteId): void {
  globalStateCode(site);
  assert(bs.rawChildren.has(child), "an edge is removed from children that hold it");
  bs.rawChildren.remove(child);
  assert(bs.rawChildren.length >= 0, "a list does not hold less than nothing");
  machine.probe.emit(Ev.list_remove, List.children, bs.id, child.id, site);
}

/** Link `child` into the `parents` of the node `bs` that it points at: at the head, or where it was when it had `place`. */
export function insertIntoParents(
  bs: BlockDriverState,
  child: BdrvChild,
  site: SiteId,
  place: EdgePlace | null,
): void {
  globalStateCode(site);
  assert(child.rawBs === bs, "an edge is in the parents of the node that it points at");
  assert(!bs.rawParents.has(child), "an edge is in its node's parents once");
  if (place === null) bs.rawParents.insertHead(child);
  else bs.rawParents.insertBefore(child, place.inParents);
  machine.probe.emit(Ev.list_insert, List.parents, bs.id, child.id, site);
}

/** Unlink `child` from the `parents` of the node `bs` that it points at. */
export function removeFromParents(bs: BlockDriverState, child: BdrvChild, site: SiteId): void {
  globalStateCode(site);
  assert(bs.rawParents.has(child), "an edge is removed from parents that hold it");
  bs.rawParents.remove(child);
  assert(bs.rawParents.length >= 0, "a list does not hold less than nothing");
  machine.probe.emit(Ev.list_remove, List.parents, bs.id, child.id, site);
}

/** Where `child`, which is not empty, is in its two lists. */
export function placeOf(child: BdrvChild, site: SiteId): EdgePlace {
  globalStateCode(site);
  const { opaque, rawBs } = child;
  assert(rawBs !== null, "an edge that is somewhere points at a node");
  const parent = opaque instanceof BlockDriverState ? opaque.rawChildren : null;
  assert(parent === null || parent.has(child), "and its parent has it among its children");
  return {
    inChildren: parent?.behind(child) ?? [],
    inParents: rawBs.rawParents.behind(child),
    backingBlocker: (child.role & BDRV_CHILD_COW) === 0 ? null : backingBlockerOf(child, rawBs),
  };
}

/** C: bs->file = child. */
export function setFile(bs: BlockDriverState, child: BdrvChild | null, site: SiteId): void {
  globalStateCode(site);
  assert(bs.rawFile !== child, "an alias is set to something else");
  assert(child === null || child.opaque === bs, "file is one of the children");
  bs.rawFile = child;
  machine.probe.emit(Ev.list_set, List.file, bs.id, child === null ? 0 : child.id, site);
}

/** C: bs->backing = child. */
export function setBacking(bs: BlockDriverState, child: BdrvChild | null, site: SiteId): void {
  globalStateCode(site);
  assert(bs.rawBacking !== child, "an alias is set to something else");
  assert(child === null || child.opaque === bs, "backing is one of the children");
  bs.rawBacking = child;
  machine.probe.emit(Ev.list_set, List.backing, bs.id, child === null ? 0 : child.id, site);
}

/** C: child->bs = bs. */
export function setEdgeBs(child: BdrvChild, bs: BlockDriverState | null, site: SiteId): void {
  globalStateCode(site);
  assert(child.rawBs !== bs, "an edge is pointed at something else");
  assert(bs === null || !bs.closed, "an edge does not point at a closed node");
  child.rawBs = bs;
  machine.probe.emit(Ev.list_set, List.edge_bs, child.id, bs === null ? 0 : bs.id, site);
}
