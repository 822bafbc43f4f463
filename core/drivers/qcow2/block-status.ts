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
import { type ExtentKind, mapRange } from "./mapping.ts";
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
  const { kind, bytes: pnum, host } = extent;
  const status = STATUS[kind];
  if (host === null || kind === "compressed") return { ret: status, pnum, map: 0, file: null };
  const file = nodeBehind(dataChild(bs), SITE_STATUS);
  return { ret: status | BDRV_BLOCK_OFFSET_VALID, pnum, map: host, file };
}

const STATUS: Readonly<Record<ExtentKind, number>> = {
  data: BDRV_BLOCK_DATA,
  compressed: BDRV_BLOCK_DATA,
  zero: BDRV_BLOCK_ZERO,
  unallocated: 0,
};
