// External snapshots: an overlay, made before or right now, goes above a node and takes its parents, and the node becomes
// read-only. Each is an action of a transaction, and the command is the transaction of that one action.

import { EINVAL, EIO, ENOMEDIUM, strerror } from "#core/base";
import { fileOpen, qcow2Create, qcow2Open, rawOpen } from "#core/drivers";
import {
  BLK_PERM_CONSISTENT_READ,
  type BlockDriverState,
  BlockError,
  bdrvAppend,
  bdrvCowChild,
  bdrvGetCumulativePerm,
  bdrvOpenedFor,
  bdrvOpIsBlocked,
  bdrvRef,
  bdrvReopenSetReadOnly,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvTryChangeAioContext,
  bdrvUnref,
  settle,
  unwrap,
} from "#core/graph";
import {
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvFlush,
  bdrvGetlength,
  bdrvIsInserted,
} from "#core/io";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import { enumOf, optional, str, struct, type TypeOf } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { type ActionKind, actionKind, type BlkActionState, doAction } from "../transaction.ts";
import { filenameOf } from "./image-info.ts";
import { bdrvLookupBs } from "./lookup.ts";

const SITE_SNAPSHOT = site("external_snapshot_prepare");

const snapshotArguments = struct({ node: str, overlay: str });

const snapshotSyncArguments = struct({
  device: optional(str),
  "node-name": optional(str),
  "snapshot-file": str,
  "snapshot-node-name": optional(str),
  format: optional(str),
  mode: optional(enumOf("existing", "absolute-paths")),
});

type SnapshotSync = TypeOf<typeof snapshotSyncArguments>;

const snapshot = actionKind(
  "blockdev-snapshot",
  snapshotArguments,
  function* (_daemon, { node, overlay }, state): Polls<void> {
    const oldBs = bdrvLookupBs(node, node);
    yield* externalSnapshotPrepare(oldBs, node, state, function* (): Polls<BlockDriverState> {
      const bs = bdrvLookupBs(overlay, overlay);
      bdrvRef(bs);
      return bs;
    });
  },
);

const snapshotSync = actionKind(
  "blockdev-snapshot-sync",
  snapshotSyncArguments,
  function* (_daemon, options, state): Polls<void> {
    const { device = null, "node-name": nodeName = null } = options;
    const oldBs = bdrvLookupBs(device, nodeName);
    yield* externalSnapshotPrepare(oldBs, device ?? "", state, () => makeOverlay(oldBs, options));
  },
);

/**
 * external_snapshot_prepare (blockdev.c:1424): put what `overlay` opens above `oldBs`, which is drained until the transaction
 * is over. Polls.
 */
function* externalSnapshotPrepare(
  oldBs: BlockDriverState,
  device: string,
  state: BlkActionState,
  overlay: () => Polls<BlockDriverState>,
): Polls<void> {
  yield* bdrvDrainedBegin(oldBs, SITE_SNAPSHOT);
  state.clean = () => bdrvDrainedEnd(oldBs, SITE_SNAPSHOT);
  if (!bdrvIsInserted(oldBs)) throw new BlockError(ENOMEDIUM, `Device '${device}' has no medium`);
  const blocked = bdrvOpIsBlocked(oldBs, "external-snapshot");
  if (blocked !== null) throw blocked;
  if (!oldBs.readOnly && (yield* bdrvFlush(oldBs)) !== 0)
    throw new BlockError(EIO, "An IO error has occurred");
  const newBs = yield* overlay();
  state.clean = function* (): Polls<void> {
    yield* bdrvDrainedEnd(oldBs, SITE_SNAPSHOT);
    yield* bdrvUnref(newBs);
  };
  refuseOverlay(newBs);
  yield* bdrvAppend(newBs, oldBs);
  // Each for itself: one that cannot be made read-only stays as it is.
  state.commit = function* (): Polls<void> {
    if (oldBs.copyOnRead === 0) yield* settle(() => bdrvReopenSetReadOnly(oldBs, true));
  };
  state.abort = () => removeOverlay(newBs, oldBs);
}

/** An overlay in use is allowed where nobody reads it yet, as a mirror's target. */
function refuseOverlay(bs: BlockDriverState): void {
  const refuse = (why: string) => {
    throw new BlockError(EINVAL, why);
  };
  if ((bdrvGetCumulativePerm(bs).perm & BLK_PERM_CONSISTENT_READ) !== 0)
    refuse("The overlay is already in use");
  if (bs.drv.isFilter) refuse("Filters cannot be used as overlays");
  if (bdrvCowChild(bs) !== null) refuse("The overlay already has a backing image");
  if (bs.drv.supportsBacking !== true) refuse("The overlay does not support backing images");
}

/** external_snapshot_abort (blockdev.c:1598): the parents go back to `oldBs`, and it to the context where it was. Polls. */
function* removeOverlay(newBs: BlockDriverState, oldBs: BlockDriverState): Polls<void> {
  const ctx = oldBs.aioContext;
  bdrvRef(oldBs);
  yield* bdrvSetBackingHd(newBs, null);
  if (oldBs.aioContext !== ctx) yield* bdrvTryChangeAioContext(oldBs, ctx, null);
  yield* bdrvReplaceNode(newBs, oldBs);
  yield* bdrvUnref(oldBs);
}

/** The node of blockdev-snapshot-sync: its image is made, unless it is there. Polls. */
function* makeOverlay(oldBs: BlockDriverState, options: SnapshotSync): Polls<BlockDriverState> {
  const { format = "qcow2", mode = "absolute-paths", "snapshot-file": path } = options;
  const { "snapshot-node-name": nodeName } = options;
  if (options["node-name"] !== undefined && nodeName === undefined)
    throw new BlockError(EINVAL, "New overlay node-name missing");
  if (nodeName !== undefined && isTaken(nodeName))
    throw new BlockError(EINVAL, "New overlay node-name already in use");
  const isNew = mode !== "existing";
  refuseFormat(format, isNew);
  const opened = yield* settle(() => fileOpen({ nodeName: "", path, create: isNew }));
  if (!opened.ok && isNew)
    throw new BlockError(
      opened.error.errno,
      `Could not create '${path}': ${strerror(opened.error.errno)}`,
    );
  const file = unwrap(opened);
  if (isNew) yield* createIn(file, oldBs);
  const bs =
    format === "raw"
      ? yield* rawOpen(nodeName ?? "", file)
      : yield* qcow2Open({ nodeName: nodeName ?? "", file });
  bdrvOpenedFor(file, bs);
  return bs;
}

/** bdrv_img_create and bdrv_open: a new overlay must have a place for the name of its backing file. BlockError. */
function refuseFormat(format: string, isNew: boolean): void {
  if (format === "qcow2" || (format === "raw" && !isNew)) return;
  if (format === "raw")
    throw new BlockError(EINVAL, `Backing file not supported for file format '${format}'`);
  throw new BlockError(EINVAL, `Unknown ${isNew ? "file format" : "driver"} '${format}'`);
}

function isTaken(name: string): boolean {
  try {
    return bdrvLookupBs(name, name) !== null;
  } catch (error) {
    if (error instanceof BlockError) return false;
    throw error;
  }
}

/** An empty image above `oldBs`; `file` is given back when it cannot be made. Polls. */
function* createIn(file: BlockDriverState, oldBs: BlockDriverState): Polls<void> {
  const size = bdrvGetlength(oldBs);
  const made = yield* settle(function* (): Polls<void> {
    if (size < 0) throw new BlockError(-size, "bdrv_getlength failed");
    const backing = { backingFile: filenameOf(oldBs), backingFormat: oldBs.drv.formatName };
    yield* qcow2Create({ file, size, ...backing });
  });
  if (!made.ok) yield* bdrvUnref(file);
  unwrap(made);
}

const blockdevSnapshot = command(
  "blockdev-snapshot",
  snapshotArguments,
  function* (daemon: Daemon, args): Polls<Sendable> {
    return yield* doAction(daemon, snapshot, args);
  },
);

const blockdevSnapshotSync = command(
  "blockdev-snapshot-sync",
  snapshotSyncArguments,
  function* (daemon: Daemon, args): Polls<Sendable> {
    return yield* doAction(daemon, snapshotSync, args);
  },
);

export const snapshotActions: readonly ActionKind[] = [snapshot, snapshotSync];

export const snapshotCommands: readonly QmpCommand<Daemon>[] = [
  blockdevSnapshot,
  blockdevSnapshotSync,
];
