// What happens to a request of a member: whether it has to wait, whose turn is next, and who wakes it.
//
//   request ── a timer of the group armed, or the buckets too full, or others wait? ── no ──> account, look for the next
//                      │ yes                                                                     ^
//               queue of the member ── woken by a timer, by the request before it, by a drain ───┘
//
// At most one timer a direction is armed in the whole group; each request that goes on looks for the next one, round robin over the
// members that have some. A member with its limits disabled (a drained section) waits for nobody: its requests go on one
// after the other, each waking the next, and the section's poll waits for them since they count in flight.

import { assert, must } from "../base/index.ts";
import { Ev, site } from "../probe/index.ts";
import {
  aioCoEnter,
  aioWaitKick,
  type Co,
  clockNs,
  ioCode,
  machine,
  modelAssert,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  qemuCoQueueNext,
  qemuCoQueueWait,
  qemuCoroutineCreate,
  qemuCoroutineSelf,
  qemuMutexLock,
  qemuMutexUnlock,
  timerDel,
  timerMod,
  timerPending,
} from "../sched/index.ts";
import { groupOf, type ThrottleGroupMember, timersOf } from "./member.ts";
import {
  DIRECTIONS,
  type Direction,
  throttleAccount,
  throttleScheduleTimer,
  timerOf,
} from "./state.ts";

const SITE_THROTTLE_GROUP_CO_IO_LIMITS_INTERCEPT = site("throttle_group_co_io_limits_intercept");
const SITE_SCHEDULE_NEXT_REQUEST = site("schedule_next_request");
const SITE_THROTTLE_GROUP_RESTART_TGM = site("throttle_group_restart_tgm");
const SITE_TIMER_CB = site("timer_cb");

/**
 * throttle_group_co_io_limits_intercept (throttle-groups.c:360): a request of `bytes` wants to start; come back when it may. The
 * caller counts in flight, so that a drain waits for it.
 */
export function* throttleGroupCoIoLimitsIntercept(
  tgm: ThrottleGroupMember,
  bytes: number,
  direction: Direction,
): Co<void> {
  ioCode(null, SITE_THROTTLE_GROUP_CO_IO_LIMITS_INTERCEPT);
  assert(bytes >= 0, "byte counts are not negative");
  const group = groupOf(tgm);
  qemuMutexLock(group.lock);
  const token = nextThrottleToken(tgm, direction);
  const mustWait = throttleGroupScheduleTimer(token, direction);
  if (mustWait || tgm.pendingReqs[direction] > 0) {
    tgm.pendingReqs[direction]++;
    qemuMutexUnlock(group.lock);
    yield* waitInQueue(tgm, direction);
    qemuMutexLock(group.lock);
    tgm.pendingReqs[direction]--;
  }
  throttleAccount(group.ts, direction, bytes);
  yield* coScheduleNextRequest(tgm, direction);
  qemuMutexUnlock(group.lock);
}

function* waitInQueue(tgm: ThrottleGroupMember, direction: Direction): Co<void> {
  const { kind, id } = tgm.owner;
  const co = qemuCoroutineSelf();
  machine.probe.emit(Ev.throttle_wait, kind, id, co.id, direction);
  yield* qemuCoMutexLock(tgm.throttledReqsLock);
  yield* qemuCoQueueWait(tgm.throttledReqs[direction], tgm.throttledReqsLock);
  qemuCoMutexUnlock(tgm.throttledReqsLock);
  machine.probe.emit(Ev.throttle_resumed, kind, id, co.id, direction);
}

/** next_throttle_token (throttle-groups.c:219): the next member in the round that has requests waiting, else `tgm`. */
function nextThrottleToken(tgm: ThrottleGroupMember, direction: Direction): ThrottleGroupMember {
  const { members, tokens } = groupOf(tgm);
  // Who is being drained does not wait for requests of others.
  if (tgm.pendingReqs[direction] > 0 && tgm.ioLimitsDisabled > 0) return tgm;
  const start = must(tokens[direction], "a group with members has a token");
  for (let token = after(members, start); token !== start; token = after(members, token))
    if (token.pendingReqs[direction] > 0) return token;
  return start.pendingReqs[direction] > 0 ? start : tgm;
}

/** throttle_group_next_tgm (throttle-groups.c:181): the member after `tgm`, in a circle. Common. */
export function after(
  members: readonly ThrottleGroupMember[],
  tgm: ThrottleGroupMember,
): ThrottleGroupMember {
  const at = members.indexOf(tgm);
  assert(at >= 0, "a token is one of the group's members");
  return must(members[(at + 1) % members.length], "a group has members");
}

/** throttle_group_schedule_timer (throttle-groups.c:267): whether a request of `tgm` has to wait; a timer is armed then. */
function throttleGroupScheduleTimer(tgm: ThrottleGroupMember, direction: Direction): boolean {
  const group = groupOf(tgm);
  if (tgm.ioLimitsDisabled > 0) return false;
  if (group.anyTimerArmed[direction]) return true;
  if (!throttleScheduleTimer(group.ts, timersOf(tgm), direction)) return false;
  group.tokens[direction] = tgm;
  group.anyTimerArmed[direction] = true;
  return true;
}

/** The member whose next request may start now; null when none waits, or a timer is armed for it. */
function mayStart(tgm: ThrottleGroupMember, direction: Direction): ThrottleGroupMember | null {
  const token = nextThrottleToken(tgm, direction);
  if (token.pendingReqs[direction] === 0) return null;
  return throttleGroupScheduleTimer(token, direction) ? null : token;
}

/** schedule_next_request (throttle-groups.c:320) in a coroutine, which prefers the requests of its own member. */
function* coScheduleNextRequest(tgm: ThrottleGroupMember, direction: Direction): Co<void> {
  const token = mayStart(tgm, direction);
  if (token === null) return;
  if (yield* throttleGroupCoRestartQueue(tgm, direction)) groupOf(tgm).tokens[direction] = tgm;
  else fireAtOnce(token, direction);
}

/** schedule_next_request (throttle-groups.c:320) at thread level. The caller holds the group's lock. */
export function scheduleNextRequest(tgm: ThrottleGroupMember, direction: Direction): void {
  ioCode(null, SITE_SCHEDULE_NEXT_REQUEST);
  assert(groupOf(tgm).lock.held, "the caller holds the group's lock");
  const token = mayStart(tgm, direction);
  if (token !== null) fireAtOnce(token, direction);
}

/** A timer that expires now starts the request of `token` in its own context. */
function fireAtOnce(token: ThrottleGroupMember, direction: Direction): void {
  const group = groupOf(token);
  timerMod(timerOf(timersOf(token), direction), clockNs());
  group.anyTimerArmed[direction] = true;
  group.tokens[direction] = token;
}

/** throttle_group_co_restart_queue (throttle-groups.c:301): wake the oldest request of `tgm`; false when there is none. */
function* throttleGroupCoRestartQueue(tgm: ThrottleGroupMember, direction: Direction): Co<boolean> {
  yield* qemuCoMutexLock(tgm.throttledReqsLock);
  const isWoken = qemuCoQueueNext(tgm.throttledReqs[direction]);
  qemuCoMutexUnlock(tgm.throttledReqsLock);
  return isWoken;
}

/** throttle_group_restart_queue (throttle-groups.c:427): wake the oldest request of `tgm`, from a coroutine in its context. */
function throttleGroupRestartQueue(tgm: ThrottleGroupMember, direction: Direction): void {
  const timer = timerOf(timersOf(tgm), direction);
  modelAssert(!timerPending(timer), "!timer_pending(tgm->throttle_timers.timers[is_write])");
  tgm.restartPending++;
  const co = qemuCoroutineCreate(() => restartQueueEntry(tgm, direction));
  aioCoEnter(must(tgm.aioContext, "a member with timers has a context"), co);
}

/** throttle_group_restart_queue_entry (throttle-groups.c:402): when nobody waits here, it is another member's turn. */
function* restartQueueEntry(tgm: ThrottleGroupMember, direction: Direction): Co<void> {
  modelAssert(tgm.group !== null, "tgm->throttle_state");
  const { lock } = tgm.group;
  if (!(yield* throttleGroupCoRestartQueue(tgm, direction))) {
    qemuMutexLock(lock);
    yield* coScheduleNextRequest(tgm, direction);
    qemuMutexUnlock(lock);
  }
  tgm.restartPending--;
  aioWaitKick();
}

/** throttle_group_restart_tgm (throttle-groups.c:446): let requests that wait look again, now. Nothing for who is in no group. */
export function throttleGroupRestartTgm(tgm: ThrottleGroupMember): void {
  ioCode(null, SITE_THROTTLE_GROUP_RESTART_TGM);
  assert(tgm.restartPending >= 0, "restarts end once");
  if (tgm.group === null) return;
  for (const direction of DIRECTIONS) {
    const timer = timerOf(timersOf(tgm), direction);
    if (timerPending(timer)) {
      timerDel(timer);
      throttleTimerCb(tgm, direction);
    } else {
      throttleGroupRestartQueue(tgm, direction);
    }
  }
}

/** timer_cb (throttle-groups.c:505): the wait of the oldest request is over. */
export function throttleTimerCb(tgm: ThrottleGroupMember, direction: Direction): void {
  ioCode(null, SITE_TIMER_CB);
  const group = groupOf(tgm);
  assert(group.members.includes(tgm), "timers are those of members");
  qemuMutexLock(group.lock);
  group.anyTimerArmed[direction] = false;
  qemuMutexUnlock(group.lock);
  throttleGroupRestartQueue(tgm, direction);
}
