// Questions about where the bytes of a range are, and the state of a machine, for thread-level code. Each of these is a hidden
// poll point, as in sync.ts; questions go down the chain in the context of the node that is asked.

import { assert } from "../base/index.ts";
import { bdrvFilterOrCowBs } from "../graph/chain.ts";
import { BDRV_BLOCK_ALLOCATED } from "../graph/driver-results.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { type GuestBuffer, ioOrGsCode, type Polls, runInCoroutine } from "../sched/index.ts";
import {
  bdrvCoCommonBlockStatusAbove,
  type StatusAbove,
  type StatusBase,
  type StatusRange,
} from "./block-status.ts";
import { qiovOf } from "./guest-copy.ts";
import { bdrvCoReadvVmstate, bdrvCoWritevVmstate } from "./vmstate.ts";

const SITE_STATUS = site("bdrv_common_block_status_above");
const SITE_BLOCK_STATUS = site("bdrv_block_status");
const SITE_ALLOCATED = site("bdrv_is_allocated");
const SITE_LOAD = site("bdrv_load_vmstate");
const SITE_SAVE = site("bdrv_save_vmstate");

/** What is known about the first `pnum` bytes of a range: `ret` as the function says, or a negated errno. */
export interface Allocation {
  readonly ret: number;
  readonly pnum: number;
}

/** bdrv_common_block_status_above: as bdrvCoCommonBlockStatusAbove. Polls. */
export function* bdrvCommonBlockStatusAbove(
  bs: BlockDriverState,
  base: StatusBase,
  range: StatusRange,
): Polls<StatusAbove> {
  ioOrGsCode(bs.aioContext, SITE_STATUS);
  assert(range.bytes >= 0, "byte counts are not negative");
  return yield* runInCoroutine(
    bs.aioContext,
    () => bdrvCoCommonBlockStatusAbove(bs, base, range),
    SITE_STATUS,
  );
}

/** bdrv_block_status_above (io.c:2714): from `bs` down to the layer above `base`; null is the end of the chain. Polls. */
export function* bdrvBlockStatusAbove(
  bs: BlockDriverState,
  base: BlockDriverState | null,
  offset: number,
  bytes: number,
): Polls<StatusAbove> {
  ioOrGsCode(bs.aioContext, SITE_BLOCK_STATUS);
  assert(offset >= 0, "a range lies inside an image");
  const range = { wantZero: true, offset, bytes };
  return yield* bdrvCommonBlockStatusAbove(bs, { base, includeBase: false }, range);
}

/** bdrv_block_status (io.c:2723): what the layer of `bs` knows. Polls. */
export function* bdrvBlockStatus(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): Polls<StatusAbove> {
  ioOrGsCode(bs.aioContext, SITE_BLOCK_STATUS);
  assert(offset >= 0, "a range lies inside an image");
  return yield* bdrvBlockStatusAbove(bs, bdrvFilterOrCowBs(bs), offset, bytes);
}

/** bdrv_is_allocated (io.c:2759): `ret` is 1 when the layer of `bs` decides what is read, else 0. Polls. */
export function* bdrvIsAllocated(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): Polls<Allocation> {
  ioOrGsCode(bs.aioContext, SITE_ALLOCATED);
  assert(offset >= 0, "a range lies inside an image");
  const range = { wantZero: false, offset, bytes };
  const base = { base: bs, includeBase: true };
  const { ret, pnum } = yield* bdrvCommonBlockStatusAbove(bs, base, range);
  if (ret < 0) return { ret, pnum };
  return { ret: (ret & BDRV_BLOCK_ALLOCATED) === 0 ? 0 : 1, pnum };
}

/**
 * bdrv_is_allocated_above (io.c:2792): `ret` is how many layers down from `top`, from 1, the one is that decides what is
 * read; 0 when none down to `base` does. Polls.
 */
export function* bdrvIsAllocatedAbove(
  top: BlockDriverState,
  base: StatusBase,
  offset: number,
  bytes: number,
): Polls<Allocation> {
  ioOrGsCode(top.aioContext, SITE_ALLOCATED);
  assert(offset >= 0, "a range lies inside an image");
  const range = { wantZero: false, offset, bytes };
  const { ret, pnum, depth } = yield* bdrvCommonBlockStatusAbove(top, base, range);
  if (ret < 0) return { ret, pnum };
  return { ret: (ret & BDRV_BLOCK_ALLOCATED) === 0 ? 0 : depth, pnum };
}

/** bdrv_load_vmstate (io.c:2886): `bytes` from `position` on into `buffer`. As many bytes, or a negated errno. Polls. */
export function* bdrvLoadVmstate(
  bs: BlockDriverState,
  buffer: GuestBuffer,
  position: number,
  bytes: number,
): Polls<number> {
  ioOrGsCode(bs.aioContext, SITE_LOAD);
  assert(bytes >= 0, "byte counts are not negative");
  const ret = yield* runInCoroutine(
    bs.aioContext,
    () => bdrvCoReadvVmstate(bs, position, bytes, qiovOf(buffer)),
    SITE_LOAD,
  );
  return ret < 0 ? ret : bytes;
}

/** bdrv_save_vmstate (io.c:2876): `bytes` of `buffer` to `position`. As many bytes, or a negated errno. Polls. */
export function* bdrvSaveVmstate(
  bs: BlockDriverState,
  buffer: GuestBuffer,
  position: number,
  bytes: number,
): Polls<number> {
  ioOrGsCode(bs.aioContext, SITE_SAVE);
  assert(bytes >= 0, "byte counts are not negative");
  const ret = yield* runInCoroutine(
    bs.aioContext,
    () => bdrvCoWritevVmstate(bs, position, bytes, qiovOf(buffer)),
    SITE_SAVE,
  );
  return ret < 0 ? ret : bytes;
}
