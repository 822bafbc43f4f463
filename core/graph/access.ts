// Reading the graph: every read of a shared list or alias goes through here and leaves its event, with the site of the
// reader. `childrenOf` and `parentsOf` count one read for a walk of the list.

import type { SiteId } from "../base/index.ts";
import { Ev, List } from "../probe/index.ts";
import { type AioContext, machine } from "../sched/index.ts";
import type { BdrvChild, BlockDriverState, EdgeList } from "./state.ts";

/** The edges to `bs`'s children (C: bs->children). Common. */
export function childrenOf(bs: BlockDriverState, site: SiteId): EdgeList {
  machine.probe.emit(Ev.list_read, List.children, bs.id, site);
  return bs.rawChildren;
}

/** The edges from `bs`'s parents (C: bs->parents). Common. */
export function parentsOf(bs: BlockDriverState, site: SiteId): EdgeList {
  machine.probe.emit(Ev.list_read, List.parents, bs.id, site);
  return bs.rawParents;
}

/** C: bs->file. Common. */
export function fileOf(bs: BlockDriverState, site: SiteId): BdrvChild | null {
  machine.probe.emit(Ev.list_read, List.file, bs.id, site);
  return bs.rawFile;
}

/** C: bs->backing. Common. */
export function backingOf(bs: BlockDriverState, site: SiteId): BdrvChild | null {
  machine.probe.emit(Ev.list_read, List.backing, bs.id, site);
  return bs.rawBacking;
}

/** C: child->bs. Common. */
export function edgeBs(child: BdrvChild, site: SiteId): BlockDriverState | null {
  machine.probe.emit(Ev.list_read, List.edge_bs, child.id, site);
  return child.rawBs;
}

/**
 * The context where the node behind `child` is at home, for the check of a thread domain: no access to the graph, hence no event.
 * Null while the edge points at nothing. Common.
 */
export function edgeHome(child: BdrvChild): AioContext | null {
  return child.rawBs === null ? null : child.rawBs.aioContext;
}

/**
 * Whether the node behind `child` hears debug events: no access to the graph, hence no event, as in edgeHome. C reads
 * child->bs for each of its debug events; here that read is a fact of the run only where somebody listens. Common.
 */
export function edgeListens(child: BdrvChild): boolean {
  return child.rawBs?.drv.coDebugEvent !== undefined;
}

/** C: bs->file, for a debug event: null when nobody behind it listens, and then no event, as in edgeListens. Common. */
export function listeningFileOf(bs: BlockDriverState, site: SiteId): BdrvChild | null {
  return bs.rawFile !== null && edgeListens(bs.rawFile) ? fileOf(bs, site) : null;
}
