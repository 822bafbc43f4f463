// What rules do: which of them an event wakes, and whether a request fails.

import { assert } from "../../base/index.ts";
import type { BlkdebugEvent } from "../../graph/debug-events.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import {
  aioCoSchedule,
  aioWaitKick,
  type Co,
  ioCode,
  qemuCoroutineSelf,
  qemuCoroutineYield,
} from "../../sched/index.ts";
import { driverEvent } from "../driver-events.ts";
import {
  type BlkdebugIoType,
  type BlkdebugState,
  blkdebugStateOf,
  type InjectErrorRule,
} from "./state.ts";

const SITE_EVENT = site("blkdebug_debug_event");
const SITE_CHECK = site("rule_check");

/** blkdebug_debug_event (block/blkdebug.c:806): the rules of `event` count from here on; breakpoints hold the request here. */
export function* blkdebugCoDebugEvent(bs: BlockDriverState, event: BlkdebugEvent): Co<void> {
  ioCode(bs.aioContext, SITE_EVENT);
  assert(!bs.closed, "events happen to nodes that are open");
  const breakpoints = takeBreakpoints(blkdebugStateOf(bs), event);
  applyRules(blkdebugStateOf(bs), event);
  for (const tag of breakpoints) {
    const { suspended } = blkdebugStateOf(bs);
    suspended.unshift({ co: qemuCoroutineSelf(), tag });
    driverEvent({ event: "print", line: `blkdebug: Suspended request '${tag}'` });
  }
  if (breakpoints.length === 0) return;
  aioWaitKick();
  yield* qemuCoroutineYield();
}

/** process_rule (block/blkdebug.c:776) for rules that do not suspend. Common. */
export function applyRules(state: BlkdebugState, event: BlkdebugEvent): void {
  let newState = state.state;
  const active: InjectErrorRule[] = [];
  for (const rule of state.rules) {
    if (rule.event !== event || (rule.state !== 0 && rule.state !== state.state)) continue;
    if (rule.action === "inject-error") active.unshift(rule);
    if (rule.action === "set-state") newState = rule.newState;
  }
  if (active.length > 0) state.active = active;
  state.state = newState;
}

/** suspend_request (block/blkdebug.c:756): a breakpoint holds one request. The tags of those at `event`, newest first. */
function takeBreakpoints(state: BlkdebugState, event: BlkdebugEvent): string[] {
  const tags: string[] = [];
  for (const rule of [...state.rules]) {
    if (rule.action !== "suspend" || rule.event !== event) continue;
    state.rules.splice(state.rules.indexOf(rule), 1);
    tags.push(rule.tag);
  }
  return tags;
}

/** rule_check (block/blkdebug.c:591): 0, or the negated errno with which an active rule fails the request. */
export function* ruleCheck(
  bs: BlockDriverState,
  ioType: BlkdebugIoType,
  offset: number,
  bytes: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_CHECK);
  assert(bytes >= 0, "byte counts are not negative");
  const state = blkdebugStateOf(bs);
  const rule = state.active.find((one) => fits(one, ioType, offset, bytes));
  if (rule === undefined || rule.errno === 0) return 0;
  if (rule.once) removeRule(state, rule);
  if (!rule.immediately) yield* oneTurn();
  return -rule.errno;
}

function fits(
  rule: InjectErrorRule,
  ioType: BlkdebugIoType,
  offset: number,
  bytes: number,
): boolean {
  if (rule.ioType === null ? ioType === "block-status" : ioType !== rule.ioType) return false;
  return rule.offset === null || (rule.offset >= offset && rule.offset < offset + bytes);
}

function removeRule(state: BlkdebugState, rule: InjectErrorRule): void {
  state.active.splice(state.active.indexOf(rule), 1);
  const at = state.rules.indexOf(rule);
  assert(at >= 0, "an active rule is a rule");
  state.rules.splice(at, 1);
}

function* oneTurn(): Co<void> {
  const self = qemuCoroutineSelf();
  assert(self.ctx !== null, "a running coroutine has a context");
  aioCoSchedule(self.ctx, self);
  yield* qemuCoroutineYield();
}
