// Looking for errors in an image: its driver does it, or nobody can.

import { assert, ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { BDRV_FIX_ERRORS, BDRV_FIX_LEAKS, type BdrvCheckResult } from "../graph/driver-results.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { type Co, ioCode, ioOrGsCode, type Polls, runInCoroutine } from "../sched/index.ts";

const SITE_CO_CHECK = site("bdrv_co_check");
const SITE_CHECK = site("bdrv_check");

/**
 * bdrv_co_check (block.c:5372): what is found is added to `result`, a new one; `fix` (BDRV_FIX_*) says what to mend. 0 or a
 * negated errno. Counts nowhere in flight, as in QEMU: whoever checks keeps others away.
 */
export function* bdrvCoCheck(
  bs: BlockDriverState,
  result: BdrvCheckResult,
  fix: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_CO_CHECK);
  assert((fix & ~(BDRV_FIX_LEAKS | BDRV_FIX_ERRORS)) === 0, "there are two things to mend");
  if (bs.closed || bs.ejected) return -ENOMEDIUM;
  if (bs.drv.coCheck === undefined) return -ENOTSUP;
  return yield* bs.drv.coCheck(bs, result, fix);
}

/** bdrv_check: as bdrvCoCheck. Polls. */
export function* bdrvCheck(
  bs: BlockDriverState,
  result: BdrvCheckResult,
  fix: number,
): Polls<number> {
  ioOrGsCode(bs.aioContext, SITE_CHECK);
  assert(bs.id > 0, "a node has a number");
  return yield* runInCoroutine(bs.aioContext, () => bdrvCoCheck(bs, result, fix), SITE_CHECK);
}
