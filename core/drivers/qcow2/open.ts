// Opening an image: its header is read and judged; tables are read later, when they are needed.

import { assert, EACCES, EINVAL, ENOTSUP } from "../../base/index.ts";
import { childrenOf } from "../../graph/access.ts";
import { bdrvAttachChild } from "../../graph/attach.ts";
import { BlockError } from "../../graph/block-error.ts";
import { bdrvOpenDriver, type ChildSpec } from "../../graph/open-node.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_DATA,
  BDRV_CHILD_IMAGE,
  type BdrvChild,
  type BlockDriverState,
} from "../../graph/state.ts";
import { alignUp, BDRV_SECTOR_SIZE } from "../../io/limits.ts";
import { site } from "../../probe/index.ts";
import {
  type AioContext,
  type Co,
  globalStateCode,
  type Polls,
  runInCoroutine,
} from "../../sched/index.ts";
import { loadDirtyBitmaps } from "./bitmap-load.ts";
import { cacheCleanTimerInit } from "./cache-clean.ts";
import { hasCodec } from "./compressed.ts";
import { qcow2Driver } from "./driver.ts";
import * as format from "./format.ts";
import { headerNeeds, parseHeader, type Qcow2Header } from "./header.ts";
import { readMetadata } from "./metadata-io.ts";
import type { Qcow2Options } from "./options.ts";
import { prepareToWrite } from "./prepare.ts";
import { readSnapshots } from "./snapshots.ts";
import { Qcow2State } from "./state.ts";

const SITE_OPEN = site("qcow2_open");

/** How an image is opened. References to nodes are taken over. */
export interface Qcow2OpenOptions extends Qcow2Options {
  readonly nodeName: string;
  /** The node that holds the image. */
  readonly file: BlockDriverState;
  /** The node that holds the guest data of an image with an external data file. */
  readonly dataFile?: BlockDriverState;
  /** Opens it by the name that the image has for it, when `dataFile` is not given. */
  readonly openDataFile?: (name: string) => Polls<BlockDriverState>;
  /** What shows where the image has nothing; by default nothing, whatever the image says (`bdrvOpenPath` obeys it). */
  readonly backing?: BlockDriverState;
  readonly readOnly?: boolean;
  readonly ctx?: AioContext;
}

/** bdrv_open with the driver `qcow2`: a node with one reference, the caller's. BlockError when it is refused. Polls. */
export function* qcow2Open(options: Qcow2OpenOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(!options.file.closed, "the file is open");
  const { file, dataFile, backing, nodeName, readOnly = false } = options;
  const children: ChildSpec[] = [{ name: "file", role: BDRV_CHILD_IMAGE, bs: file }];
  if (dataFile !== undefined)
    children.push({ name: "data-file", role: BDRV_CHILD_DATA, bs: dataFile });
  if (backing !== undefined) children.push({ name: "backing", role: BDRV_CHILD_COW, bs: backing });
  return yield* bdrvOpenDriver(qcow2Driver, nodeName, {
    children,
    readOnly,
    ...(options.ctx === undefined ? {} : { ctx: options.ctx }),
    *drvOpen(bs): Polls<void> {
      yield* openImage(bs, options);
    },
  });
}

/** qcow2_open: read the header of `bs`, whose children are attached. Polls. */
function* openImage(bs: BlockDriverState, options: Qcow2OpenOptions): Polls<void> {
  const header = yield* readHeader(bs);
  checkHeader(header);
  if (!bs.readOnly && (header.incompatible & format.INCOMPAT_CORRUPT) !== 0)
    throw new BlockError(EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
  const state = new Qcow2State(header, options);
  bs.opaque = state;
  bs.backingFile = header.backingFile;
  bs.backingFormat = header.backingFormat;
  state.dataFile = yield* openDataFile(bs, header, options);
  // Bitmaps are as long as the disk.
  bs.totalBytes = alignUp(state.size, BDRV_SECTOR_SIZE);
  if (header.compression !== format.COMPRESSION_ZLIB) yield* refuseWithoutCodec(bs, state);
  const ret = yield* runInCoroutine(bs.aioContext, () => prepare(bs, state), SITE_OPEN);
  if (ret < 0) throw new BlockError(-ret, `Could not open the qcow2 image '${bs.nodeName}'`);
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

/** The edge to the file of guest data; null when the image holds it. Polls. */
function* openDataFile(
  bs: BlockDriverState,
  { hasDataFile, dataFileName }: Qcow2Header,
  options: Qcow2OpenOptions,
): Polls<BdrvChild | null> {
  const { openDataFile: opener, dataFile } = options;
  if (!hasDataFile && dataFile === undefined) return null;
  if (!hasDataFile)
    throw new BlockError(
      EINVAL,
      "'data-file' can only be set for images with an external data file",
    );
  if (dataFile === undefined) {
    if (opener === undefined || dataFileName === "")
      throw new BlockError(EINVAL, "'data-file' is required for this image");
    const opened = yield* opener(dataFileName);
    return yield* bdrvAttachChild(bs, opened, "data-file", BDRV_CHILD_DATA);
  }
  for (const child of childrenOf(bs, SITE_OPEN).snapshot())
    if (child.name === "data-file") return child;
  return null;
}

/** The header of the image behind `bs`. Polls. */
function* readHeader(bs: BlockDriverState): Polls<Qcow2Header> {
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
  return parseHeader(bytes);
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

/** The rest, in a coroutine: what a writer must put in order first, and the snapshots. 0 or a negated errno. */
function* prepare(bs: BlockDriverState, state: Qcow2State): Co<number> {
  const snapshots = yield* readSnapshots(bs);
  if (typeof snapshots === "number") return snapshots;
  state.snapshots = snapshots;
  if (bs.readOnly) return 0;
  return yield* prepareToWrite(bs);
}
