// Telling `blkdebug` what a driver or the block layer is about to do, and its breakpoints.
//
// An event goes to one node, the one that it happens to; a driver tells the node of its file. Whoever hears it may change what
// fails from then on, or hold the request: so this is a place where a request may yield. Nearly always nobody listens, and
// then it costs next to nothing.

import { assert, ENOTSUP } from "../base/index.ts";
import { edgeBs, edgeHome, edgeListens, listeningFileOf } from "../graph/access.ts";
import { bdrvPrimaryChild } from "../graph/chain.ts";
import type { BlkdebugEvent } from "../graph/debug-events.ts";
import type { BdrvChild, BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, ioCode, settled } from "../sched/index.ts";
import { nodeBehind } from "./inserted.ts";

const SITE_EVENT = site("bdrv_debug_event");
const SITE_CHILD_EVENT = site("BLKDBG_EVENT");
const SITE_FILE_EVENT = site("BLKDBG_EVENT/file");
const SITE_BREAKPOINT = site("bdrv_debug_breakpoint");
const SITE_REMOVE = site("bdrv_debug_remove_breakpoint");
const SITE_RESUME = site("bdrv_debug_resume");
const SITE_SUSPENDED = site("bdrv_debug_is_suspended");

/** bdrv_debug_event (block.c:6307): `event` happens to `bs`. */
export function bdrvDebugEvent(bs: BlockDriverState, event: BlkdebugEvent): Co<void> {
  ioCode(bs.aioContext, SITE_EVENT);
  const { coDebugEvent } = bs.drv;
  if (coDebugEvent === undefined || bs.closed) return settled(undefined);
  return coDebugEvent(bs, event);
}

/** BLKDBG_EVENT (block_int-io.h): `event` happens to the node behind `child`. */
export function blkdbgEvent(child: BdrvChild, event: BlkdebugEvent): Co<void> {
  ioCode(edgeHome(child), SITE_CHILD_EVENT);
  if (!edgeListens(child)) return settled(undefined);
  return bdrvDebugEvent(nodeBehind(child, SITE_CHILD_EVENT), event);
}

/** BLKDBG_EVENT(bs->file, ...): `event` happens to the file of `bs`. */
export function blkdbgFileEvent(bs: BlockDriverState, event: BlkdebugEvent): Co<void> {
  ioCode(bs.aioContext, SITE_FILE_EVENT);
  const child = listeningFileOf(bs, SITE_FILE_EVENT);
  return child === null ? settled(undefined) : blkdbgEvent(child, event);
}

/** bdrv_debug_breakpoint (block.c:6332): hold the next request at `event`; 0 or a negated errno. */
export function bdrvDebugBreakpoint(bs: BlockDriverState, event: string, tag: string): number {
  globalStateCode(SITE_BREAKPOINT);
  assert(tag.length > 0, "a breakpoint has a tag");
  const at = debugNode(bs);
  return at?.drv.breakpoints?.set(at, event, tag) ?? -ENOTSUP;
}

/** bdrv_debug_remove_breakpoint (block.c:6344): forget it, and let all go on that it holds; 0 or a negated errno. */
export function bdrvDebugRemoveBreakpoint(bs: BlockDriverState, tag: string): number {
  globalStateCode(SITE_REMOVE);
  assert(tag.length > 0, "a breakpoint has a tag");
  const at = debugNode(bs);
  return at?.drv.breakpoints?.remove(at, tag) ?? -ENOTSUP;
}

/** bdrv_debug_resume (block.c:6355): let one request go on that waits at `tag`; 0 or a negated errno. */
export function bdrvDebugResume(bs: BlockDriverState, tag: string): number {
  globalStateCode(SITE_RESUME);
  assert(tag.length > 0, "a breakpoint has a tag");
  const at = debugNode(bs);
  return at?.drv.breakpoints?.release(at, tag) ?? -ENOTSUP;
}

/** bdrv_debug_is_suspended (block.c:6369): whether a request waits at `tag`. */
export function bdrvDebugIsSuspended(bs: BlockDriverState, tag: string): boolean {
  globalStateCode(SITE_SUSPENDED);
  assert(tag.length > 0, "a breakpoint has a tag");
  const at = debugNode(bs);
  return at?.drv.breakpoints?.isSuspended(at, tag) ?? false;
}

/** bdrv_find_debug_node (block.c:6317): the first node from `bs` down its primary children that has breakpoints. */
function debugNode(bs: BlockDriverState): BlockDriverState | null {
  let at: BlockDriverState | null = bs;
  while (at !== null && !at.closed && at.drv.breakpoints === undefined) {
    const child: BdrvChild | null = bdrvPrimaryChild(at);
    at = child === null ? null : edgeBs(child, SITE_BREAKPOINT);
  }
  return at;
}
