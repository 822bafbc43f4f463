// References that the state of a driver has to nodes which are no children of its node: for whoever checks that all are accounted for.

import { assert } from "../base/index.ts";
import { bdrvRef, bdrvUnref } from "../graph/node-life.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { type Polls, perMachine } from "../sched/index.ts";

/** How many there are to each node that has some. */
export const driverReferences = perMachine(() => new Map<BlockDriverState, number>());

/** bdrv_ref, by a driver. Common. */
export function driverRef(bs: BlockDriverState): void {
  bdrvRef(bs);
  driverReferences().set(bs, (driverReferences().get(bs) ?? 0) + 1);
}

/** bdrv_unref of what driverRef has referenced. Polls. Common. */
export function* driverUnref(bs: BlockDriverState): Polls<void> {
  const left = (driverReferences().get(bs) ?? 0) - 1;
  assert(left >= 0, "a driver gives back what it took");
  if (left === 0) driverReferences().delete(bs);
  else driverReferences().set(bs, left);
  yield* bdrvUnref(bs);
}
