// Where the bytes of a range are, for those who ask before they read.

import { assert } from "../../base/index.ts";
import { fileOf } from "../../graph/access.ts";
import {
  BDRV_BLOCK_DATA,
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_RECURSE,
  BDRV_BLOCK_ZERO,
  type BlockStatus,
} from "../../graph/driver-results.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvGetAllocatedFileSize, bdrvGetlength } from "../../io/length.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  coChain,
  coThen,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  settled,
} from "../../sched/index.ts";
import { type Extent, type ExtentKind, mapRange } from "./mapping.ts";
import { dataChild } from "./read.ts";
import { getRefcount } from "./refcount.ts";
import { stateOf } from "./state.ts";

const SITE_STATUS = site("qcow2_co_block_status");
const SITE_PREALLOCATION = site("qcow2_detect_metadata_preallocation");

/** qcow2_co_block_status: of the first run of one kind in the range. */
export function qcow2CoBlockStatus(
  bs: BlockDriverState,
  _wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  ioCode(bs.aioContext, SITE_STATUS);
  assert(bytes > 0, "a range has bytes");
  const { lock } = stateOf(bs);
  return coChain(qemuCoMutexLock(lock), () =>
    coChain(hasMetadataPreallocation(bs), (mayBeHole) =>
      coThen(mapRange(bs, offset, bytes), (extent) => {
        qemuCoMutexUnlock(lock);
        return statusOf(bs, extent, mayBeHole);
      }),
    ),
  );
}

function statusOf(bs: BlockDriverState, extent: Extent | number, mayBeHole: boolean): BlockStatus {
  if (typeof extent === "number") return { ret: extent, pnum: 0, map: 0, file: null };
  const { kind, bytes: pnum, host } = extent;
  const status = STATUS[kind];
  if (host === null || kind === "compressed") return { ret: status, pnum, map: 0, file: null };
  const file = nodeBehind(dataChild(bs), SITE_STATUS);
  const recurse = mayBeHole && kind === "data" ? BDRV_BLOCK_RECURSE : 0;
  return { ret: status | BDRV_BLOCK_OFFSET_VALID | recurse, pnum, map: host, file };
}

const STATUS: Readonly<Record<ExtentKind, number>> = {
  data: BDRV_BLOCK_DATA,
  compressed: BDRV_BLOCK_DATA,
  zero: BDRV_BLOCK_ZERO,
  unallocated: 0,
};

/**
 * qcow2_detect_metadata_preallocation (block/qcow2-refcount.c:3715): whether more clusters are in use than the file has on the disk, with
 * some room for error. Looked at once. Under the lock.
 */
function hasMetadataPreallocation(bs: BlockDriverState): Co<boolean> {
  const state = stateOf(bs);
  if (state.metadataPreallocation !== null) return settled(state.metadataPreallocation);
  return coThen(usedClustersExceedFile(bs, state.clusterBytes), (ret) => {
    state.metadataPreallocation = ret === 1;
    return state.metadataPreallocation;
  });
}

/** 1 or 0; a negated errno when it cannot be known. */
function* usedClustersExceedFile(bs: BlockDriverState, clusterBytes: number): Co<number> {
  const file = fileOf(bs, SITE_PREALLOCATION);
  if (file === null) return 0;
  const below = nodeBehind(file, SITE_PREALLOCATION);
  const [length, allocated] = [bdrvGetlength(below), bdrvGetAllocatedFileSize(below)];
  if (length < 0 || allocated < 0) return Math.min(length, allocated);
  const real = Math.floor(allocated / clusterBytes);
  const threshold = Math.max(Math.floor((real * 10) / 9), real + 2);
  const end = Math.ceil(length / clusterBytes);
  let used = 0;
  // Nothing is looked up for a file that is on the disk as a whole.
  for (let cluster = 0; used < threshold && end - cluster >= threshold - used; cluster++) {
    const count = yield* getRefcount(bs, cluster);
    if (count < 0) return count;
    if (count > 0) used++;
  }
  return used >= threshold ? 1 : 0;
}
