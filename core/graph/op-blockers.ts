// Op blockers: for each kind of operation on a node, the reasons why it may not be done now.
//
// A reason is an object, and stands for who gave it: it is taken away by the same object. An overlay blocks nearly everything
// on its backing file; a job blocks its nodes. Who starts an operation asks first.

import { assert, EBUSY } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode } from "../sched/index.ts";
import { BlockError } from "./block-error.ts";
import { bdrvGetDeviceOrNodeName } from "./names.ts";
import type { BdrvChild, BlockDriverState } from "./state.ts";

const SITE_IS_BLOCKED = site("bdrv_op_is_blocked");
const SITE_BLOCK = site("bdrv_op_block");
const SITE_UNBLOCK = site("bdrv_op_unblock");
const SITE_BACKING_ATTACH = site("bdrv_backing_attach");
const SITE_BACKING_DETACH = site("bdrv_backing_detach");
const SITE_OP_BLOCK_ALL = site("bdrv_op_block_all");
const SITE_OP_UNBLOCK_ALL = site("bdrv_op_unblock_all");
const SITE_OP_BLOCKER_IS_EMPTY = site("bdrv_op_blocker_is_empty");

/** Kinds of operations (C: BlockOpType), in QEMU's order. */
export const BLOCK_OP_TYPES = [
  "backup-source",
  "backup-target",
  "change",
  "commit-source",
  "commit-target",
  "dataplane",
  "drive-del",
  "eject",
  "external-snapshot",
  "internal-snapshot",
  "internal-snapshot-delete",
  "mirror-source",
  "mirror-target",
  "resize",
  "stream",
  "replace",
] as const;

/** C: BlockOpType. */
export type BlockOpType = (typeof BLOCK_OP_TYPES)[number];

/** Why, as a clause without a period. */
export interface OpBlockReason {
  readonly message: string;
}

/** What an overlay lets be done to its backing file: committing into it, streaming it, copying it and to it. */
const BACKING_MAY: readonly BlockOpType[] = [
  "commit-target",
  "stream",
  "backup-source",
  "backup-target",
];

/** bdrv_op_is_blocked (block.c:6828): the refusal for who wants to do `op` to `bs` (for the newest reason), or null. */
export function bdrvOpIsBlocked(bs: BlockDriverState, op: BlockOpType): BlockError | null {
  globalStateCode(SITE_IS_BLOCKED);
  assert(!bs.closed, "the node is open");
  const newest = bs.opBlockers.get(op)?.[0];
  if (newest === undefined) return null;
  return new BlockError(EBUSY, `Node '${bdrvGetDeviceOrNodeName(bs)}' is busy: ${newest.message}`);
}

/** bdrv_op_block (block.c:6842): `op` may not be done to `bs`. */
export function bdrvOpBlock(bs: BlockDriverState, op: BlockOpType, reason: OpBlockReason): void {
  globalStateCode(SITE_BLOCK);
  assert(reason.message.length > 0, "a reason says something");
  const reasons = bs.opBlockers.get(op);
  if (reasons === undefined) bs.opBlockers.set(op, [reason]);
  else reasons.unshift(reason);
}

/** bdrv_op_unblock (block.c:6853): `reason` no longer speaks against `op`, if it did. */
export function bdrvOpUnblock(bs: BlockDriverState, op: BlockOpType, reason: OpBlockReason): void {
  globalStateCode(SITE_UNBLOCK);
  assert(reason.message.length > 0, "a reason says something");
  const left = (bs.opBlockers.get(op) ?? []).filter((other) => other !== reason);
  if (left.length === 0) bs.opBlockers.delete(op);
  else bs.opBlockers.set(op, left);
}

/** bdrv_op_block_all (block.c:6867): nothing may be done to `bs`. */
export function bdrvOpBlockAll(bs: BlockDriverState, reason: OpBlockReason): void {
  globalStateCode(SITE_OP_BLOCK_ALL);
  for (const op of BLOCK_OP_TYPES) bdrvOpBlock(bs, op, reason);
  assert(!bdrvOpBlockerIsEmpty(bs), "something is blocked now");
}

/** bdrv_op_unblock_all (block.c:6876): take `reason` away everywhere. */
export function bdrvOpUnblockAll(bs: BlockDriverState, reason: OpBlockReason): void {
  globalStateCode(SITE_OP_UNBLOCK_ALL);
  for (const op of BLOCK_OP_TYPES) bdrvOpUnblock(bs, op, reason);
  assert(bs.opBlockers.size <= BLOCK_OP_TYPES.length, "there are no other operations");
}

/** bdrv_op_blocker_is_empty (block.c:6885). */
export function bdrvOpBlockerIsEmpty(bs: BlockDriverState): boolean {
  globalStateCode(SITE_OP_BLOCKER_IS_EMPTY);
  assert(bs.id > 0, "a node has a number");
  return bs.opBlockers.size === 0;
}

/** An overlay's reason against operations on its backing file, with the older reasons beside it, for the way back. */
export interface BackingBlocker {
  readonly reason: OpBlockReason;
  readonly older: ReadonlyMap<BlockOpType, readonly OpBlockReason[]>;
}

/** The reason that the parent of `child` has given against operations on `backing`. Common. */
export function backingBlockerOf(child: BdrvChild, backing: BlockDriverState): BackingBlocker {
  const { backingBlocker: reason } = child.opaque as BlockDriverState;
  assert(reason !== null, "an overlay speaks for its backing file");
  const older = new Map<BlockOpType, readonly OpBlockReason[]>();
  for (const [op, reasons] of backing.opBlockers) {
    const at = reasons.indexOf(reason);
    if (at >= 0) older.set(op, reasons.slice(at + 1));
  }
  return { reason, older };
}

/**
 * bdrv_backing_attach (block.c:1287): `child` has become the COW child of its parent, which now speaks for it. Differs from
 * QEMU: a rollback gives the reason that was there `before`, among the same others.
 */
export function bdrvBackingAttach(
  child: BdrvChild,
  backing: BlockDriverState,
  before: BackingBlocker | null,
): void {
  globalStateCode(SITE_BACKING_ATTACH);
  const parent = child.opaque as BlockDriverState;
  assert(parent.backingBlocker === null, "a node has one backing file");
  if (before !== null) {
    blockAgain(parent, backing, before);
    return;
  }
  const reason = {
    message: `node is used as backing hd of '${bdrvGetDeviceOrNodeName(parent)}'`,
  };
  parent.backingBlocker = reason;
  bdrvOpBlockAll(backing, reason);
  for (const op of BACKING_MAY) bdrvOpUnblock(backing, op, reason);
}

function blockAgain(
  parent: BlockDriverState,
  backing: BlockDriverState,
  { reason, older }: BackingBlocker,
): void {
  parent.backingBlocker = reason;
  for (const [op, behind] of older) {
    const reasons = backing.opBlockers.get(op) ?? [];
    const at = reasons.findIndex((other) => behind.includes(other));
    backing.opBlockers.set(op, reasons.toSpliced(at < 0 ? reasons.length : at, 0, reason));
  }
}

/** bdrv_backing_detach (block.c:1327): the mirror image. */
export function bdrvBackingDetach(child: BdrvChild, backing: BlockDriverState): void {
  globalStateCode(SITE_BACKING_DETACH);
  const parent = child.opaque as BlockDriverState;
  const reason = parent.backingBlocker;
  assert(reason !== null, "what is detached was attached");
  bdrvOpUnblockAll(backing, reason);
  parent.backingBlocker = null;
}
