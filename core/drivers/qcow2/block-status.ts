// Where the bytes of a range are, for those who ask before they read.

import { assert } from "../../base/index.ts";
import {
  BDRV_BLOCK_DATA,
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_ZERO,
  type BlockStatus,
} from "../../graph/driver-results.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode, qemuCoMutexLock, qemuCoMutexUnlock } from "../../sched/index.ts";
import { mapRange } from "./mapping.ts";
import { dataChild } from "./read.ts";
import { stateOf } from "./state.ts";

const SITE_STATUS = site("qcow2_co_block_status");

/** qcow2_co_block_status: of the first run of one kind in the range. */
export function* qcow2CoBlockStatus(
  bs: BlockDriverState,
  _wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  ioCode(bs.aioContext, SITE_STATUS);
  assert(bytes > 0, "a range has bytes");
  const { lock } = stateOf(bs);
  yield* qemuCoMutexLock(lock);
  const extent = yield* mapRange(bs, offset, bytes);
  qemuCoMutexUnlock(lock);
  if (typeof extent === "number") return { ret: extent, pnum: 0, map: 0, file: null };
  const nowhere = { pnum: extent.bytes, map: 0, file: null };
  switch (extent.kind) {
    case "data":
      return {
        ret: BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID,
        pnum: extent.bytes,
        map: extent.host,
        file: nodeBehind(dataChild(bs), SITE_STATUS),
      };
    case "compressed":
      return { ret: BDRV_BLOCK_DATA, ...nowhere };
    case "zero":
      return { ret: BDRV_BLOCK_ZERO, ...nowhere };
    case "unallocated":
      return { ret: 0, ...nowhere };
  }
}
