// Making an image: the smallest that there is, a header and the tables of an empty disk, which is then opened and made as long
// as it shall be, so that there is one place that lays out tables.

import { blkNewWithBs, blkTruncate, blkUnref } from "../../backend/index.ts";
import { assert, EINVAL } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import { bdrvRef, bdrvUnref } from "../../graph/node-life.ts";
import { bdrvOpenDriver } from "../../graph/open-node.ts";
import { BDRV_CHILD_IMAGE, type BlockDriver, type BlockDriverState } from "../../graph/state.ts";
import { bdrvCoTruncate } from "../../io/truncate.ts";
import { site } from "../../probe/index.ts";
import { type Co, globalStateCode, type Polls, runInCoroutine } from "../../sched/index.ts";
import * as format from "./format.ts";
import { headerBytesOf, put64, type Qcow2Header } from "./header.ts";
import { imageFile, writeMetadata } from "./metadata-io.ts";
import { qcow2Open } from "./open.ts";

const SITE_CREATE = site("qcow2_co_create");

/** BlockdevCreateOptionsQcow2. */
export interface Qcow2CreateOptions {
  /** Where the image goes; the node stays the caller's. What it holds is lost. */
  readonly file: BlockDriverState;
  readonly size: number;
  /** Default 3 (`compat=1.1`). */
  readonly version?: 2 | 3;
  /** Default 64 KiB. */
  readonly clusterBytes?: number;
  /** Default 16. */
  readonly refcountBits?: number;
  readonly backingFile?: string;
  readonly backingFormat?: string;
  readonly lazyRefcounts?: boolean;
  readonly extendedL2?: boolean;
  readonly compression?: "zlib" | "zstd";
  /** Holds the guest data; the node stays the caller's. */
  readonly dataFile?: BlockDriverState;
  readonly dataFileName?: string;
  readonly dataFileRaw?: boolean;
}

/** qcow2_co_create: write an empty image into `file`. BlockError when it cannot be. Polls. */
export function* qcow2Create(options: Qcow2CreateOptions): Polls<void> {
  globalStateCode(SITE_CREATE);
  assert(options.size >= 0, "a disk has no negative length");
  const header = headerFor(options);
  yield* writeEmptyImage(options.file, header);
  const { file, dataFile, size } = options;
  bdrvRef(file);
  if (dataFile !== undefined) bdrvRef(dataFile);
  const bs = yield* qcow2Open({
    nodeName: "",
    file,
    ...(dataFile === undefined ? {} : { dataFile }),
  });
  // By a BlockBackend, since a data file is resized for nobody who has not asked to.
  const blk = yield* blkNewWithBs(bs);
  const ret = yield* blkTruncate(blk, size);
  yield* blkUnref(blk);
  yield* bdrvUnref(bs);
  if (ret < 0) throw new BlockError(-ret, "Could not resize image");
}

/** The header of an image without a disk: refcount table and block are the clusters behind it. */
function headerFor(options: Qcow2CreateOptions): Qcow2Header {
  const { version = 3, clusterBytes = 65_536, refcountBits = 16, compression = "zlib" } = options;
  const clusterBits = Math.log2(clusterBytes);
  checkOptions(options, clusterBits);
  const feature = (on: boolean | undefined, bit: number) => (on === true ? bit : 0);
  const isZstd = compression === "zstd";
  const hasDataFile = options.dataFile !== undefined;
  return {
    version,
    clusterBits,
    size: 0,
    l1Offset: 0,
    l1Size: 0,
    refcountTableOffset: clusterBytes,
    refcountTableClusters: 1,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatible:
      feature(hasDataFile, format.INCOMPAT_DATA_FILE) |
      feature(isZstd, format.INCOMPAT_COMPRESSION) |
      feature(options.extendedL2, format.INCOMPAT_EXTL2),
    compatible: feature(options.lazyRefcounts, format.COMPAT_LAZY_REFCOUNTS),
    compatibleHigh: 0,
    autoclear: feature(options.dataFileRaw, format.AUTOCLEAR_DATA_FILE_RAW),
    autoclearHigh: 0,
    refcountOrder: Math.log2(refcountBits),
    headerBytes: version === 2 ? format.HEADER_V2_BYTES : 112,
    compression: isZstd ? format.COMPRESSION_ZSTD : format.COMPRESSION_ZLIB,
    unknownFields: new Uint8Array(),
    backingFile: options.backingFile ?? "",
    backingFormat: options.backingFormat ?? "",
    dataFileName: options.dataFileName ?? "",
    hasDataFile,
    dataFileRaw: options.dataFileRaw === true,
    lazyRefcounts: options.lazyRefcounts === true,
    hasSubclusters: options.extendedL2 === true,
    bitmaps: null,
    extensions: [],
  };
}

/** BlockError, with QEMU's texts, for options that do not go together. */
function checkOptions(options: Qcow2CreateOptions, clusterBits: number): void {
  const { version = 3, refcountBits = 16, size, clusterBytes = 65_536 } = options;
  const refuse = (message: string): never => {
    throw new BlockError(EINVAL, message);
  };
  if (size % 512 !== 0) refuse("Image size must be a multiple of 512 bytes");
  const [least, most] = [format.CLUSTER_BITS_MIN, format.CLUSTER_BITS_MAX];
  if (!Number.isInteger(clusterBits) || clusterBits < least || clusterBits > most)
    refuse("Cluster size must be a power of two between 512 and 2048k");
  if (![1, 2, 4, 8, 16, 32, 64].includes(refcountBits))
    refuse("Refcount width must be a power of two and may not exceed 64 bits");
  if (options.extendedL2 === true && clusterBytes < 16_384)
    refuse("Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
  if (options.dataFileRaw === true && options.dataFile === undefined)
    refuse("data-file-raw requires data-file");
  if (options.dataFileRaw === true && (options.backingFile ?? "") !== "")
    refuse("Backing file and data-file-raw cannot be used at the same time");
  if ((options.backingFile ?? "") === "" && (options.backingFormat ?? "") !== "")
    refuse("Backing format cannot be used without backing file");
  if (version === 3) return;
  const only = "only supported with compatibility level 1.1 and above (use version=v3 or greater)";
  if (refcountBits !== 16)
    refuse("Different refcount widths than 16 bits require compatibility level 1.1 or above");
  if (options.lazyRefcounts === true) refuse(`Lazy refcounts ${only}`);
  if (options.extendedL2 === true) refuse(`Extended L2 entries are ${only}`);
  if (options.dataFile !== undefined) refuse(`External data files are ${only}`);
  if (options.compression === "zstd") refuse(`Non-zlib compression type is ${only}`);
}

/** A node of this driver has the file while the first clusters are written. */
const blankDriver: BlockDriver = { formatName: "qcow2-blank", isFilter: false, getlength: () => 0 };

function* writeEmptyImage(file: BlockDriverState, header: Qcow2Header): Polls<void> {
  bdrvRef(file);
  const children = [{ name: "file", role: BDRV_CHILD_IMAGE, bs: file }];
  const bs = yield* bdrvOpenDriver(blankDriver, "", { children });
  const write = (): Co<number> => writeFirstClusters(bs, header);
  const ret = yield* runInCoroutine(bs.aioContext, write, SITE_CREATE);
  yield* bdrvUnref(bs);
  if (ret < 0) throw new BlockError(-ret, "Could not write qcow2 header");
}

/** | header | refcount table | refcount block, which counts the three once each | */
function* writeFirstClusters(bs: BlockDriverState, header: Qcow2Header): Co<number> {
  const clusterBytes = 2 ** header.clusterBits;
  const bytes = new Uint8Array(3 * clusterBytes);
  bytes.set(headerBytesOf(header));
  const view = new DataView(bytes.buffer);
  put64(view, clusterBytes, 2 * clusterBytes);
  const bits = 2 ** header.refcountOrder;
  for (let cluster = 0; cluster < 3; cluster++) {
    // Narrow counts fill a byte from its lowest bit on; wide ones have their lowest byte last.
    const bit = cluster * bits;
    const at = bits < 8 ? Math.floor(bit / 8) : bit / 8 + bits / 8 - 1;
    const place = 2 * clusterBytes + at;
    view.setUint8(place, view.getUint8(place) | (1 << (bits < 8 ? bit % 8 : 0)));
  }
  let ret = yield* bdrvCoTruncate(imageFile(bs), 0);
  if (ret >= 0) ret = yield* writeMetadata(bs, 0, bytes);
  return ret;
}
