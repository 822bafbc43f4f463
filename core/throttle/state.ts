// The state of a throttling group: its limits with their levels, and when they last leaked; and the two timers that a member of
// the group waits with, one a direction.
//
// The clock is read for each request that may have to wait, and for no other: each reading is an input of the recording. Where
// there is no limit at all no level matters, and no leak is computed.

import { assert, type VirtualNs } from "../base/index.ts";
import {
  type AioContext,
  clockNs,
  type Handler,
  type Timer,
  timerDel,
  timerMod,
  timerNew,
  timerPending,
} from "../sched/index.ts";
import {
  type BucketType,
  THROTTLE_BPS_READ,
  THROTTLE_BPS_TOTAL,
  THROTTLE_BPS_WRITE,
  THROTTLE_OPS_READ,
  THROTTLE_OPS_TOTAL,
  THROTTLE_OPS_WRITE,
  ThrottleConfig,
  throttleConfigCopy,
  throttleEnabled,
} from "./config.ts";
import { THROTTLE_WAIT_MAX_NS, throttleComputeWait, throttleLeakBucket } from "./leaky-bucket.ts";

/** The two kinds of request (C: is_write). Discards and writes of zeroes are writes. */
export type Direction = 0 | 1;
export const READS: Direction = 0;
export const WRITES: Direction = 1;
export const DIRECTIONS: readonly Direction[] = [READS, WRITES];

/** Buckets that a request goes through: those of bytes, then those of operations. */
const BYTES: readonly (readonly BucketType[])[] = [
  [THROTTLE_BPS_TOTAL, THROTTLE_BPS_READ],
  [THROTTLE_BPS_TOTAL, THROTTLE_BPS_WRITE],
];
const OPERATIONS: readonly (readonly BucketType[])[] = [
  [THROTTLE_OPS_TOTAL, THROTTLE_OPS_READ],
  [THROTTLE_OPS_TOTAL, THROTTLE_OPS_WRITE],
];

/** C: ThrottleState; as throttle_init leaves it. */
export class ThrottleState {
  cfg = new ThrottleConfig();
  /** When the levels last leaked. */
  previousLeak = 0 as VirtualNs;
}

/** C: ThrottleTimers. Both are null while the member has no context. */
export class ThrottleTimers {
  readonly timers: [Timer | null, Timer | null] = [null, null];
  readonly callbacks: readonly [Handler, Handler];

  constructor(readTimerCb: Handler, writeTimerCb: Handler) {
    this.callbacks = [readTimerCb, writeTimerCb];
  }
}

/** throttle_config (throttle.c:383): new limits; nothing has been done yet. Common. */
export function throttleConfig(ts: ThrottleState, cfg: ThrottleConfig): void {
  ts.cfg = throttleConfigCopy(cfg);
  for (const bucket of ts.cfg.buckets) {
    bucket.level = 0;
    bucket.burstLevel = 0;
  }
  ts.previousLeak = clockNs();
  assert(ts.cfg !== cfg, "the caller keeps his limits");
}

/** throttle_get_config (throttle.c:405): the limits and levels, as a copy. Common. */
export function throttleGetConfig(ts: ThrottleState): ThrottleConfig {
  assert(ts.previousLeak >= 0, "times are not negative");
  return throttleConfigCopy(ts.cfg);
}

/** throttle_timers_init (throttle.c:229): two timers of `ctx`, not armed. Common. */
export function throttleTimersInit(
  ctx: AioContext,
  readTimerCb: Handler,
  writeTimerCb: Handler,
): ThrottleTimers {
  const tt = new ThrottleTimers(readTimerCb, writeTimerCb);
  throttleTimersAttachAioContext(tt, ctx);
  return tt;
}

/** throttle_timers_attach_aio_context (throttle.c:199): the timers are in `ctx` from now on. Common. */
export function throttleTimersAttachAioContext(tt: ThrottleTimers, ctx: AioContext): void {
  assert(!throttleTimersAreInitialized(tt), "timers are in one context at a time");
  for (const direction of DIRECTIONS) tt.timers[direction] = timerNew(ctx, tt.callbacks[direction]);
  assert(throttleTimersAreInitialized(tt), "the timers exist");
}

/** throttle_timers_detach_aio_context (throttle.c:255): the timers are gone, armed or not. Common. */
export function throttleTimersDetachAioContext(tt: ThrottleTimers): void {
  for (const direction of DIRECTIONS) {
    timerDel(timerOf(tt, direction));
    tt.timers[direction] = null;
  }
  assert(!throttleTimersAreInitialized(tt), "the timers are gone");
}

/** throttle_timers_are_initialized (throttle.c:271). Common. */
export function throttleTimersAreInitialized(tt: ThrottleTimers): boolean {
  assert((tt.timers[0] === null) === (tt.timers[1] === null), "there are both timers or none");
  return tt.timers[0] !== null;
}

/** The timer of one direction, which must exist. Common. */
export function timerOf(tt: ThrottleTimers, direction: Direction): Timer {
  const timer = tt.timers[direction];
  assert(timer !== null, "the member has a context");
  return timer;
}

/** throttle_schedule_timer (throttle.c:419): whether a request of this direction has to wait; then its timer is armed. Common. */
export function throttleScheduleTimer(
  ts: ThrottleState,
  tt: ThrottleTimers,
  direction: Direction,
): boolean {
  if (!throttleEnabled(ts.cfg)) return false;
  const now = clockNs();
  throttleDoLeak(ts, now);
  const wait = throttleComputeWaitFor(ts, direction);
  if (wait === 0) return false;
  assert(wait <= THROTTLE_WAIT_MAX_NS, "waits are not endless");
  const timer = timerOf(tt, direction);
  if (!timerPending(timer)) timerMod(timer, (now + wait) as VirtualNs);
  return true;
}

/** throttle_do_leak (throttle.c:59): time has passed since the last leak. */
function throttleDoLeak(ts: ThrottleState, now: VirtualNs): void {
  const deltaNs = now - ts.previousLeak;
  ts.previousLeak = now;
  if (deltaNs <= 0) return;
  for (const bucket of ts.cfg.buckets) throttleLeakBucket(bucket, deltaNs);
}

/** throttle_compute_wait_for (throttle.c:142): the longest wait of the buckets that count. */
function throttleComputeWaitFor(ts: ThrottleState, direction: Direction): number {
  let longest = 0;
  for (const index of [...bucketsIn(BYTES, direction), ...bucketsIn(OPERATIONS, direction)])
    longest = Math.max(longest, throttleComputeWait(ts.cfg.buckets[index]));
  return longest;
}

/** throttle_account (throttle.c:452): a request of `bytes` is being done. Common. */
export function throttleAccount(ts: ThrottleState, direction: Direction, bytes: number): void {
  assert(bytes >= 0, "byte counts are not negative");
  const { opSize } = ts.cfg;
  const units = opSize !== 0 && bytes > opSize ? bytes / opSize : 1;
  for (const index of bucketsIn(BYTES, direction)) raise(ts, index, bytes);
  for (const index of bucketsIn(OPERATIONS, direction)) raise(ts, index, units);
}

function raise(ts: ThrottleState, index: BucketType, units: number): void {
  const bucket = ts.cfg.buckets[index];
  bucket.level += units;
  if (bucket.burstLength > 1) bucket.burstLevel += units;
}

function bucketsIn(
  table: readonly (readonly BucketType[])[],
  direction: Direction,
): readonly BucketType[] {
  return table[direction] ?? [];
}
