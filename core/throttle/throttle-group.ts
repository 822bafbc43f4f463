// Membership in a throttling group: entering, leaving, the limits, and the move into another AioContext.
//
// Who leaves or moves must have no request waiting: the caller drains first (a queued request whose member moved away would never
// be woken). Leaving waits for the coroutines that a timer or a drain has started.

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import {
  type AioContext,
  aioWaitWhile,
  globalStateCode,
  modelAssert,
  type Polls,
  qemuCoQueueEmpty,
  qemuMutexLock,
  qemuMutexUnlock,
  timerPending,
} from "../sched/index.ts";
import { type ThrottleConfig, throttleProblem } from "./config.ts";
import { throttleGroupIncref, throttleGroupUnref } from "./groups.ts";
import {
  after,
  scheduleNextRequest,
  throttleGroupRestartTgm,
  throttleTimerCb,
} from "./intercept.ts";
import { groupOf, type ThrottleGroupMember, timersOf } from "./member.ts";
import {
  DIRECTIONS,
  READS,
  throttleConfig,
  throttleGetConfig,
  throttleTimersAttachAioContext,
  throttleTimersDetachAioContext,
  throttleTimersInit,
  timerOf,
  WRITES,
} from "./state.ts";

const SITE_UNREGISTER = site("throttle_group_unregister_tgm");
const SITE_DETACH = site("throttle_group_detach_aio_context");
const SITE_THROTTLE_GROUP_REGISTER_TGM = site("throttle_group_register_tgm");
const SITE_THROTTLE_GROUP_CONFIG = site("throttle_group_config");
const SITE_THROTTLE_GROUP_GET_CONFIG = site("throttle_group_get_config");
const SITE_THROTTLE_GROUP_ATTACH_AIO_CONTEXT = site("throttle_group_attach_aio_context");

/** throttle_group_register_tgm (throttle-groups.c:540): `tgm`, in `ctx`, is a member of the group `name`, made if need be. */
export function throttleGroupRegisterTgm(
  tgm: ThrottleGroupMember,
  name: string,
  ctx: AioContext,
): void {
  globalStateCode(SITE_THROTTLE_GROUP_REGISTER_TGM);
  assert(tgm.group === null, "a member is in one group");
  const group = throttleGroupIncref(name);
  tgm.group = group;
  tgm.aioContext = ctx;
  tgm.restartPending = 0;
  qemuMutexLock(group.lock);
  for (const direction of DIRECTIONS) group.tokens[direction] ??= tgm;
  group.members.unshift(tgm);
  const timerCb = (direction: typeof READS) => (): undefined => {
    throttleTimerCb(tgm, direction);
    return undefined;
  };
  tgm.timers = throttleTimersInit(ctx, timerCb(READS), timerCb(WRITES));
  qemuMutexUnlock(group.lock);
}

/**
 * throttle_group_unregister_tgm (throttle-groups.c:583): `tgm`, which has no request waiting, leaves its group, if it is in one. The
 * group goes with its last member. Polls, until no restart of it is under way.
 */
export function* throttleGroupUnregisterTgm(tgm: ThrottleGroupMember): Polls<void> {
  globalStateCode(SITE_UNREGISTER);
  const { group } = tgm;
  if (group === null) return;
  yield* aioWaitWhile(tgm.aioContext, () => tgm.restartPending > 0, SITE_UNREGISTER);
  const tt = timersOf(tgm);
  qemuMutexLock(group.lock);
  for (const direction of DIRECTIONS) {
    modelAssert(tgm.pendingReqs[direction] === 0, "tgm->pending_reqs[i] == 0", SITE_UNREGISTER);
    modelAssert(
      qemuCoQueueEmpty(tgm.throttledReqs[direction]),
      "qemu_co_queue_empty(&tgm->throttled_reqs[i])",
      SITE_UNREGISTER,
    );
    modelAssert(
      !timerPending(timerOf(tt, direction)),
      "!timer_pending(tgm->throttle_timers.timers[i])",
      SITE_UNREGISTER,
    );
    if (group.tokens[direction] !== tgm) continue;
    const next = after(group.members, tgm);
    group.tokens[direction] = next === tgm ? null : next;
  }
  group.members.splice(group.members.indexOf(tgm), 1);
  throttleTimersDetachAioContext(tt);
  qemuMutexUnlock(group.lock);
  throttleGroupUnref(group);
  tgm.timers = null;
  tgm.group = null;
  tgm.aioContext = null;
}

/** throttle_group_config (throttle-groups.c:472): new limits for the whole group of `tgm`, whose requests look again. */
export function throttleGroupConfig(tgm: ThrottleGroupMember, cfg: ThrottleConfig): void {
  globalStateCode(SITE_THROTTLE_GROUP_CONFIG);
  const group = groupOf(tgm);
  assert(throttleProblem(cfg) === null, "limits are checked where they come from");
  qemuMutexLock(group.lock);
  throttleConfig(group.ts, cfg);
  qemuMutexUnlock(group.lock);
  throttleGroupRestartTgm(tgm);
}

/** throttle_group_get_config (throttle-groups.c:490): the limits of the group of `tgm`, as a copy. */
export function throttleGroupGetConfig(tgm: ThrottleGroupMember): ThrottleConfig {
  globalStateCode(SITE_THROTTLE_GROUP_GET_CONFIG);
  const group = groupOf(tgm);
  assert(group.members.includes(tgm), "who is in a group is one of its members");
  qemuMutexLock(group.lock);
  const cfg = throttleGetConfig(group.ts);
  qemuMutexUnlock(group.lock);
  return cfg;
}

/** throttle_group_get_name (throttle-groups.c:167). Common. */
export function throttleGroupGetName(tgm: ThrottleGroupMember): string {
  const { name } = groupOf(tgm);
  assert(name.length > 0, "a group has a name");
  return name;
}

/** throttle_group_attach_aio_context (throttle-groups.c:622): after a detach, the timers of `tgm` are in `ctx`. */
export function throttleGroupAttachAioContext(tgm: ThrottleGroupMember, ctx: AioContext): void {
  globalStateCode(SITE_THROTTLE_GROUP_ATTACH_AIO_CONTEXT);
  assert(tgm.aioContext === null, "a member is detached before it is attached");
  throttleTimersAttachAioContext(timersOf(tgm), ctx);
  tgm.aioContext = ctx;
}

/** throttle_group_detach_aio_context (throttle-groups.c:630): the timers are gone; the turn goes to the next member. */
export function throttleGroupDetachAioContext(tgm: ThrottleGroupMember): void {
  globalStateCode(SITE_DETACH);
  const group = groupOf(tgm);
  const tt = timersOf(tgm);
  modelAssert(
    tgm.pendingReqs.every((count) => count === 0),
    "tgm->pending_reqs[0] == 0 && tgm->pending_reqs[1] == 0",
    SITE_DETACH,
  );
  modelAssert(
    tgm.throttledReqs.every(qemuCoQueueEmpty),
    "qemu_co_queue_empty(&tgm->throttled_reqs[0])",
    SITE_DETACH,
  );
  qemuMutexLock(group.lock);
  for (const direction of DIRECTIONS) {
    if (!timerPending(timerOf(tt, direction))) continue;
    group.anyTimerArmed[direction] = false;
    scheduleNextRequest(tgm, direction);
  }
  qemuMutexUnlock(group.lock);
  throttleTimersDetachAioContext(tt);
  tgm.aioContext = null;
}
