// From the file to the state of an image: its header is read and judged, its snapshots and bitmaps are loaded. Done when it is opened,
// and when it comes back from another machine (C: qcow2_do_open).

import { assert, EACCES, EINVAL, ENOTSUP, strerror } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { BdrvChild, BlockDriverState } from "../../graph/state.ts";
import { alignUp, BDRV_SECTOR_SIZE } from "../../io/limits.ts";
import { site } from "../../probe/index.ts";
import { type Co, globalStateCode, type Polls, runInCoroutine } from "../../sched/index.ts";
import { loadDirtyBitmaps } from "./bitmap-load.ts";
import { cacheCleanTimerInit } from "./cache-clean.ts";
import { hasCodec } from "./compressed.ts";
import * as format from "./format.ts";
import { type EncryptionFormat, headerNeeds, parseHeader, type Qcow2Header } from "./header.ts";
import { readMetadata } from "./metadata-io.ts";
import type { Qcow2Options } from "./options.ts";
import { prepareToWrite } from "./prepare.ts";
import { readSnapshots } from "./snapshots.ts";
import { Qcow2State } from "./state.ts";

const SITE_OPEN = site("qcow2_do_open");

/** qcow2_do_open: `bs` gets the state that its file says. BlockError when it is refused. Polls. */
export function* loadImage(
  bs: BlockDriverState,
  options: Qcow2Options,
  openDataFile: (header: Qcow2Header) => Polls<BdrvChild | null>,
): Polls<void> {
  globalStateCode(SITE_OPEN);
  assert(!bs.closed, "the node is open");
  const header = yield* readHeader(bs, options.encryptFormat);
  checkHeader(header);
  if (!bs.readOnly && (header.incompatible & format.INCOMPAT_CORRUPT) !== 0)
    throw new BlockError(EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
  const state = new Qcow2State(header, options);
  bs.opaque = state;
  bs.backingFile = header.backingFile;
  bs.backingFormat = header.backingFormat;
  state.dataFile = yield* openDataFile(header);
  // Bitmaps are as long as the disk.
  bs.totalBytes = alignUp(state.size, BDRV_SECTOR_SIZE);
  if (header.compression !== format.COMPRESSION_ZLIB) yield* refuseWithoutCodec(bs, state);
  const refused = yield* runInCoroutine(bs.aioContext, () => prepare(bs, state), SITE_OPEN);
  if (refused !== null) throw refused;
  yield* loadDirtyBitmaps(bs);
  cacheCleanTimerInit(bs, bs.aioContext);
}

/** As a QEMU that was built without it refuses: not one cluster of many would be an error of the disk. Polls. */
function* refuseWithoutCodec(bs: BlockDriverState, state: Qcow2State): Polls<void> {
  const asked = (): Co<boolean> => hasCodec(state);
  if (yield* runInCoroutine(bs.aioContext, asked, SITE_OPEN)) return;
  const needs = "zstd is not there: it needs Node 22.15 or later, and a live run";
  throw new BlockError(ENOTSUP, `qcow2: compression type ${needs}`);
}

/** The header of the image behind `bs`. Polls. */
function* readHeader(
  bs: BlockDriverState,
  encryption: EncryptionFormat | undefined,
): Polls<Qcow2Header> {
  const read = function* (): Co<Uint8Array | number> {
    let bytes = yield* readMetadata(bs, 0, 512);
    while (typeof bytes !== "number") {
      const needed = headerNeeds(bytes);
      if (needed <= bytes.length) return bytes;
      bytes = yield* readMetadata(bs, 0, needed);
    }
    return bytes;
  };
  const bytes = yield* runInCoroutine(bs.aioContext, read, SITE_OPEN);
  if (typeof bytes === "number") throw new BlockError(-bytes, "Could not read qcow2 header");
  return parseHeader(bytes, encryption);
}

/** What qcow2_do_open refuses. */
function checkHeader(header: Qcow2Header): void {
  const { clusterBits, l1Size, refcountOrder, refcountTableClusters } = header;
  const clusterBytes = 2 ** clusterBits;
  const refuse = (message: string, errno = EINVAL): never => {
    throw new BlockError(errno, message);
  };
  if (refcountOrder > 6) refuse("Reference count entry width too large; may not exceed 64 bits");
  if (header.hasSubclusters && clusterBits < 14)
    refuse("QCOW2 image with subclusters needs clusters of at least 16384 bytes", ENOTSUP);
  if (refcountTableClusters === 0) refuse("Image does not contain a reference count table");
  const tableBytes = refcountTableClusters * clusterBytes;
  const aligned = (offset: number) => offset % clusterBytes === 0;
  if (tableBytes > format.REFCOUNT_TABLE_BYTES_MAX) refuse("Reference count table too large");
  if (!aligned(header.refcountTableOffset) || header.refcountTableOffset === 0)
    refuse("Invalid reference count table offset");
  if (l1Size * 8 > format.L1_BYTES_MAX) refuse("Active L1 table too large");
  if (!aligned(header.l1Offset)) refuse("Active L1 table offset invalid");
  const l2Entries = clusterBytes / (header.hasSubclusters ? 16 : 8);
  if (l1Size < Math.ceil(header.size / (clusterBytes * l2Entries))) refuse("L1 table is too small");
  if (l1Size > 0 && header.l1Offset === 0) refuse("Active L1 table offset invalid");
  if (header.snapshotCount > 65_536) refuse("Snapshot table too large");
  if (!aligned(header.snapshotsOffset)) refuse("Snapshot table offset invalid");
  if (header.dataFileRaw && !header.hasDataFile)
    refuse("data-file-raw requires an external data file");
  if (header.backingFile !== "" && header.dataFileRaw)
    refuse("Backing file and data-file-raw cannot be used at the same time");
}

/** The rest, in a coroutine: the snapshots, and what a writer must put in order first. Null, or why the image is refused. */
function* prepare(bs: BlockDriverState, state: Qcow2State): Co<BlockError | null> {
  const snapshots = yield* readSnapshots(bs);
  if (snapshots instanceof BlockError) return snapshots;
  state.snapshots = snapshots;
  const ret = bs.readOnly ? 0 : yield* prepareToWrite(bs);
  if (ret >= 0) return null;
  return new BlockError(
    -ret,
    `Could not prepare the qcow2 image to be written to: ${strerror(-ret)}`,
  );
}
