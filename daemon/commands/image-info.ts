// What clients are told of a node: its image, with those below it, and how it is used.
//
// A node has a file name where a file name alone would open the same graph; where options matter, its name is `json:` and all
// that one would have to say (C: bdrv_refresh_filename).

import type { BlockBackend } from "#core/backend";
import { ENOMEDIUM, strerror } from "#core/base";
import {
  copyBeforeWriteDriver,
  pathCombine,
  type Qcow2StoredBitmap,
  qcow2Driver,
  qcow2SnapshotList,
  qcow2StoredBitmaps,
  snapshotAccessDriver,
} from "#core/drivers";
import {
  type BlockDriverState,
  BlockError,
  type BlockOptionValue,
  backingOf,
  bdrvAllStates,
  bdrvCowChild,
  bdrvFilterOrCowBs,
  bdrvPrimaryChild,
  bdrvRef,
  bdrvSkipImplicitFilters,
  bdrvUnref,
  childrenOf,
  edgeBs,
  settle,
} from "#core/graph";
import { bdrvGetAllocatedFileSize, bdrvGetInfo, bdrvGetlength } from "#core/io";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import {
  THROTTLE_BPS_READ,
  THROTTLE_BPS_TOTAL,
  THROTTLE_BPS_WRITE,
  THROTTLE_OPS_READ,
  THROTTLE_OPS_TOTAL,
  THROTTLE_OPS_WRITE,
  throttleGroupGetConfig,
  throttleGroupGetName,
} from "#core/throttle";
import { jsonText, type Sendable } from "../qmp/json-value.ts";
import { dirtyBitmapsMember } from "./bitmap-commands.ts";

const SITE_FILENAME = site("bdrv_refresh_filename");
const SITE_INFO = site("bdrv_block_device_info");

/** Options that change what a node shows (C: strong_runtime_opts), of drivers that have any; with a dot at its end, all that begin so. */
const STRONG_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  raw: ["offset", "size"],
  "null-co": ["size", "read-zeroes"],
  "null-aio": ["size", "read-zeroes"],
  throttle: ["throttle-group"],
  quorum: ["vote-threshold", "blkverify", "rewrite-corrupted", "read-pattern"],
  nbd: ["server.", "export", "tls-creds", "tls-hostname"],
  blkdebug: [
    ...["config", "inject-error.", "set-state."],
    ...["align", "max-transfer", "opt-write-zero", "max-write-zero", "opt-discard", "max-discard"],
  ],
};

/** C: bs->filename. */
export function filenameOf(bs: BlockDriverState): string {
  const exact = exactFilename(bs);
  return exact === "" ? `json:${jsonText(fullOpenOptions(bs))}` : exact;
}

/** Drivers that are called what their file is called (C: bdrv_refresh_filename). */
const NAMED_AS_FILE: ReadonlySet<unknown> = new Set([copyBeforeWriteDriver, snapshotAccessDriver]);

/** C: bs->exact_filename; "" when no name says it all. */
function exactFilename(bs: BlockDriverState): string {
  const { filename } = bs.options;
  if (typeof filename === "string") return filename;
  const named = REFRESH_FILENAME[bs.drv.formatName];
  if (named !== undefined) return named(bs);
  const primary = bdrvPrimaryChild(bs);
  const below = primary === null ? null : edgeBs(primary, SITE_FILENAME);
  if (below === null) {
    const isNull = bs.drv.formatName.startsWith("null-") && !isChosen(bs);
    return isNull ? `${bs.drv.formatName}://` : "";
  }
  if (bs.implicit) return exactFilename(below);
  if (NAMED_AS_FILE.has(bs.drv)) return filenameOf(below);
  // Those with a name of their own are protocols in QEMU, also where they pass requests on.
  const isProtocol = below.drv.isProtocol === true || below.drv.formatName in REFRESH_FILENAME;
  const alone = isProtocol && !bs.drv.isFilter && !isChosen(bs);
  return alone ? exactFilename(below) : "";
}

/** Drivers that have a name of their own for what they show (C: bdrv_refresh_filename of BlockDriver). */
const REFRESH_FILENAME: Readonly<Record<string, (bs: BlockDriverState) => string>> = {
  /** nbd_refresh_filename (block/nbd.c:2027). */
  nbd({ options }) {
    const { export: name, "server.type": type, "server.path": path } = options;
    if (type === "unix") return `nbd+unix://${name === undefined ? "" : `/${name}`}?socket=${path}`;
    if (type !== "inet") return "";
    const { "server.host": host, "server.port": port } = options;
    return `nbd://${host}:${port}${name === undefined ? "" : `/${name}`}`;
  },
  /** blkdebug_refresh_filename (block/blkdebug.c:961): nothing but a file of rules can be said in a name. */
  blkdebug(bs) {
    const { config = "", ...others } = strongOptions(bs);
    const image = exactFilenameOf(bs, "image");
    const isAll = image !== "" && Object.keys(others).length === 0;
    return isAll ? `blkdebug:${config}:${image}` : "";
  },
  /** blkverify_refresh_filename (block/blkverify.c:291). */
  blkverify(bs) {
    const [raw, test] = [exactFilenameOf(bs, "raw"), exactFilenameOf(bs, "test")];
    return raw === "" || test === "" ? "" : `blkverify:${raw}:${test}`;
  },
};

/** The name of the child `name`; "" when none says it all. */
function exactFilenameOf(bs: BlockDriverState, name: string): string {
  const child = childrenOf(bs, SITE_FILENAME)
    .snapshot()
    .find((one) => one.name === name);
  const below = child === undefined ? null : edgeBs(child, SITE_FILENAME);
  return below === null ? "" : exactFilename(below);
}

/** Whether the user has asked for something that the name of its file does not say. */
function isChosen(bs: BlockDriverState): boolean {
  return Object.keys(strongOptions(bs)).length > 0 || isBackingOverridden(bs);
}

function strongOptions(bs: BlockDriverState): Record<string, BlockOptionValue> {
  const names = STRONG_OPTIONS[bs.drv.formatName] ?? [];
  const given = names.flatMap((name) =>
    Object.entries(bs.options).filter(([key]) =>
      name.endsWith(".") ? key.startsWith(name) : key === name,
    ),
  );
  return Object.fromEntries(given);
}

/** bdrv_backing_overridden (block.c:7662): what is below is not what the image names. */
function isBackingOverridden(bs: BlockDriverState): boolean {
  if (bs.drv.supportsBacking !== true) return false;
  const backing = backingOf(bs, SITE_FILENAME);
  const below = backing === null ? null : edgeBs(backing, SITE_FILENAME);
  if (below === null) return bs.backingFile !== "";
  if (below.id === bs.autoBackingId) return false;
  const name = filenameOf(below);
  return name !== bs.backingFile && name !== fullBackingFilename(bs);
}

/** bdrv_get_full_backing_filename; null when it cannot be said. */
function fullBackingFilename(bs: BlockDriverState): string | null {
  const file = bdrvPrimaryChild(bs);
  const below = file === null ? null : edgeBs(file, SITE_FILENAME);
  if (below === null || bs.backingFile === "") return null;
  return pathCombine(exactFilename(below), bs.backingFile);
}

/** C: bs->full_open_options. */
function fullOpenOptions(bs: BlockDriverState): Sendable {
  const { filename } = bs.options;
  const options: Record<string, Sendable> = { driver: bs.drv.formatName, ...strongOptions(bs) };
  if (filename !== undefined) options.filename = filename;
  const list: Sendable[] = [];
  const backing = backingOf(bs, SITE_FILENAME);
  const overridden = isBackingOverridden(bs);
  for (const child of childrenOf(bs, SITE_FILENAME).snapshot().reverse()) {
    const below = edgeBs(child, SITE_FILENAME);
    if (below === null || (child === backing && bs.drv.supportsBacking === true && !overridden))
      continue;
    if (child.name.startsWith("children.")) list.push(fullOpenOptions(below));
    else options[child.name] = fullOpenOptions(below);
  }
  if (list.length > 0) options.children = list;
  if (overridden && backing === null) options.backing = null;
  return options;
}

/** The bitmaps that images have; they have to be read, which polls, so they are asked for before all else. */
export type StoredBitmaps = ReadonlyMap<BlockDriverState, readonly Qcow2StoredBitmap[]>;

/** The bitmaps in the images of all nodes; BlockError when a directory cannot be read. Polls. */
export function* storedBitmaps(): Polls<StoredBitmaps> {
  const found = new Map<BlockDriverState, readonly Qcow2StoredBitmap[]>();
  for (const bs of bdrvAllStates()) {
    if (bs.drv !== qcow2Driver || bs.closed) continue;
    bdrvRef(bs);
    const read = yield* settle(() => qcow2StoredBitmaps(bs));
    yield* bdrvUnref(bs);
    if (!read.ok) throw read.error;
    found.set(bs, read.value);
  }
  return found;
}

/** What a node is described by: `flat`, without the images below. */
interface DeviceInfoOptions {
  readonly flat: boolean;
  readonly bitmaps: StoredBitmaps;
}

/** bdrv_block_device_info (block/qapi.c:44): QAPI's BlockDeviceInfo of `bs`, as `blk` uses it, if it does. */
export function bdrvBlockDeviceInfo(
  blk: BlockBackend | null,
  bs: BlockDriverState,
  options: DeviceInfoOptions,
): Sendable {
  if (bs.ejected) throw new BlockError(ENOMEDIUM, `Block device ${bs.nodeName} is ejected`);
  const cow = bdrvCowChild(bs);
  const cowBs = cow === null ? null : edgeBs(cow, SITE_INFO);
  const { image, depth } = imageChain(bs, blk !== null, options);
  const isOn = (name: string) => bs.options[name] === true || bs.options[name] === "on";
  return {
    file: filenameOf(bs),
    "node-name": bs.nodeName,
    ro: bs.readOnly,
    drv: bs.drv.formatName,
    backing_file: cowBs === null ? undefined : filenameOf(cowBs),
    backing_file_depth: depth,
    encrypted: false,
    detect_zeroes: bs.options["detect-zeroes"] ?? "off",
    ...limitsOf(blk),
    ...dirtyBitmapsMember(bs),
    image,
    cache: {
      writeback: blk === null || blk.enableWriteCache,
      direct: isOn("cache.direct"),
      "no-flush": isOn("cache.no-flush"),
    },
    write_threshold: bs.writeThresholdOffset,
  };
}

const LIMITS = {
  bps: THROTTLE_BPS_TOTAL,
  bps_rd: THROTTLE_BPS_READ,
  bps_wr: THROTTLE_BPS_WRITE,
  iops: THROTTLE_OPS_TOTAL,
  iops_rd: THROTTLE_OPS_READ,
  iops_wr: THROTTLE_OPS_WRITE,
} as const;

/** The I/O limits of a BlockBackend; all are 0 where there are none. */
function limitsOf(blk: BlockBackend | null): { readonly [key: string]: Sendable } {
  const member = blk?.throttleGroupMember;
  const limits: Record<string, Sendable> = {};
  const cfg = member === undefined || member.group === null ? null : throttleGroupGetConfig(member);
  for (const [name, index] of Object.entries(LIMITS)) {
    const bucket = cfg?.buckets[index];
    limits[name] = bucket?.avg ?? 0;
    if (bucket === undefined || bucket.max === 0) continue;
    limits[`${name}_max`] = bucket.max;
    limits[`${name}_max_length`] = bucket.burstLength;
  }
  if (cfg === null || member === undefined) return limits;
  if (cfg.opSize !== 0) limits.iops_size = cfg.opSize;
  return { ...limits, group: throttleGroupGetName(member) };
}

/** The image of `bs` with those below it, and how many they are. */
function imageChain(
  bs: BlockDriverState,
  skipImplicit: boolean,
  options: DeviceInfoOptions,
): { readonly image: Sendable; readonly depth: number } {
  const next = options.flat ? null : bdrvFilterOrCowBs(bs);
  const image = imageInfo(bs, options.bitmaps.get(bs) ?? []);
  if (next === null) return { image, depth: 0 };
  const nextBs = skipImplicit ? bdrvSkipImplicitFilters(next) : next;
  const below = imageChain(nextBs, skipImplicit, options);
  return { image: { ...image, "backing-image": below.image }, depth: below.depth + 1 };
}

/** bdrv_query_image_info (block/qapi.c:226): QAPI's ImageInfo, without what is below. */
function imageInfo(
  bs: BlockDriverState,
  bitmaps: readonly Qcow2StoredBitmap[],
): { readonly [key: string]: Sendable } {
  const size = bdrvGetlength(bs);
  if (size < 0) {
    const why = `Can't get image size '${exactFilename(bs)}': ${strerror(-size)}`;
    throw new BlockError(-size, why);
  }
  const info = bdrvGetInfo(bs);
  const allocated = bdrvGetAllocatedFileSize(bs);
  const named = bs.backingFile !== "";
  const snapshots = bs.drv === qcow2Driver ? qcow2SnapshotList(bs) : [];
  return {
    filename: filenameOf(bs),
    format: bs.drv.formatName,
    "virtual-size": size,
    "actual-size": allocated < 0 ? undefined : allocated,
    "cluster-size": info?.clusterBytes,
    "dirty-flag": info?.isDirty,
    "format-specific": formatSpecific(bs, bitmaps),
    "backing-filename": named ? bs.backingFile : undefined,
    "full-backing-filename": named ? (fullBackingFilename(bs) ?? undefined) : undefined,
    "backing-filename-format": named && bs.backingFormat !== "" ? bs.backingFormat : undefined,
    snapshots: snapshots.length === 0 ? undefined : snapshots.map(snapshotInfo),
  };
}

function formatSpecific(
  bs: BlockDriverState,
  bitmaps: readonly Qcow2StoredBitmap[],
): Sendable | undefined {
  const specific = bs.drv.getSpecificInfo?.(bs);
  if (specific === undefined || bitmaps.length === 0) return specific;
  const described = bitmaps.map(({ name, granularity, isInUse, isAuto }) => ({
    ...{ name, granularity },
    flags: [...(isInUse ? ["in-use"] : []), ...(isAuto ? ["auto"] : [])],
  }));
  return { ...specific, data: { ...specific.data, bitmaps: described } };
}

/** QAPI: SnapshotInfo. */
function snapshotInfo(snapshot: ReturnType<typeof qcow2SnapshotList>[number]): Sendable {
  return {
    id: snapshot.id,
    name: snapshot.name,
    "vm-state-size": snapshot.vmStateBytes,
    "date-sec": snapshot.dateSeconds,
    "date-nsec": snapshot.dateNanoseconds,
    "vm-clock-sec": Math.floor(snapshot.vmClockNs / 1e9),
    "vm-clock-nsec": snapshot.vmClockNs % 1e9,
    icount: snapshot.icount ?? undefined,
  };
}
