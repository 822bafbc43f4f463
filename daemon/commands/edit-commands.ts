// Changing nodes that are there: their options, their length, the name of their backing file, their write threshold.

import { blkCoTruncate, blkNewWithBs, blkUnref } from "#core/backend";
import { EBUSY, EINVAL, strerror } from "#core/base";
import {
  BLK_PERM_ALL,
  BLK_PERM_RESIZE,
  type BlockDriverState,
  BlockError,
  type BlockOptions,
  bdrvChainContains,
  bdrvChangeBackingFile,
  bdrvFilterOrCowBs,
  bdrvOpIsBlocked,
  bdrvReopenSetReadOnly,
  CACHED,
  cacheAsOptions,
  qmpBlockdevReopen,
} from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd, bdrvWriteThresholdSet } from "#core/io";
import { site } from "#core/probe";
import { type Co, type Polls, runInCoroutine } from "#core/sched";
import { flattenOptions } from "../blockdev-flat.ts";
import { type BlockdevOptions, blockdevOptions } from "../blockdev-options.ts";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import { int64, list, optional, QmpError, str, struct, uint64 } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { bdrvLookupBs, findNode, qmpGetRootBs } from "./lookup.ts";

const SITE_RESIZE = site("qmp_block_resize");

const blockdevReopen = command(
  "blockdev-reopen",
  struct({ options: list(blockdevOptions) }),
  function* (_daemon: Daemon, { options }): Polls<Sendable> {
    if (options.length > 0) yield* qmpBlockdevReopen(options.map(reopened));
    return undefined;
  },
);

/** What is not said anew has its default again. */
function reopened(options: BlockdevOptions): BlockOptions {
  return { discard: "ignore", ...cacheAsOptions(CACHED), ...flattenOptions(options) };
}

const changeBackingFile = command(
  "change-backing-file",
  struct({ device: str, "image-node-name": str, "backing-file": str }),
  function* (_daemon: Daemon, args): Polls<Sendable> {
    const { device, "image-node-name": nodeName, "backing-file": backingFile } = args;
    const bs = qmpGetRootBs(device);
    const image = bdrvLookupBs(null, nodeName);
    if (bdrvFilterOrCowBs(image) === null)
      throw new BlockError(
        EINVAL,
        "not allowing backing file change on an image without a backing file",
      );
    // Not necessarily the node that changes, but the one whose blockers speak for the whole chain.
    const blocked = bdrvOpIsBlocked(bs, "change");
    if (blocked !== null) throw blocked;
    if (!bdrvChainContains(bs, image))
      throw new BlockError(EINVAL, `'${device}' and image file are not in the same chain`);
    yield* writable(image, () => writeBackingFile(image, backingFile));
    return undefined;
  },
);

function* writeBackingFile(image: BlockDriverState, backingFile: string): Polls<BlockError | null> {
  const ret = yield* bdrvChangeBackingFile(image, backingFile, image.drv.formatName);
  if (ret >= 0) return null;
  const why = `Could not change backing file to '${backingFile}': ${strerror(-ret)}`;
  return new BlockError(-ret, why);
}

/** `body` while `bs` can be written to; it is read-only again afterwards if it was, whatever `body` says. Polls. */
function* writable(bs: BlockDriverState, body: () => Polls<BlockError | null>): Polls<void> {
  const wasReadOnly = bs.readOnly;
  if (wasReadOnly) yield* bdrvReopenSetReadOnly(bs, false);
  const error = yield* body();
  if (wasReadOnly) yield* bdrvReopenSetReadOnly(bs, true);
  if (error !== null) throw error;
}

const blockResize = command(
  "block_resize",
  struct({ device: optional(str), "node-name": optional(str), size: int64 }),
  function* (_daemon: Daemon, { device, "node-name": nodeName, size: bytes }): Polls<Sendable> {
    const bs = bdrvLookupBs(device ?? null, nodeName ?? null);
    if (bytes < 0) throw new QmpError("Parameter 'size' expects a >0 size");
    if (bdrvOpIsBlocked(bs, "resize") !== null)
      throw new BlockError(EBUSY, `Device '${device ?? nodeName}' is in use`);
    yield* resize(bs, bytes);
    return undefined;
  },
);

/** qmp_block_resize (blockdev.c:2425). Polls. */
function* resize(bs: BlockDriverState, bytes: number): Polls<void> {
  const blk = yield* blkNewWithBs(bs, { perm: BLK_PERM_RESIZE, sharedPerm: BLK_PERM_ALL });
  yield* bdrvDrainedBegin(bs, SITE_RESIZE);
  let why = "";
  const errorSetg = (message: string): void => {
    why = message;
  };
  const truncate = (): Co<number> =>
    blkCoTruncate(blk, bytes, { exact: false, prealloc: "off", errorSetg });
  const ret = yield* runInCoroutine(bs.aioContext, truncate, SITE_RESIZE);
  yield* bdrvDrainedEnd(bs, SITE_RESIZE);
  yield* blkUnref(blk);
  if (ret < 0) throw new BlockError(-ret, why);
}

const setWriteThreshold = command(
  "block-set-write-threshold",
  struct({ "node-name": str, "write-threshold": uint64 }),
  function* (
    _daemon: Daemon,
    { "node-name": nodeName, "write-threshold": bytes },
  ): Polls<Sendable> {
    const bs = findNode(nodeName);
    if (bs === null) throw new BlockError(EINVAL, `Device '${nodeName}' not found`);
    bdrvWriteThresholdSet(bs, bytes);
    return undefined;
  },
);

export const editCommands: readonly QmpCommand<Daemon>[] = [
  blockdevReopen,
  changeBackingFile,
  blockResize,
  setWriteThreshold,
];
