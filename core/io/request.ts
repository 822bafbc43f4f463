// What every request at a node has in common: it is counted in flight from its start to its end. A request that comes from
// nowhere, straight at an edge or a node with no outer counter, is a guest request of its own and leaves that event.

import { assert } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import { currentTask, ioCode, machine } from "../sched/index.ts";
import { bdrvDecInFlight, bdrvIncInFlight } from "./in-flight.ts";
import { BDRV_REQUEST_MAX_BYTES } from "./limits.ts";

const SITE_REQUEST_BEGIN = site("request_begin");
const SITE_REQUEST_END = site("request_end");

/** The running coroutine begins a request at `bs`; returns whether it is part of no other. `type` is the catalogue's. */
export function requestBegin(
  bs: BlockDriverState,
  type: number,
  offset: number,
  bytes: number,
): boolean {
  ioCode(bs.aioContext, SITE_REQUEST_BEGIN);
  const outermost = currentTask() === 0;
  bdrvIncInFlight(bs);
  assert(bs.inFlight > 0, "a request is in flight");
  // Only a question about a range can be about more than a request moves, and an event's integer holds.
  const shown = Math.min(bytes, BDRV_REQUEST_MAX_BYTES);
  if (outermost) machine.probe.emitWide(Ev.req_begin, offset, 0, type, shown);
  return outermost;
}

/** The request is over, with `ret`; `outermost` is what requestBegin said. */
export function requestEnd(
  bs: BlockDriverState,
  type: number,
  ret: number,
  outermost: boolean,
): void {
  ioCode(bs.aioContext, SITE_REQUEST_END);
  assert(Number.isInteger(ret), "a request returns a number");
  assert(ret <= 0, "a request returns 0 or a negated errno");
  if (outermost) machine.probe.emit(Ev.req_end, 0, type, ret);
  bdrvDecInFlight(bs);
}
