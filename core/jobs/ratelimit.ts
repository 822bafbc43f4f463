// How fast a job may go (C: include/qemu/ratelimit.h): so much a slice of time, and whoever sends more waits until as many
// slices have passed as he has used up.
//
//   quota 10, slice 100 ms                  dispatched      delay from now
//   t=0     send 4                          4 < 10          none
//   t=30    send 26                         30 = 3 slices   until t=300: 270 ms
//   t=301   send 1: a new slice begins      1 < 10          none
//
// The arithmetic is C's: the quota and the end of a slice come from doubles, cut to whole numbers.

import { assert } from "../base/index.ts";
import { clockNs, QemuMutex, qemuMutexLock, qemuMutexUnlock } from "../sched/index.ts";

/** C: RateLimit. */
export class RateLimit {
  readonly lock = new QemuMutex("ratelimit");
  sliceStartTime = 0;
  sliceEndTime = 0;
  /** Units a slice; 0: no limit. */
  sliceQuota = 0;
  sliceNs = 0;
  /** Units sent since the slice began. */
  dispatched = 0;
}

/** ratelimit_set_speed (ratelimit.h:91): `speed` units a second, 0 for no limit, counted in slices of `sliceNs`. Common. */
export function ratelimitSetSpeed(limit: RateLimit, speed: number, sliceNs: number): void {
  assert(speed >= 0, "a speed is not negative");
  assert(sliceNs > 0, "a slice lasts");
  qemuMutexLock(limit.lock);
  limit.sliceNs = sliceNs;
  limit.sliceQuota = speed === 0 ? 0 : Math.trunc(Math.max((speed * sliceNs) / 1e9, 1));
  qemuMutexUnlock(limit.lock);
}

/**
 * ratelimit_calculate_delay (ratelimit.h:40): `units` were sent; how many nanoseconds to wait before the next are. Common.
 * Differs from QEMU: without a limit the clock, whose reading is an input, is not asked.
 */
export function ratelimitCalculateDelay(limit: RateLimit, units: number): number {
  assert(units >= 0, "nothing is unsent");
  qemuMutexLock(limit.lock);
  const delayNs = limit.sliceQuota === 0 ? 0 : delayAt(limit, units, clockNs());
  qemuMutexUnlock(limit.lock);
  return delayNs;
}

function delayAt(limit: RateLimit, units: number, nowNs: number): number {
  assert(limit.sliceNs > 0, "a slice lasts");
  if (limit.sliceEndTime < nowNs) {
    limit.sliceStartTime = nowNs;
    limit.sliceEndTime = nowNs + limit.sliceNs;
    limit.dispatched = 0;
  }
  limit.dispatched += units;
  if (limit.dispatched < limit.sliceQuota) return 0;
  const slices = limit.dispatched / limit.sliceQuota;
  limit.sliceEndTime = limit.sliceStartTime + Math.trunc(slices * limit.sliceNs);
  return limit.sliceEndTime - nowNs;
}
