// Image locking: what a file's users may do is locked in the file, byte by byte, so that other programs respect it.
//
//   byte 100 + n   shared-locked while permission n is used here
//   byte 200 + n   shared-locked while permission n is not shared with others
//
// Before a permission is used, nobody else may hold the lock that says that they do not share it, and the other way round. The
// bytes are QEMU's, so its programs refuse an image that is in use here, and we refuse one that they use. Locks belong to the open
// file and go with it. The order is QEMU's: first all that old and new permissions need is locked, then what others hold is looked
// at, and when the update is over, what is not needed any more is unlocked.

import { assert, EACCES, EAGAIN, ENOTSUP, type HostHandle, strerror } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import { BLK_PERM_ALL, bdrvPermNames, type Permissions } from "../graph/permission-bits.ts";
import { hostCall } from "../sched/index.ts";

/** Whether the files of a run are locked: as asked, or, for `auto`, where the host can. */
export type FileLocking = "on" | "off" | "auto";

/** In a mask of locks, bytes 100 to 107 are bits 0 to 7, bytes 200 to 207 are bits 8 to 15. */
const SHARED_SHIFT = 8;
const PERM_BASE = 100;
const SHARED_BASE = 200;

const NO_LOCKS =
  "File lock requested but byte-range locks are unavailable: they need Linux, with perl in the PATH";

/** What is locked for a node's file (C: perm, shared_perm, locked_perm and locked_shared_perm of BDRVRawState). */
export class FileLocks {
  readonly path: string;
  /** What the node's users have by now. */
  permissions: Permissions = { perm: 0, sharedPerm: BLK_PERM_ALL };
  /** Bits of the bytes that are locked in the file. */
  locked = 0;
  /** Whether a host that cannot lock is a reason to refuse. */
  readonly required: boolean;
  /** It is not, and the host cannot. */
  isOff = false;

  constructor(path: string, required: boolean) {
    this.path = path;
    this.required = required;
  }
}

/** raw_handle_perm_lock (block/file-posix.c:948), RAW_PL_PREPARE: lock for what `asked` needs besides, or BlockError. Common. */
export function fileLocksPrepare(locks: FileLocks, handle: HostHandle, asked: Permissions): void {
  assert((asked.perm & ~BLK_PERM_ALL) === 0, "there are four permissions");
  if (locks.isOff) return;
  const { perm, sharedPerm } = locks.permissions;
  if ((perm | asked.perm) === perm && (sharedPerm & asked.sharedPerm) === sharedPerm) return;
  const needed = bytesOf({ perm: perm | asked.perm, sharedPerm: sharedPerm & asked.sharedPerm });
  const { ret, value } = hostCall({
    call: "lock",
    handle,
    lock: needed & ~locks.locked,
    unlock: 0,
    test: conflictsOf(asked),
  });
  if (ret >= 0) {
    locks.locked |= needed;
    return;
  }
  if (ret === -ENOTSUP) {
    if (locks.required) throw new BlockError(ENOTSUP, NO_LOCKS);
    locks.isOff = true;
    return;
  }
  // Some may be locked, and some not: unlocking what is not is no mistake.
  locks.locked |= needed;
  fileLocksFinish(locks, handle, locks.permissions);
  throw refusal(locks, -ret, value);
}

/** RAW_PL_COMMIT with the new permissions, or RAW_PL_ABORT with the old: unlock what they do not need. Common. */
export function fileLocksFinish(locks: FileLocks, handle: HostHandle, now: Permissions): void {
  assert((now.perm & ~BLK_PERM_ALL) === 0, "there are four permissions");
  locks.permissions = now;
  const surplus = locks.locked & ~bytesOf(now);
  if (surplus === 0) return;
  // It cannot fail for a reason that others could give; what QEMU does then is to warn and to go on.
  hostCall({ call: "lock", handle, lock: 0, unlock: surplus, test: 0 });
  locks.locked &= ~surplus;
}

/** raw_apply_lock_bytes to a second handle of the file, which shall stand for the first: BlockError. Common. */
export function fileLocksCopy(locks: FileLocks, handle: HostHandle, asked: Permissions): void {
  assert((asked.perm & ~BLK_PERM_ALL) === 0, "there are four permissions");
  if (locks.isOff || bytesOf(asked) === 0) return;
  const { ret, value } = hostCall({
    call: "lock",
    handle,
    lock: bytesOf(asked),
    unlock: 0,
    test: 0,
  });
  if (ret < 0) throw refusal(locks, -ret, value);
}

/** The bytes that say that `perm` is used and all but `sharedPerm` is not shared. */
function bytesOf({ perm, sharedPerm }: Permissions): number {
  return perm | ((BLK_PERM_ALL & ~sharedPerm) << SHARED_SHIFT);
}

/** The bytes that nobody else may have locked: others that do not share `perm`, or use what is not in `sharedPerm`. */
function conflictsOf({ perm, sharedPerm }: Permissions): number {
  return (perm << SHARED_SHIFT) | (BLK_PERM_ALL & ~sharedPerm);
}

/** `bit` is the byte, plus 16 when it was not to be locked but looked at. */
function refusal({ path }: FileLocks, errno: number, bit: number): BlockError {
  const isShared = (bit & SHARED_SHIFT) !== 0;
  const permission = bit & (SHARED_SHIFT - 1);
  const why = errno === EAGAIN || errno === EACCES ? "" : `: ${strerror(errno)}`;
  if (bit < 2 * SHARED_SHIFT) {
    const byte = (isShared ? SHARED_BASE : PERM_BASE) + permission;
    return new BlockError(errno, `Failed to lock byte ${byte}${why}`);
  }
  const name = bdrvPermNames(1 << permission);
  const what = isShared ? `Failed to get "${name}" lock` : `Failed to get shared "${name}" lock`;
  return new BlockError(errno, `${what}${why}`, `Is another process using the image [${path}]?`);
}
