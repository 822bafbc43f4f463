// An image and all that it names, opened by its path: backing files down to the last, and the file of guest data.
//
// A name may have a protocol: `file:` and a path, or `json:` and the options of a driver, which somebody above reads. No others are known.
//
// Names inside of an image are relative to the folder that it is in, as they are for QEMU; the name of a data file is relative to
// the program's, as it is there. Backing files are opened read-only. The format of one that the image does not name is
// found out by its first bytes, as QEMU does with a warning.

import { blkNewWithBs, blkPreadv, blkUnref } from "../backend/index.ts";
import { assert, EINVAL, ENOTSUP } from "../base/index.ts";
import { edgeBs } from "../graph/access.ts";
import { bdrvSetBackingHd } from "../graph/backing.ts";
import { BlockError, settle } from "../graph/block-error.ts";
import { CACHED, type CacheOptions } from "../graph/block-options.ts";
import { bdrvPrimaryChild } from "../graph/chain.ts";
import { bdrvParentCbChangeMedia } from "../graph/change-media.ts";
import { bdrvRef, bdrvUnref } from "../graph/node-life.ts";
import { bdrvOpenedFor, bdrvSetCache } from "../graph/open-node.ts";
import { BLK_PERM_CONSISTENT_READ } from "../graph/permission-bits.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { qiovOf } from "../io/index.ts";
import { site } from "../probe/index.ts";
import {
  type AioContext,
  globalStateCode,
  hostAllocate,
  hostReveal,
  type Polls,
} from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import { QCOW_MAGIC } from "./qcow2/format.ts";
import { qcow2Open } from "./qcow2/open.ts";
import type { Qcow2Options } from "./qcow2/options.ts";
import { rawOpen } from "./raw.ts";

const SITE_OPEN = site("bdrv_open_inherit");
const SITE_BACKING = site("bdrv_open_backing_file");
const SITE_PROBE = site("find_image_format");

const JSON_PROTOCOL = "json:";

/** Images in a chain of backing files at most: a longer one is a circle, as good as certainly. */
const CHAIN_MAX = 200;

/** What the images below an image are to be called. */
export interface NamedBacking {
  readonly nodeName?: string;
  readonly backing?: NamedBacking;
}

/** How an image is opened whose name has its options. */
export interface JsonImage {
  /** What is known of its format from elsewhere; "" for nothing. */
  readonly format: string;
  readonly nodeName: string;
  readonly readOnly: boolean;
  readonly cache: CacheOptions;
  readonly forceShare: boolean;
  /** How many images are above it. */
  readonly depth: number;
}

/** Opens an image by the options that follow `json:` in its name: a node with one reference, the caller's. BlockError. Polls. */
export type OpenJson = (json: string, image: JsonImage) => Polls<BlockDriverState>;

/** What is opened, and how. */
export interface OpenPathOptions extends Qcow2Options {
  readonly path: string;
  /** Absent: names with options are refused. */
  readonly openJson?: OpenJson;
  readonly nodeName?: string;
  /** By default what the first bytes say. */
  readonly format?: string;
  readonly readOnly?: boolean;
  readonly ctx?: AioContext;
  /** What is done with the host's cache, here and below. */
  readonly cache?: CacheOptions;
  /** All of it, here and below, is shared with everybody (C: BDRV_OPT_FORCE_SHARE). */
  readonly forceShare?: boolean;
  /** Do not open what the image has below it. */
  readonly noBacking?: boolean;
  readonly backing?: NamedBacking;
}

/** bdrv_open with a file name: the node with one reference, the caller's. BlockError when anything cannot be opened. Polls. */
export function* bdrvOpenPath(options: OpenPathOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  return yield* openLink(options, 0);
}

function* openLink(options: OpenPathOptions, depth: number): Polls<BlockDriverState> {
  const { path, openJson, backing } = options;
  if (depth >= CHAIN_MAX)
    throw new BlockError(EINVAL, `The backing chain of '${path}' is too long`);
  if (openJson !== undefined && path.startsWith(JSON_PROTOCOL)) {
    if (backing === undefined) return yield* openByOptions(openJson, options, depth);
    throw new BlockError(ENOTSUP, `What is below '${path}' has its names from these options`);
  }
  const bs = yield* openFormat(options, depth);
  bdrvSetCache(bs, options.cache ?? CACHED);
  bdrvParentCbChangeMedia(bs, true);
  return bs;
}

/** parse_json_protocol (block.c:1971): the options in the name are the image's, but for what is said beside it. Polls. */
function openByOptions(
  openJson: OpenJson,
  options: OpenPathOptions,
  depth: number,
): Polls<BlockDriverState> {
  const { path, format = "", nodeName = "", readOnly = false, cache = CACHED } = options;
  const { forceShare = false } = options;
  const image = { format, nodeName, readOnly, cache, forceShare, depth };
  return openJson(path.slice(JSON_PROTOCOL.length), image);
}

function* openFormat(options: OpenPathOptions, depth: number): Polls<BlockDriverState> {
  const { ctx, readOnly = false, nodeName = "" } = options;
  const { format: asked, cache = CACHED } = options;
  if (asked !== undefined && asked !== "raw" && asked !== "qcow2")
    throw new BlockError(EINVAL, `Unknown driver '${asked}'`);
  const path = pathOf(options.path);
  const how = { nodeName: "", readOnly, cache, ...(ctx === undefined ? {} : { ctx }) };
  const { forceShare = false } = options;
  const openFile = function* (at: string): Polls<BlockDriverState> {
    const bs = yield* fileOpen({ ...how, path: at });
    bs.forceShare = forceShare;
    return bs;
  };
  const file = yield* openFile(path);
  const format = asked ?? (yield* findImageFormat(file));
  if (format === "raw") {
    const raw = yield* rawOpen(nodeName, file, readOnly);
    bdrvOpenedFor(file, raw);
    raw.forceShare = forceShare;
    return raw;
  }
  const { backing: named, ...imageOptions } = options;
  const bs = yield* qcow2Open({
    ...imageOptions,
    nodeName,
    file,
    openDataFile: (name) => openFile(pathOf(name)),
  });
  bdrvOpenedFor(file, bs);
  bs.forceShare = forceShare;
  if (options.noBacking === true) return bs;
  const { openJson } = options;
  const backed = yield* settle(() =>
    openBacking(bs, depth, cache, { named, openJson, forceShare }),
  );
  if (backed.ok) return bs;
  yield* bdrvUnref(bs);
  throw backed.error;
}

/** bdrv_open_backing_file (block.c:3461): open what the image of `bs` names, if anything, and put it below. BlockError. Polls. */
export function* bdrvOpenBackingFile(
  bs: BlockDriverState,
  { cache, depth, openJson, forceShare }: OpenBackingOptions,
): Polls<void> {
  globalStateCode(SITE_BACKING);
  assert(!bs.closed, "the image is open");
  yield* openBacking(bs, depth, cache, { openJson, forceShare });
}

/** What the image below is opened with: as its overlay was. */
export interface OpenBackingOptions {
  readonly cache: CacheOptions;
  /** How many images are above `bs`. */
  readonly depth: number;
  readonly openJson: OpenJson;
  readonly forceShare: boolean;
}

/** The rest of what the image below is opened with. */
interface BackingOptions {
  readonly named?: NamedBacking | undefined;
  readonly openJson: OpenJson | undefined;
  readonly forceShare: boolean;
}

function* openBacking(
  bs: BlockDriverState,
  depth: number,
  cache: CacheOptions,
  { named: names = {}, openJson, forceShare }: BackingOptions,
): Polls<void> {
  const { backingFile, backingFormat: format, aioContext } = bs;
  if (backingFile === "") return;
  const opened = yield* settle(function* (): Polls<void> {
    const path = pathCombine(filenameOf(bs), backingFile);
    const named = format === "" ? {} : { format };
    const how = {
      cache,
      forceShare,
      ctx: aioContext,
      ...(openJson === undefined ? {} : { openJson }),
    };
    const below = { path, readOnly: true, ...how, ...named, ...names };
    const backing = yield* openLink(below, depth + 1);
    const set = yield* settle(() => bdrvSetBackingHd(bs, backing));
    if (set.ok) {
      bdrvOpenedFor(backing, bs);
      bs.autoBackingId = backing.id;
    }
    yield* bdrvUnref(backing);
    if (!set.ok) throw set.error;
  });
  if (opened.ok) return;
  const { errno, message } = opened.error;
  throw new BlockError(errno, `Could not open backing file: ${message}`);
}

/** C: bs->exact_filename: of the file that holds the image. */
function filenameOf(bs: BlockDriverState): string {
  let node: BlockDriverState | null = bs;
  while (node !== null && node.options.filename === undefined) {
    const child = bdrvPrimaryChild(node);
    node = child === null ? null : edgeBs(child, SITE_BACKING);
  }
  return String(node?.options.filename ?? "");
}

/** path_combine (block.c:353): `name` as it is meant in a file at `base`. Common. */
export function pathCombine(base: string, name: string): string {
  if (name.startsWith("/") || protocolOf(name) !== null) return name;
  return base.slice(0, base.lastIndexOf("/") + 1) + name;
}

/** path_has_protocol (block.c:281): what a name that is no path begins with, without its colon; null for a path. */
function protocolOf(name: string): string | null {
  return /^([^/:]*):/.exec(name)?.[1] ?? null;
}

/** bdrv_find_protocol (block.c:952), of which there is one: the path that a name means. BlockError for a name of another kind. */
function pathOf(name: string): string {
  const protocol = protocolOf(name);
  if (protocol === null) return name;
  if (protocol === "file") return name.slice("file:".length);
  throw new BlockError(EINVAL, `Unknown protocol '${protocol}'`);
}

/** find_image_format (block.c:1042): by the first bytes. Polls. */
export function* findImageFormat(file: BlockDriverState): Polls<"raw" | "qcow2"> {
  globalStateCode(SITE_PROBE);
  bdrvRef(file);
  const blk = yield* blkNewWithBs(file, { perm: BLK_PERM_CONSISTENT_READ });
  const buffer = hostAllocate(512);
  const ret = yield* blkPreadv(blk, 0, 512, qiovOf(buffer));
  yield* blkUnref(blk);
  yield* bdrvUnref(file);
  if (ret < 0) return "raw";
  const first = hostReveal(SITE_PROBE, buffer, 0, 4);
  return new DataView(first.buffer).getUint32(0) === QCOW_MAGIC ? "qcow2" : "raw";
}
