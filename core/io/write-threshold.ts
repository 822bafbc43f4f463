// A write threshold: users are told when a node is first written to behind an offset, so that they can make it longer in time
// (C: block/write-threshold.c).

import { assert } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, perMachine } from "../sched/index.ts";

const SITE_SET = site("bdrv_write_threshold_set");

/** That it was exceeded: by how many bytes, and what it was. */
export interface WriteThresholdEvent {
  readonly nodeName: string;
  readonly amountExceeded: number;
  readonly writeThreshold: number;
}

/** Who is told; in the thread of the request, straight through. */
export const writeThresholdListeners = perMachine(
  (): ((event: WriteThresholdEvent) => undefined)[] => [],
);

/** bdrv_write_threshold_set (block/write-threshold.c:25): 0 for none. */
export function bdrvWriteThresholdSet(bs: BlockDriverState, thresholdBytes: number): void {
  globalStateCode(SITE_SET);
  assert(thresholdBytes >= 0, "an offset is not negative");
  bs.writeThresholdOffset = thresholdBytes;
}

/** bdrv_write_threshold_check_write (block/write-threshold.c:51): told once, so that clients are not flooded. Common. */
export function bdrvWriteThresholdCheckWrite(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): void {
  const { writeThresholdOffset: writeThreshold, nodeName } = bs;
  if (writeThreshold === 0 || offset + bytes <= writeThreshold) return;
  assert(offset >= 0, "a write lies inside a node");
  bs.writeThresholdOffset = 0;
  const amountExceeded = offset + bytes - writeThreshold;
  for (const listener of writeThresholdListeners())
    listener({ nodeName, amountExceeded, writeThreshold });
}
