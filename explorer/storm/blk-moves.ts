// Moves of BlockBackends that leave the graph as it is: to another context, and into and out of a throttle group, whose limits are
// so low that requests have to wait.

import {
  blkIoLimitsDisable,
  blkIoLimitsEnable,
  blkIoLimitsUpdateGroup,
  blkSetAioContext,
  blkSetIoLimits,
} from "#core/backend";
import type { Polls } from "#core/sched";
import { THROTTLE_OPS_TOTAL, throttleConfigInit } from "#core/throttle";
import type { StormState } from "./storm-state.ts";

/** Throttle groups. */
export const GROUPS = ["slow", "slower"] as const;
/** Operations a second: a guest does some tens of thousands. */
const LIMITS = [20_000, 5_000] as const;

/** One without a guest, and what is below it. */
export function* setBlkContext(storm: StormState): Polls<void> {
  const drive = storm.pick(storm.drives, ({ dev }) => dev === null);
  const ctx = storm.pick(storm.contexts);
  if (drive === undefined || ctx === undefined || drive.ctx === ctx) return;
  yield* storm.attempt(() => blkSetAioContext(drive, ctx), "composite");
}

/** Limits on a drive that has none; another group, or no more limits, for one that has. */
export function* limitDrive(storm: StormState): Polls<void> {
  const drive = storm.pick(storm.drives);
  if (drive === undefined) return;
  const which = storm.prng.below(GROUPS.length);
  const [group, limit] = [GROUPS[which] ?? GROUPS[0], LIMITS[which] ?? LIMITS[0]];
  yield* storm.attempt(function* (): Polls<void> {
    if (drive.throttleGroupMember.group !== null) {
      if (storm.prng.chance(1, 2)) yield* blkIoLimitsUpdateGroup(drive, group);
      else yield* blkIoLimitsDisable(drive);
      return;
    }
    const cfg = throttleConfigInit();
    cfg.buckets[THROTTLE_OPS_TOTAL].avg = limit;
    blkIoLimitsEnable(drive, group);
    blkSetIoLimits(drive, cfg);
  });
}
