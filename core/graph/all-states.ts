// All nodes of the running machine (C: all_bdrv_states), in order of creation. Written in the main context only: by bdrv_new
// and by the deletion of a node. Drains of everything (core/io/drain-all.ts) walk it.

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, perMachine } from "../sched/index.ts";
import type { BlockDriverState } from "./state.ts";

const SITE_NEXT_ALL_STATES = site("bdrv_next_all_states");
const SITE_ADD_TO_ALL_STATES = site("add_to_all_states");
const SITE_REMOVE_FROM_ALL_STATES = site("remove_from_all_states");

const allStates = perMachine((): BlockDriverState[] => []);

/** bdrv_next_all_states (block.c:6063): every node that exists, as a list that later edits do not change. */
export function bdrvAllStates(): readonly BlockDriverState[] {
  globalStateCode(SITE_NEXT_ALL_STATES);
  return allStates().slice();
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
}
