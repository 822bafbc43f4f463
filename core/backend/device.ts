// The guest's device above a BlockBackend: attached to it at most one, with callbacks that tell it of drains, of a node that has
// another size, and of a medium that is loaded or ejected.
//
// A device with `changeMediaCb` has removable media. Jobs and exports set callbacks without being a device.

import { assert, EBUSY } from "../base/index.ts";
import { BLK_PERM_ALL } from "../graph/permission-bits.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, ioCode, modelAssert, type Polls } from "../sched/index.ts";
import { blkEvent } from "./blk-events.ts";
import { type BlockBackend, type BlockDevOps, blkAll, type DeviceState } from "./block-backend.ts";
import { blkRef, blkUnref } from "./life.ts";
import { blkIostatusReset } from "./on-error.ts";
import { blkSetPerm } from "./permissions.ts";

const SITE_ATTACH = site("blk_attach_dev");
const SITE_DETACH = site("blk_detach_dev");
const SITE_GET = site("blk_get_attached_dev");
const SITE_GET_ID = site("blk_get_attached_dev_id");
const SITE_BY_DEV = site("blk_by_dev");
const SITE_SET_OPS = site("blk_set_dev_ops");
const SITE_CHANGE_MEDIA = site("blk_dev_change_media_cb");
const SITE_REMOVABLE = site("blk_dev_has_removable_media");
const SITE_HAS_TRAY = site("blk_dev_has_tray");
const SITE_TRAY_OPEN = site("blk_dev_is_tray_open");
const SITE_EJECT = site("blk_dev_eject_request");
const SITE_LOCKED = site("blk_dev_is_medium_locked");

/** blk_attach_dev (block-backend.c:965): `dev` becomes its user, and one of its owners; -EBUSY when it has one already. */
export function blkAttachDev(blk: BlockBackend, dev: DeviceState): number {
  globalStateCode(SITE_ATTACH);
  assert(blk.refcnt > 0, "the BlockBackend is alive");
  if (blk.dev !== null) return -EBUSY;
  blkRef(blk);
  blk.dev = dev;
  blkIostatusReset(blk);
  return 0;
}

/** blk_detach_dev (block-backend.c:990): its user lets go of it, and of what it needed of the node. Polls. */
export function* blkDetachDev(blk: BlockBackend, dev: DeviceState): Polls<void> {
  globalStateCode(SITE_DETACH);
  modelAssert(blk.dev === dev, "blk->dev == dev", SITE_DETACH);
  blk.dev = null;
  blk.devOps = null;
  yield* blkSetPerm(blk, { perm: 0, sharedPerm: BLK_PERM_ALL });
  assert(blk.perm === 0, "nobody needs anything any more");
  yield* blkUnref(blk);
}

/** blk_get_attached_dev (block-backend.c:1004). */
export function blkGetAttachedDev(blk: BlockBackend): DeviceState | null {
  globalStateCode(SITE_GET);
  return blk.dev;
}

/** blk_get_attached_dev_id (block-backend.c:1012): "" without a device. */
export function blkGetAttachedDevId(blk: BlockBackend): string {
  ioCode(null, SITE_GET_ID);
  return blk.dev === null ? "" : blk.dev.id;
}

/** blk_by_dev (block-backend.c:1033): the BlockBackend that `dev` uses, or null. */
export function blkByDev(dev: DeviceState): BlockBackend | null {
  globalStateCode(SITE_BY_DEV);
  return blkAll().find((blk) => blk.dev === dev) ?? null;
}

/** blk_set_dev_ops (block-backend.c:1052): its user's callbacks; one that comes inside a drained section is told of it. */
export function blkSetDevOps(blk: BlockBackend, ops: BlockDevOps | null): void {
  globalStateCode(SITE_SET_OPS);
  assert(blk.refcnt > 0, "the BlockBackend is alive");
  blk.devOps = ops;
  if (blk.quiesceCounter > 0) ops?.drainedBegin?.();
}

/**
 * blk_dev_change_media_cb (block-backend.c:1075): tell the device that a medium is loaded, or ejected; the outside hears when its
 * tray has moved. BlockError when the device refuses to load it.
 */
export function blkDevChangeMediaCb(blk: BlockBackend, load: boolean): undefined {
  globalStateCode(SITE_CHANGE_MEDIA);
  const change = blk.devOps?.changeMediaCb;
  if (change === undefined) return;
  const wasOpen = blkDevIsTrayOpen(blk);
  change(load);
  const isOpen = blkDevIsTrayOpen(blk);
  if (wasOpen === isOpen) return;
  const id = blkGetAttachedDevId(blk);
  blkEvent({ event: "DEVICE_TRAY_MOVED", device: blk.name, id, trayOpen: isOpen });
}

/** blk_dev_has_removable_media (block-backend.c:1108): true without a device. */
export function blkDevHasRemovableMedia(blk: BlockBackend): boolean {
  globalStateCode(SITE_REMOVABLE);
  return blk.dev === null || blk.devOps?.changeMediaCb !== undefined;
}

/** blk_dev_has_tray (block-backend.c:1117). */
export function blkDevHasTray(blk: BlockBackend): boolean {
  ioCode(null, SITE_HAS_TRAY);
  return blk.devOps?.isTrayOpen !== undefined;
}

/** blk_dev_is_tray_open (block-backend.c:1138): false without a tray. */
export function blkDevIsTrayOpen(blk: BlockBackend): boolean {
  ioCode(null, SITE_TRAY_OPEN);
  return blk.devOps?.isTrayOpen?.() ?? false;
}

/** blk_dev_eject_request (block-backend.c:1127): ask the device for its medium; with `force` it is taken in any case. */
export function blkDevEjectRequest(blk: BlockBackend, force: boolean): void {
  globalStateCode(SITE_EJECT);
  blk.devOps?.ejectRequestCb?.(force);
}

/** blk_dev_is_medium_locked (block-backend.c:1151): false where a device has no such lock. */
export function blkDevIsMediumLocked(blk: BlockBackend): boolean {
  globalStateCode(SITE_LOCKED);
  return blk.devOps?.isMediumLocked?.() ?? false;
}
