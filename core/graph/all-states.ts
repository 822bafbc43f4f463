// All nodes of the running machine (C: all_bdrv_states), in order of creation. Written in the main context only: by bdrv_new
// and by the deletion of a node. Drains of everything (core/io/drain-all.ts) walk it.

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, machine, perMachine } from "../sched/index.ts";
import type { BlockDriverState } from "./state.ts";

const SITE_NEXT_ALL_STATES = site("bdrv_next_all_states");
const SITE_ADD_TO_ALL_STATES = site("add_to_all_states");
const SITE_REMOVE_FROM_ALL_STATES = site("remove_from_all_states");

const SITE_SET_MONITOR_OWNED = site("bdrv_set_monitor_owned");
const SITE_NEXT_MONITOR_OWNED = site("bdrv_next_monitor_owned");

const allStates = perMachine((): BlockDriverState[] => []);
/** Nodes that the monitor holds a reference to (C: monitor_bdrv_states), oldest first. */
const monitorOwned = perMachine((): BlockDriverState[] => []);

/** bdrv_next_all_states (block.c:6063): every node that exists, as a list that later edits do not change. */
export function bdrvAllStates(): readonly BlockDriverState[] {
  globalStateCode(SITE_NEXT_ALL_STATES);
  return allStates().slice();
}

/** The same for an onlooker, in whatever thread; none where no machine runs. Common. */
export function rawAllStates(): readonly BlockDriverState[] {
  return machine === undefined ? [] : allStates().slice();
}

/** C: insertion into all_bdrv_states. */
export function addToAllStates(bs: BlockDriverState): void {
  globalStateCode(SITE_ADD_TO_ALL_STATES);
  assert(!allStates().includes(bs), "a node is born once");
  allStates().push(bs);
}

/** C: removal from all_bdrv_states. */
export function removeFromAllStates(bs: BlockDriverState): void {
  globalStateCode(SITE_REMOVE_FROM_ALL_STATES);
  const at = allStates().indexOf(bs);
  assert(at >= 0, "a node dies once");
  allStates().splice(at, 1);
  const owned = monitorOwned().indexOf(bs);
  if (owned >= 0) monitorOwned().splice(owned, 1);
}

/** bdrv_set_monitor_owned (blockdev.c:70): the reference of whoever made `bs` is the monitor's. */
export function bdrvSetMonitorOwned(bs: BlockDriverState): void {
  globalStateCode(SITE_SET_MONITOR_OWNED);
  assert(!monitorOwned().includes(bs), "the monitor holds a node once");
  monitorOwned().push(bs);
}

/** bdrv_next_monitor_owned (blockdev.c:686): behind `bs`, the first for null; null when there is none. */
export function nextMonitorOwned(bs: BlockDriverState | null): BlockDriverState | null {
  globalStateCode(SITE_NEXT_MONITOR_OWNED);
  const all = monitorOwned();
  return all[bs === null ? 0 : all.indexOf(bs) + 1] ?? null;
}
