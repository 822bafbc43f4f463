// A leaky bucket: how much was done lately, as a level that each request raises and that leaks at the rate `avg`.
//
//     main bucket    holds max * burstLength units (without `max`: avg / 10), leaks `avg` units a second
//     burst bucket   holds max / 10 units, leaks `max` a second; used only if a burst may last longer than a second
//
// A request may start while neither is too full, else it waits until enough has leaked. Units are bytes or operations. All
// arithmetic is that of util/throttle.c, in doubles; values are whole numbers below 2^53, so both sides round alike.

import { assert } from "../base/index.ts";

/** What one second is (C: NANOSECONDS_PER_SECOND). */
export const NANOSECONDS_PER_SECOND = 1_000_000_000;

/**
 * No wait is longer than this: a bit over 52 days, half of what a safe integer holds in nanoseconds, so that clock plus wait
 * stays one. QEMU has no such limit; there a wait beyond 292 years is undefined behaviour.
 */
export const THROTTLE_WAIT_MAX_NS = 2 ** 52;

/** C: LeakyBucket. The limits are set by whoever configures, the levels by leaking and accounting. */
export class LeakyBucket {
  /** Units a second in the long run; 0 is no limit. */
  avg = 0;
  /** Units a second in a burst; 0 is none. */
  max = 0;
  /** How many seconds a burst may last. */
  burstLength = 1;
  level = 0;
  burstLevel = 0;
}

/** throttle_leak_bucket (throttle.c:36): `deltaNs` nanoseconds have passed. Common. */
export function throttleLeakBucket(bucket: LeakyBucket, deltaNs: number): void {
  assert(deltaNs >= 0, "time does not run backwards");
  const leak = (bucket.avg * deltaNs) / NANOSECONDS_PER_SECOND;
  bucket.level = Math.max(bucket.level - leak, 0);
  if (bucket.burstLength > 1) {
    const burstLeak = (bucket.max * deltaNs) / NANOSECONDS_PER_SECOND;
    bucket.burstLevel = Math.max(bucket.burstLevel - burstLeak, 0);
  }
  assert(bucket.level >= 0, "a bucket is never less than empty");
}

/** throttle_compute_wait (throttle.c:95): how many nanoseconds the next request has to wait. Common. */
export function throttleComputeWait(bucket: LeakyBucket): number {
  assert(bucket.avg >= 0, "limits are not negative");
  if (bucket.avg === 0) return 0;
  // Without `max`, a tenth of a second at `avg` is let through at once, or every other request would wait.
  const size = bucket.max === 0 ? bucket.avg / 10 : bucket.max * bucket.burstLength;
  const extra = bucket.level - size;
  if (extra > 0) return waitFor(bucket.avg, extra);
  if (bucket.burstLength <= 1) return 0;
  assert(bucket.max > 0, "a burst that lasts has a rate");
  const burstExtra = bucket.burstLevel - bucket.max / 10;
  return burstExtra > 0 ? waitFor(bucket.max, burstExtra) : 0;
}

/** throttle_do_compute_wait (throttle.c:83): the time in which `extra` units leak at `limit` units a second. */
function waitFor(limit: number, extra: number): number {
  return Math.min(Math.trunc((extra * NANOSECONDS_PER_SECOND) / limit), THROTTLE_WAIT_MAX_NS);
}
