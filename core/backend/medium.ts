// Media of a removable device: its tray is opened and closed, its medium taken out and put in (C: block/qapi-sysemu.c).
//
// A device without a tray has its medium changed by removing and inserting alone, and is told then. Without a device the node may
// be exchanged at will.

import { assert, EBUSY, EINPROGRESS, EINVAL, ENOTSUP } from "../base/index.ts";
import { BlockError, settle } from "../graph/block-error.ts";
import { bdrvOpIsBlocked } from "../graph/op-blockers.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  globalStateCode,
  type Polls,
} from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import {
  blkDevChangeMediaCb,
  blkDevEjectRequest,
  blkDevHasRemovableMedia,
  blkDevHasTray,
  blkDevIsMediumLocked,
  blkDevIsTrayOpen,
  blkGetAttachedDevId,
} from "./device.ts";
import { blkInsertBs, blkRemoveBs } from "./life.ts";
import { blkBs } from "./root.ts";

const SITE_OPEN_TRAY = site("qmp_blockdev_open_tray");
const SITE_CLOSE_TRAY = site("qmp_blockdev_close_tray");
const SITE_EJECT = site("qmp_eject");
const SITE_REMOVE = site("blockdev_remove_medium");
const SITE_INSERT = site("qmp_blockdev_insert_anon_medium");

/**
 * qmp_blockdev_open_tray (qapi-sysemu.c:119): the tray opens, and the device loses its medium. One that is locked is asked for
 * it, and with `force` it is taken all the same. BlockError when the medium is not removable.
 */
export function qmpBlockdevOpenTray(blk: BlockBackend, force: boolean): void {
  globalStateCode(SITE_OPEN_TRAY);
  openTray(blk, force);
}

/** do_open_tray (qapi-sysemu.c:77): false when the guest was asked to open it. */
function openTray(blk: BlockBackend, force: boolean): boolean {
  refuseFixed(blk);
  if (!blkDevHasTray(blk) || blkDevIsTrayOpen(blk)) return true;
  const locked = blkDevIsMediumLocked(blk);
  if (locked) blkDevEjectRequest(blk, force);
  if (locked && !force) return false;
  blkDevChangeMediaCb(blk, false);
  return true;
}

/** qmp_eject (qapi-sysemu.c:313): open the tray and take the medium out. BlockError when refused, or not yet. Polls. */
export function* qmpEject(blk: BlockBackend, force: boolean): Polls<void> {
  globalStateCode(SITE_EJECT);
  if (!openTray(blk, force))
    throw new BlockError(
      EINPROGRESS,
      `Device '${nameOf(blk)}' is locked and force was not specified, wait for tray to open and try again`,
    );
  yield* blockdevRemoveMedium(blk);
}

/** qmp_blockdev_close_tray (qapi-sysemu.c:140): with what is in it, if the device accepts that; else a BlockError. */
export function qmpBlockdevCloseTray(blk: BlockBackend): void {
  globalStateCode(SITE_CLOSE_TRAY);
  refuseFixed(blk);
  if (blkDevHasTray(blk) && blkDevIsTrayOpen(blk)) blkDevChangeMediaCb(blk, true);
}

/** blockdev_remove_medium (qapi-sysemu.c:177): out of an open tray. BlockError when refused. Polls. */
export function* blockdevRemoveMedium(blk: BlockBackend): Polls<void> {
  globalStateCode(SITE_REMOVE);
  if (blk.dev !== null) {
    refuseFixed(blk);
    if (blkDevHasTray(blk) && !blkDevIsTrayOpen(blk))
      throw new BlockError(EBUSY, `Tray of device '${nameOf(blk)}' is not open`);
  }
  const bs = blkBs(blk, SITE_REMOVE);
  if (bs === null) return;
  const ctx = bs.aioContext;
  yield* aioContextAcquire(ctx);
  const blocked = bdrvOpIsBlocked(bs, "eject");
  if (blocked === null) {
    yield* blkRemoveBs(blk);
    if (!blkDevHasTray(blk)) blkDevChangeMediaCb(blk, false);
  }
  aioContextRelease(ctx);
  if (blocked !== null) throw blocked;
  assert(blk.rawRoot === null, "the medium is out");
}

/** qmp_blockdev_insert_anon_medium (qapi-sysemu.c:237): `bs` into an open tray. BlockError when refused. Polls. */
export function* qmpBlockdevInsertAnonMedium(blk: BlockBackend, bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_INSERT);
  if (blk.dev !== null) {
    if (!blkDevHasRemovableMedia(blk)) throw new BlockError(ENOTSUP, "Device is not removable");
    if (blkDevHasTray(blk) && !blkDevIsTrayOpen(blk))
      throw new BlockError(EBUSY, "Tray of the device is not open");
  }
  if (blkBs(blk, SITE_INSERT) !== null)
    throw new BlockError(EINVAL, "There already is a medium in the device");
  yield* blkInsertBs(blk, bs);
  if (blkDevHasTray(blk)) return;
  const loaded = yield* settle(function* (): Polls<void> {
    blkDevChangeMediaCb(blk, true);
  });
  if (loaded.ok) return;
  yield* blkRemoveBs(blk);
  throw loaded.error;
}

function refuseFixed(blk: BlockBackend): void {
  if (!blkDevHasRemovableMedia(blk))
    throw new BlockError(ENOTSUP, `Device '${nameOf(blk)}' is not removable`);
}

/** What users call it: the BlockBackend's name, else the device's. */
function nameOf(blk: BlockBackend): string {
  return blk.name === "" ? blkGetAttachedDevId(blk) : blk.name;
}
