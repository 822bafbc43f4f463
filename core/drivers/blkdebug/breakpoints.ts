// Breakpoints: a request that comes to an event waits until somebody in the main context lets it go on.

import { assert, ENOENT } from "../../base/index.ts";
import { isBlkdebugEvent } from "../../graph/debug-events.ts";
import type { BlockDriverState, DriverBreakpoints } from "../../graph/state.ts";
import { aioCoWake } from "../../sched/index.ts";
import { driverEvent } from "../driver-events.ts";
import { type BlkdebugState, blkdebugStateOf } from "./state.ts";

export const blkdebugBreakpoints: DriverBreakpoints = {
  set: blkdebugDebugBreakpoint,
  remove: blkdebugDebugRemoveBreakpoint,
  release: (bs, tag) => (resumeReqByTag(blkdebugStateOf(bs), tag) ? 0 : -ENOENT),
  isSuspended: (bs, tag) => blkdebugStateOf(bs).suspended.some((held) => held.tag === tag),
};

/** blkdebug_debug_breakpoint (block/blkdebug.c:830). */
function blkdebugDebugBreakpoint(bs: BlockDriverState, event: string, tag: string): number {
  if (!isBlkdebugEvent(event)) return -ENOENT;
  blkdebugStateOf(bs).rules.unshift({ action: "suspend", event, state: 0, tag });
  return 0;
}

/** blkdebug_debug_remove_breakpoint (block/blkdebug.c:902). */
function blkdebugDebugRemoveBreakpoint(bs: BlockDriverState, tag: string): number {
  const state = blkdebugStateOf(bs);
  const before = state.rules.length;
  const kept = state.rules.filter((rule) => rule.action !== "suspend" || rule.tag !== tag);
  state.rules.splice(0, before, ...kept);
  let isKnown = kept.length < before;
  while (resumeReqByTag(state, tag)) isKnown = true;
  return isKnown ? 0 : -ENOENT;
}

/**
 * resume_req_by_tag (block/blkdebug.c:858): let the request that was held last under `tag` go on; false when there is none. One
 * that two breakpoints hold needs both. Differs from QEMU: it goes on in the context where it was held, not in the caller's.
 */
function resumeReqByTag(state: BlkdebugState, tag: string): boolean {
  const at = state.suspended.findIndex((held) => held.tag === tag);
  const held = state.suspended[at];
  if (held === undefined) return false;
  assert(!held.co.done, "a request that is held has not ended");
  driverEvent({ event: "print", line: `blkdebug: Resuming request '${tag}'` });
  state.suspended.splice(at, 1);
  if (!state.suspended.some(({ co }) => co === held.co)) aioCoWake(held.co);
  return true;
}
