// Dirty bitmaps over QMP: block-dirty-bitmap-add, -remove, -clear, -enable, -disable, -merge.
//
// Each of these is also an action of a transaction, which does it at once and leaves how to finish it or take it back. The command is
// that action, finished there and then: as in QEMU it drains nothing.

import { createHash } from "node:crypto";
import { EINVAL } from "#core/base";
import {
  BDRV_BITMAP_ALLOW_RO,
  BDRV_BITMAP_BUSY,
  BDRV_BITMAP_DEFAULT,
  BDRV_BITMAP_RO,
  type BdrvDirtyBitmap,
  bdrvCanStoreNewDirtyBitmap,
  bdrvClearDirtyBitmap,
  bdrvCreateDirtyBitmap,
  bdrvDirtyBitmapCheck,
  bdrvDirtyBitmapGetPersistence,
  bdrvDirtyBitmapSetBusy,
  bdrvDirtyBitmapSetPersistence,
  bdrvDirtyBitmapSkipStore,
  bdrvDisableDirtyBitmap,
  bdrvEnableDirtyBitmap,
  bdrvFindDirtyBitmap,
  bdrvGetDefaultBitmapGranularity,
  bdrvMergeDirtyBitmap,
  bdrvQueryDirtyBitmaps,
  bdrvReleaseDirtyBitmap,
  bdrvRemovePersistentDirtyBitmap,
  bdrvRestoreDirtyBitmap,
  type HBitmap,
} from "#core/bitmaps";
import { type BlockDriverState, BlockError } from "#core/graph";
import type { Polls } from "#core/sched";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import {
  alternate,
  bool,
  list,
  optional,
  str,
  struct,
  type TypeOf,
  uint32,
} from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { type ActionKind, actionKind, BlkActionState } from "../transaction.ts";
import { bdrvLookupBs, blkByName, findNode } from "./lookup.ts";
import { bitmapSha256 } from "./result-types.ts";

/** QAPI: BlockDirtyBitmap. */
export const bitmapRef = struct({ node: str, name: str });
/** QAPI: BlockDirtyBitmapOrStr: a bitmap of the node in question, or of any. */
export const bitmapOrName = alternate("BlockDirtyBitmapOrStr", str, bitmapRef);
/** QAPI: BlockDirtyBitmapAdd. */
export const bitmapAdd = struct({
  node: str,
  name: str,
  granularity: optional(uint32),
  persistent: optional(bool),
  disabled: optional(bool),
});
/** QAPI: BlockDirtyBitmapMerge. */
export const bitmapMerge = struct({ node: str, target: str, bitmaps: list(bitmapOrName) });

type BitmapRef = TypeOf<typeof bitmapRef>;

/** block_dirty_bitmap_lookup (bitmap-qmp-cmds.c:51): BlockError when there is no such node or bitmap. */
export function dirtyBitmapLookup({ node, name }: BitmapRef): BdrvDirtyBitmap {
  if (blkByName(node) === null && findNode(node) === null)
    throw new BlockError(EINVAL, `Node '${node}' not found`);
  return bitmapOf(bdrvLookupBs(node, node), name);
}

function bitmapOf(bs: BlockDriverState, name: string): BdrvDirtyBitmap {
  const bitmap = name === "" ? null : bdrvFindDirtyBitmap(bs, name);
  if (bitmap === null) throw new BlockError(EINVAL, `Dirty bitmap '${name}' not found`);
  return bitmap;
}

/** qmp_block_dirty_bitmap_add (bitmap-qmp-cmds.c:86). */
const add = actionKind(
  "block-dirty-bitmap-add",
  bitmapAdd,
  function* (_daemon, options, state): Polls<void> {
    const { node, name, persistent = false, disabled = false } = options;
    if (name === "") throw new BlockError(EINVAL, "Bitmap name cannot be empty");
    const bs = bdrvLookupBs(node, node);
    const { granularity = bdrvGetDefaultBitmapGranularity(bs) } = options;
    if (granularity < 512 || !Number.isInteger(Math.log2(granularity)))
      throw new BlockError(EINVAL, "Granularity must be power of 2 and at least 512");
    if (persistent) bdrvCanStoreNewDirtyBitmap(bs, name, granularity);
    const bitmap = bdrvCreateDirtyBitmap(bs, granularity, name);
    if (disabled) bdrvDisableDirtyBitmap(bitmap);
    bdrvDirtyBitmapSetPersistence(bitmap, persistent);
    state.abort = function* (): Polls<void> {
      bdrvReleaseDirtyBitmap(bitmap);
    };
  },
);

/**
 * block_dirty_bitmap_remove (bitmap-qmp-cmds.c:142): out of the image at once; in memory it stays until the action is committed, and
 * if that does not come, it is stored again when the image is closed.
 */
const remove = actionKind(
  "block-dirty-bitmap-remove",
  bitmapRef,
  function* (_daemon, ref, state): Polls<void> {
    const bitmap = dirtyBitmapLookup(ref);
    bdrvDirtyBitmapCheck(bitmap, BDRV_BITMAP_BUSY | BDRV_BITMAP_RO);
    if (bdrvDirtyBitmapGetPersistence(bitmap))
      yield* bdrvRemovePersistentDirtyBitmap(bitmap.bs, ref.name);
    bdrvDirtyBitmapSkipStore(bitmap, true);
    bdrvDirtyBitmapSetBusy(bitmap, true);
    state.commit = function* (): Polls<void> {
      bdrvDirtyBitmapSetBusy(bitmap, false);
      bdrvReleaseDirtyBitmap(bitmap);
    };
    state.abort = function* (): Polls<void> {
      bdrvDirtyBitmapSkipStore(bitmap, false);
      bdrvDirtyBitmapSetBusy(bitmap, false);
    };
  },
);

/** qmp_block_dirty_bitmap_clear (bitmap-qmp-cmds.c:189). */
const clear = actionKind(
  "block-dirty-bitmap-clear",
  bitmapRef,
  function* (_daemon, ref, state): Polls<void> {
    const bitmap = dirtyBitmapLookup(ref);
    bdrvDirtyBitmapCheck(bitmap, BDRV_BITMAP_DEFAULT);
    restoreOnAbort(state, bitmap, bdrvClearDirtyBitmap(bitmap));
  },
);

function restoreOnAbort(state: BlkActionState, bitmap: BdrvDirtyBitmap, backup: HBitmap): void {
  state.abort = function* (): Polls<void> {
    bdrvRestoreDirtyBitmap(bitmap, backup);
  };
}

/** qmp_block_dirty_bitmap_enable and _disable (bitmap-qmp-cmds.c:206). */
function enabling(name: string, enabled: boolean): ActionKind {
  return actionKind(name, bitmapRef, function* (_daemon, ref, state): Polls<void> {
    const bitmap = dirtyBitmapLookup(ref);
    bdrvDirtyBitmapCheck(bitmap, BDRV_BITMAP_ALLOW_RO);
    const was = !bitmap.disabled;
    setEnabled(bitmap, enabled);
    state.abort = function* (): Polls<void> {
      setEnabled(bitmap, was);
    };
  });
}

function setEnabled(bitmap: BdrvDirtyBitmap, enabled: boolean): void {
  if (enabled) bdrvEnableDirtyBitmap(bitmap);
  else bdrvDisableDirtyBitmap(bitmap);
}

/** block_dirty_bitmap_merge (bitmap-qmp-cmds.c:246): all of them, or none. */
const merge = actionKind(
  "block-dirty-bitmap-merge",
  bitmapMerge,
  function* (_daemon, options, state): Polls<void> {
    const target = dirtyBitmapLookup({ node: options.node, name: options.target });
    let backup: HBitmap | null = null;
    try {
      for (const one of options.bitmaps) {
        const source = typeof one === "string" ? bitmapOf(target.bs, one) : dirtyBitmapLookup(one);
        const before = bdrvMergeDirtyBitmap(target, source);
        backup ??= before;
      }
    } catch (error) {
      if (backup !== null && error instanceof BlockError) bdrvRestoreDirtyBitmap(target, backup);
      throw error;
    }
    if (backup !== null) restoreOnAbort(state, target, backup);
  },
);

export const bitmapActions: readonly ActionKind[] = [
  add,
  remove,
  clear,
  enabling("block-dirty-bitmap-enable", true),
  enabling("block-dirty-bitmap-disable", false),
  merge,
];

/** A command that does an action and finishes it. */
function commandOf(kind: ActionKind): QmpCommand<Daemon> {
  return command(kind.name, kind.data, function* (daemon: Daemon, data): Polls<Sendable> {
    const state = new BlkActionState(null);
    yield* kind.prepare(daemon, data, state);
    yield* state.commit();
    return undefined;
  });
}

/** qmp_x_debug_block_dirty_bitmap_sha256: of the bits in memory, in whole words of 64 bits. */
const sha256 = command(
  "x-debug-block-dirty-bitmap-sha256",
  bitmapRef,
  function* (_daemon: Daemon, ref): Polls<Sendable> {
    const { bitmap } = dirtyBitmapLookup(ref);
    const bits = bitmap.serialize(0, Math.max(8, bitmap.serializedBytes));
    return { sha256: createHash("sha256").update(bits).digest("hex") };
  },
  bitmapSha256,
);

export const bitmapCommands: readonly QmpCommand<Daemon>[] = [
  ...bitmapActions.map(commandOf),
  sha256,
];

/** QAPI: `dirty-bitmaps` of BlockDeviceInfo: nothing for a node without any. */
export function dirtyBitmapsMember(bs: BlockDriverState): { "dirty-bitmaps"?: Sendable } {
  const infos = bdrvQueryDirtyBitmaps(bs);
  if (infos.length === 0) return {};
  const bitmaps = infos.map(({ name, inconsistent, ...info }) => ({
    ...(name === null ? {} : { name }),
    ...info,
    ...(inconsistent ? { inconsistent } : {}),
  }));
  return { "dirty-bitmaps": bitmaps };
}
