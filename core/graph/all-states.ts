// All nodes of the running machine (C: all_bdrv_states), in order of creation. Written in the main context only: by bdrv_new
// and by the deletion of a node. Drains of everything (core/io/drain-all.ts) walk it.

import { assert } from "../base/index.ts";
import { perMachine } from "../sched/index.ts";
import type { BlockDriverState } from "./state.ts";

const allStates = perMachine((): BlockDriverState[] => []);

/** bdrv_next_all_states (block.c:6063): every node that exists, as a list that later edits do not change. */
export function bdrvAllStates(): readonly BlockDriverState[] {
  return allStates().slice();
}

/** C: insertion into all_bdrv_states. */
export function addToAllStates(bs: BlockDriverState): void {
  assert(!allStates().includes(bs), "a node is born once");
  allStates().push(bs);
}

/** C: removal from all_bdrv_states. */
export function removeFromAllStates(bs: BlockDriverState): void {
  const at = allStates().indexOf(bs);
  assert(at >= 0, "a node dies once");
  allStates().splice(at, 1);
}
