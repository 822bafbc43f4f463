// An image and all that it names, opened by its path: backing files down to the last, and the file of guest data.
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

/** Images in a chain of backing files at most: a longer one is a circle, as good as certainly. */
const CHAIN_MAX = 200;

/** What the images below an image are to be called. */
export interface NamedBacking {
  readonly nodeName?: string;
  readonly backing?: NamedBacking;
}

/** What is opened, and how. */
export interface OpenPathOptions extends Qcow2Options {
  readonly path: string;
  readonly nodeName?: string;
  /** By default what the first bytes say. */
  readonly format?: "raw" | "qcow2";
  readonly readOnly?: boolean;
  readonly ctx?: AioContext;
  /** What is done with the host's cache, here and below. */
  readonly cache?: CacheOptions;
  /** Do not open what the image has below it. */
  readonly noBacking?: boolean;
  readonly backing?: NamedBacking;
}

/** bdrv_open with a file name: the node with one reference, the caller's. BlockError when anything cannot be opened. Polls. */
export function* bdrvOpenPath(options: OpenPathOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(options.path.length > 0, "a file has a path");
  return yield* openLink(options, 0);
}

function* openLink(options: OpenPathOptions, depth: number): Polls<BlockDriverState> {
  const bs = yield* openFormat(options, depth);
  bdrvSetCache(bs, options.cache ?? CACHED);
  bdrvParentCbChangeMedia(bs, true);
  return bs;
}

function* openFormat(options: OpenPathOptions, depth: number): Polls<BlockDriverState> {
  const { path, ctx, readOnly = false, nodeName = "" } = options;
  if (depth >= CHAIN_MAX)
    throw new BlockError(EINVAL, `The backing chain of '${path}' is too long`);
  const { cache = CACHED } = options;
  const how = { nodeName: "", readOnly, cache, ...(ctx === undefined ? {} : { ctx }) };
  const file = yield* fileOpen({ ...how, path });
  const format = options.format ?? (yield* probe(file));
  if (format === "raw") {
    const raw = yield* rawOpen(nodeName, file, readOnly);
    bdrvOpenedFor(file, raw);
    return raw;
  }
  const { backing: named, ...imageOptions } = options;
  const bs = yield* qcow2Open({
    ...imageOptions,
    nodeName,
    file,
    openDataFile: (name) => fileOpen({ ...how, path: name }),
  });
  bdrvOpenedFor(file, bs);
  if (options.noBacking === true) return bs;
  const backed = yield* settle(() => openBacking(bs, depth, cache, named));
  if (backed.ok) return bs;
  yield* bdrvUnref(bs);
  throw backed.error;
}

/** bdrv_open_backing_file (block.c:3461): open what the image of `bs` names, if anything, and put it below. BlockError. Polls. */
export function* bdrvOpenBackingFile(
  bs: BlockDriverState,
  cache: CacheOptions = CACHED,
): Polls<void> {
  globalStateCode(SITE_BACKING);
  assert(!bs.closed, "the image is open");
  yield* openBacking(bs, 0, cache);
}

function* openBacking(
  bs: BlockDriverState,
  depth: number,
  cache: CacheOptions,
  names: NamedBacking = {},
): Polls<void> {
  const { backingFile, backingFormat: format, aioContext } = bs;
  if (backingFile === "") return;
  const opened = yield* settle(function* (): Polls<void> {
    if (format !== "" && format !== "raw" && format !== "qcow2")
      throw new BlockError(EINVAL, `Unknown driver '${format}'`);
    if (hasProtocol(backingFile))
      throw new BlockError(ENOTSUP, `Unknown protocol of '${backingFile}'`);
    const path = pathCombine(filenameOf(bs), backingFile);
    const named: Pick<OpenPathOptions, "format"> = format === "" ? {} : { format };
    const below = { path, readOnly: true, cache, ctx: aioContext, ...named, ...names };
    const backing = yield* openLink(below, depth + 1);
    const set = yield* settle(() => bdrvSetBackingHd(bs, backing));
    if (set.ok) bdrvOpenedFor(backing, bs);
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
  if (name.startsWith("/") || hasProtocol(name)) return name;
  return base.slice(0, base.lastIndexOf("/") + 1) + name;
}

/** path_has_protocol (block.c:281): it is no path of a file. */
function hasProtocol(name: string): boolean {
  return /^[^/]*:/.test(name);
}

/** find_image_format (block.c:1042): by the first bytes. Polls. */
function* probe(file: BlockDriverState): Polls<"raw" | "qcow2"> {
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
