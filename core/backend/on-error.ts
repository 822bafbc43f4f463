// What becomes of a guest's failed request: its device asks what to do, by the policy for reads or writes, and says so to the
// outside; a policy that stops the machine leaves the reason in the I/O status, until it is reset.
//
// Devices do this, not the request path: the block layer cannot tell a guest's request from a job's. The machine that would be
// stopped is not here: the event STOP stands for that, always behind the BLOCK_IO_ERROR of its request.

import { assert, ENOSPC, strerror } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, ioCode, modelAssert } from "../sched/index.ts";
import { type BlkErrorAction, blkEvent } from "./blk-events.ts";
import type { BlockBackend, BlockDeviceIoStatus, BlockdevOnError } from "./block-backend.ts";
import { blkBs } from "./root.ts";

const SITE_SET = site("blk_set_on_error");
const SITE_GET = site("blk_get_on_error");
const SITE_GET_ACTION = site("blk_get_error_action");
const SITE_ACTION = site("blk_error_action");
const SITE_ENABLE = site("blk_iostatus_enable");
const SITE_IS_ENABLED = site("blk_iostatus_is_enabled");
const SITE_IOSTATUS = site("blk_iostatus");
const SITE_DISABLE = site("blk_iostatus_disable");
const SITE_RESET = site("blk_iostatus_reset");
const SITE_SET_ERR = site("blk_iostatus_set_err");

/** blk_set_on_error (block-backend.c:1819): what to do when a read, and when a write fails. */
export function blkSetOnError(
  blk: BlockBackend,
  policy: { readonly read: BlockdevOnError; readonly write: BlockdevOnError },
): void {
  globalStateCode(SITE_SET);
  assert(blk.refcnt > 0, "the BlockBackend is alive");
  blk.onReadError = policy.read;
  blk.onWriteError = policy.write;
}

/** blk_get_on_error (block-backend.c:1827). */
export function blkGetOnError(blk: BlockBackend, isRead: boolean): BlockdevOnError {
  ioCode(null, SITE_GET);
  return isRead ? blk.onReadError : blk.onWriteError;
}

/** blk_get_error_action (block-backend.c:1833): what to do about `errno` (positive) of a read or write. */
export function blkGetErrorAction(
  blk: BlockBackend,
  isRead: boolean,
  errno: number,
): BlkErrorAction {
  ioCode(null, SITE_GET_ACTION);
  assert(errno > 0, "an errno is positive");
  const policy = blkGetOnError(blk, isRead);
  modelAssert(policy !== "auto", "on_err != BLOCKDEV_ON_ERROR_AUTO", SITE_GET_ACTION);
  if (policy === "enospc") return errno === ENOSPC ? "stop" : "report";
  return policy;
}

/** blk_error_action (block-backend.c:1873): `action` is done about `errno` (positive): the status first, then the events. */
export function blkErrorAction(
  blk: BlockBackend,
  action: BlkErrorAction,
  isRead: boolean,
  errno: number,
): void {
  ioCode(null, SITE_ACTION);
  modelAssert(errno >= 0, "error >= 0", SITE_ACTION);
  if (action === "stop") blkIostatusSetErr(blk, errno);
  const bs = blkBs(blk, SITE_ACTION);
  blkEvent({
    event: "BLOCK_IO_ERROR",
    device: blk.name,
    nodeName: bs === null ? null : bs.nodeName,
    operation: isRead ? "read" : "write",
    action,
    nospace: blkIostatusIsEnabled(blk) ? errno === ENOSPC : null,
    reason: strerror(errno),
  });
  if (action === "stop") blkEvent({ event: "STOP", device: blk.name, iostatus: blk.iostatus });
}

/** blk_iostatus_enable (block-backend.c:1172): keep a status, from "ok" on. */
export function blkIostatusEnable(blk: BlockBackend): void {
  globalStateCode(SITE_ENABLE);
  blk.iostatusEnabled = true;
  blk.iostatus = "ok";
}

/** blk_iostatus_is_enabled (block-backend.c:1181): enabled, and some policy stops the machine. */
export function blkIostatusIsEnabled(blk: BlockBackend): boolean {
  ioCode(null, SITE_IS_ENABLED);
  const { iostatusEnabled, onReadError, onWriteError } = blk;
  if (!iostatusEnabled) return false;
  return onWriteError === "enospc" || onWriteError === "stop" || onReadError === "stop";
}

/** blk_iostatus (block-backend.c:1190). */
export function blkIostatus(blk: BlockBackend): BlockDeviceIoStatus {
  globalStateCode(SITE_IOSTATUS);
  return blk.iostatus;
}

/** blk_iostatus_disable (block-backend.c:1196). */
export function blkIostatusDisable(blk: BlockBackend): void {
  globalStateCode(SITE_DISABLE);
  blk.iostatusEnabled = false;
}

/** blk_iostatus_reset (block-backend.c:1202): the error is forgotten, where a status is kept. */
export function blkIostatusReset(blk: BlockBackend): void {
  globalStateCode(SITE_RESET);
  if (blkIostatusIsEnabled(blk)) blk.iostatus = "ok";
}

/** blk_iostatus_set_err (block-backend.c:1210): the first error stays until a reset. */
export function blkIostatusSetErr(blk: BlockBackend, errno: number): void {
  ioCode(null, SITE_SET_ERR);
  modelAssert(blkIostatusIsEnabled(blk), "blk_iostatus_is_enabled(blk)", SITE_SET_ERR);
  if (blk.iostatus === "ok") blk.iostatus = errno === ENOSPC ? "nospace" : "failed";
}
