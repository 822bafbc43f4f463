// Requests for guest data that are under way. A host cluster that is freed meanwhile is not given to anyone else before they
// have ended: a slow write would land in what is another part of the guest's disk by then, a slow read would show it.
// QEMU has no such rule, and the race of a discard with a write in flight that follows from that.

import { assert } from "../../base/index.ts";
import type { Qcow2State } from "./state.ts";

/** A request begins, under the lock, when it has learned where its data is; returns its number. Common. */
export function dataRequestBegin(state: Qcow2State): number {
  const number = state.dataRequestsBegun++;
  state.dataRequests.add(number);
  return number;
}

/** The request is over. Common. */
export function dataRequestEnd(state: Qcow2State, number: number): void {
  const was = state.dataRequests.delete(number);
  assert(was, "a request ends once");
}
