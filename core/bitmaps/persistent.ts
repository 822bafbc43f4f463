// Bitmaps that are stored in the image: what the driver of a node says to that.

import { assert, ENOMEDIUM, ENOTSUP, strerror } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, type Polls, runInCoroutine } from "../sched/index.ts";

const SITE_SUPPORTS = site("bdrv_supports_persistent_dirty_bitmap");
const SITE_CAN_STORE = site("bdrv_can_store_new_dirty_bitmap");
const SITE_REMOVE = site("bdrv_remove_persistent_dirty_bitmap");

/** bdrv_supports_persistent_dirty_bitmap (dirty-bitmap.c:472). */
export function bdrvSupportsPersistentDirtyBitmap(bs: BlockDriverState): boolean {
  globalStateCode(SITE_SUPPORTS);
  return !bs.closed && bs.drv.supportsPersistentDirtyBitmap?.(bs) === true;
}

/** bdrv_can_store_new_dirty_bitmap (dirty-bitmap.c:530): BlockError when the image of `bs` cannot have such a bitmap. */
export function bdrvCanStoreNewDirtyBitmap(
  bs: BlockDriverState,
  name: string,
  granularity: number,
): void {
  globalStateCode(SITE_CAN_STORE);
  assert(name.length > 0, "what is stored has a name");
  const { canStoreNewDirtyBitmap } = bs.drv;
  if (!bs.closed && canStoreNewDirtyBitmap !== undefined) {
    canStoreNewDirtyBitmap(bs, name, granularity);
    return;
  }
  const errno = bs.closed ? ENOMEDIUM : ENOTSUP;
  const what = `Can't store persistent bitmaps to ${bs.nodeName}`;
  throw new BlockError(errno, `${what}: ${strerror(errno)}`);
}

/**
 * bdrv_remove_persistent_dirty_bitmap (dirty-bitmap.c:448): the image of `bs` has no bitmap of that name any more; it is no error that
 * it had none. BlockError when it could not be removed. Polls.
 */
export function* bdrvRemovePersistentDirtyBitmap(bs: BlockDriverState, name: string): Polls<void> {
  globalStateCode(SITE_REMOVE);
  assert(name.length > 0, "what is stored has a name");
  const remove = bs.drv.coRemovePersistentDirtyBitmap;
  if (bs.closed || remove === undefined) return;
  const error = yield* runInCoroutine(bs.aioContext, () => remove(bs, name), SITE_REMOVE);
  if (error !== null) throw error;
}
