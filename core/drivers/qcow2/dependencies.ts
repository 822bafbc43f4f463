// Requests that touch clusters which another request is just allocating wait until that one is in the tables (C:
// handle_dependencies): they would allocate them again, or take away what it is about to name.

import { assert } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  ioCode,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  settled,
} from "../../sched/index.ts";
import { InFlightAllocation, type Qcow2State, stateOf } from "./state.ts";

const SITE_WAIT = site("handle_dependencies");

/**
 * handle_dependencies: how many of the `clusters` from `first` on nobody is allocating; waits, with the lock released, while it is
 * none. Whoever had to wait looks at the tables again.
 */
export function waitForAllocations(
  bs: BlockDriverState,
  first: number,
  clusters: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_WAIT);
  assert(clusters > 0, "a request touches a cluster");
  const state = stateOf(bs);
  const isFree = firstOverlap(state, first, clusters) === null;
  return isFree ? settled(clusters) : untilFree(state, first, clusters);
}

function* untilFree(state: Qcow2State, first: number, clusters: number): Co<number> {
  for (;;) {
    const busy = firstOverlap(state, first, clusters);
    if (busy === null) return clusters;
    if (busy.firstCluster > first) {
      clusters = busy.firstCluster - first;
      continue;
    }
    yield* qemuCoQueueWait(busy.dependents, state.lock);
  }
}

function firstOverlap(
  { allocations }: Qcow2State,
  first: number,
  clusters: number,
): InFlightAllocation | null {
  return (
    allocations.find(
      (one) => one.firstCluster < first + clusters && first < one.firstCluster + one.clusters,
    ) ?? null
  );
}

/** The clusters are being allocated from now on. Common. */
export function allocationBegin(
  state: Qcow2State,
  first: number,
  clusters: number,
): InFlightAllocation {
  assert(firstOverlap(state, first, clusters) === null, "one request allocates a cluster");
  const allocation = new InFlightAllocation(first, clusters);
  state.allocations.push(allocation);
  return allocation;
}

/** The tables have them, or it failed: who waits goes on. Common. */
export function allocationEnd(state: Qcow2State, allocation: InFlightAllocation): void {
  const at = state.allocations.indexOf(allocation);
  assert(at >= 0, "an allocation ends once");
  state.allocations.splice(at, 1);
  qemuCoQueueRestartAll(allocation.dependents);
}
