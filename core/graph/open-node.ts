// Making a node with its driver and its children: what `blockdev-add` comes down to when the options are understood.
//
// QEMU's drivers open their children themselves (bdrv_open_child); here the caller has made them, and they are attached one
// after the other, the first one first. When one is refused, the node goes again and nothing has changed.

import { assert, strerror } from "../base/index.ts";
import { refreshTotalSectors } from "../io/index.ts";
import { site } from "../probe/index.ts";
import { type AioContext, globalStateCode, type Polls } from "../sched/index.ts";
import { bdrvTryChangeAioContext } from "./aio-context.ts";
import { bdrvAttachChild } from "./attach.ts";
import { BlockError, settle } from "./block-error.ts";
import { type BlockLimits, NO_LIMITS } from "./block-limits.ts";
import {
  type BlockOptions,
  type CacheOptions,
  cacheAsOptions,
  type DetectZeroes,
  detectZeroesOf,
  unmapOf,
  withoutOption,
} from "./block-options.ts";
import { withDrained } from "./edit-drains.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvSetInheritsFrom } from "./inherits-from.ts";
import { bdrvNew, bdrvRef, bdrvUnref } from "./node-life.ts";
import { bdrvReplaceNode } from "./replace-node.ts";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BlockDriver,
  type BlockDriverState,
} from "./state.ts";

const SITE_OPEN = site("bdrv_new_open_driver");
const SITE_INSERT = site("bdrv_insert_node");
const SITE_COMMON = site("bdrv_open_common");

/** A child that a new node begins with; the node takes over the caller's reference to `bs`. */
export interface ChildSpec {
  readonly name: string;
  readonly role: number;
  readonly bs: BlockDriverState;
  /** The node was made by the new node's own options: reopening that one reopens it, too (C: inherits_from). */
  readonly inherits?: boolean;
}

/** How a node is opened. */
export interface OpenOptions {
  /** The driver's own state. */
  readonly opaque?: unknown;
  readonly children?: readonly ChildSpec[];
  /** Where the node shall run; by default where its children are, or in main. */
  readonly ctx?: AioContext;
  readonly readOnly?: boolean;
  /** By default the driver's answer, or the length of the primary child. */
  readonly totalBytes?: number;
  readonly requestAlignment?: number;
  /** By default none. */
  readonly limits?: BlockLimits;
  /** The driver's own part of opening, with the children attached: sets the node's `opaque`, or refuses with a BlockError. */
  readonly drvOpen?: (bs: BlockDriverState) => Polls<void>;
  /** Options of the driver, for a later reopen to compare with; `driver`, `node-name` and `read-only` are added. */
  readonly options?: BlockOptions;
}

/**
 * bdrv_new_open_driver_opts (block.c:1743): a node of `drv` called `nodeName` ("" for a generated name), with its children
 * attached and one reference, the caller's. BlockError when the name is taken or a child is refused; the references to all
 * children are gone then, too. Polls.
 */
export function* bdrvOpenDriver(
  drv: BlockDriver,
  nodeName: string,
  options: OpenOptions = {},
): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(drv.formatName.length > 0, "a driver has a name");
  const waiting = [...(options.children ?? [])];
  const outcome = yield* settle(function* (): Polls<BlockDriverState> {
    const bs = bdrvNew(drv, nodeName, options.opaque ?? null, options.readOnly ?? false);
    const opened = yield* settle(() => openInto(bs, waiting, options));
    if (opened.ok) return bs;
    yield* bdrvUnref(bs);
    throw opened.error;
  });
  if (outcome.ok) return outcome.value;
  for (const { bs } of waiting) yield* bdrvUnref(bs);
  throw outcome.error;
}

/** bdrv_open_driver (block.c:1649). What was attached leaves `waiting`. Polls. */
function* openInto(bs: BlockDriverState, waiting: ChildSpec[], options: OpenOptions): Polls<void> {
  rememberOptions(bs, options);
  for (let child = waiting.shift(); child !== undefined; child = waiting.shift()) {
    yield* bdrvAttachChild(bs, child.bs, child.name, child.role);
    if (child.inherits === true) bdrvSetInheritsFrom(child.bs, bs, null);
  }
  if (options.ctx !== undefined && bs.aioContext !== options.ctx)
    yield* bdrvTryChangeAioContext(bs, options.ctx, null);
  bs.requestAlignment = options.requestAlignment ?? 1;
  bs.limits = options.limits ?? NO_LIMITS;
  if (options.drvOpen !== undefined) yield* options.drvOpen(bs);
  if (options.totalBytes === undefined) {
    const length = refreshTotalSectors(bs);
    if (length < 0) {
      const why = `Could not refresh total sector count: ${strerror(-length)}`;
      throw new BlockError(-length, why);
    }
  } else {
    bs.totalBytes = options.totalBytes;
  }
  assert(bs.totalBytes >= 0, "a node has a length");
}

/** What a node has that no driver is asked about. */
export interface CommonOptions {
  readonly discard: "ignore" | "unmap";
  readonly "detect-zeroes": DetectZeroes;
}

/**
 * The part of bdrv_open_common (block.c:1856) that is about what a node lets through: `bs`, which is open, has `common` and `cache`. A
 * reopen that does not say how it is to be with the cache, or with writes, follows the parent, unless `explicit` says that it was
 * asked for.
 */
export function bdrvSetCommonOptions(
  bs: BlockDriverState,
  common: CommonOptions,
  cache: CacheOptions,
  explicit: BlockOptions = {},
): void {
  globalStateCode(SITE_COMMON);
  bdrvSetCache(bs, cache);
  bs.options = { ...bs.options, ...common };
  bs.explicitOptions = { ...withoutOption(bs.explicitOptions, "read-only"), ...explicit };
  bs.unmap = unmapOf(bs.options);
  bs.detectZeroes = detectZeroesOf(bs.options);
}

/**
 * bdrv_open_inherit (block.c:3772): `bs` was opened by the options of `parent`, or by what its image names, and has none of its own: when
 * `parent` is reopened, it follows.
 */
export function bdrvOpenedFor(bs: BlockDriverState, parent: BlockDriverState): void {
  globalStateCode(SITE_COMMON);
  assert(!bs.closed, "the node is open");
  bdrvSetInheritsFrom(bs, parent, null);
  bs.explicitOptions = withoutOption(bs.explicitOptions, "read-only");
}

/** The part of bdrvSetCommonOptions that is about the host's cache. */
export function bdrvSetCache(bs: BlockDriverState, cache: CacheOptions): void {
  globalStateCode(SITE_COMMON);
  assert(!bs.closed, "the node is open");
  bs.options = { ...bs.options, ...cacheAsOptions(cache) };
  bs.noFlush = cache.noFlush;
}

/** What a reopen will compare with: all that is in force, and what of that was asked for. */
function rememberOptions(bs: BlockDriverState, options: OpenOptions): void {
  const named = { driver: bs.drv.formatName, "node-name": bs.nodeName, ...options.options };
  bs.options = { "read-only": bs.readOnly, ...named };
  bs.explicitOptions = options.readOnly === undefined ? named : bs.options;
  bs.unmap = unmapOf(bs.options);
}

/** How a filter is put into the graph. */
export interface InsertOptions extends Omit<OpenOptions, "children"> {
  /** Name of the edge between the filter and the node below it. */
  readonly childName?: string;
}

/**
 * bdrv_insert_node (block.c:5315): put a new filter of `drv` above `bs`: it filters `bs` and takes its parents. Returns the
 * filter with one reference, the caller's. Polls.
 */
export function* bdrvInsertNode(
  bs: BlockDriverState,
  drv: BlockDriver,
  nodeName: string,
  options: InsertOptions = {},
): Polls<BlockDriverState> {
  globalStateCode(SITE_INSERT);
  assert(drv.isFilter, "what is inserted is a filter");
  assert(!bs.closed, "the node below has a driver");
  const name = options.childName ?? (drv.filteredChildIsBacking === true ? "backing" : "file");
  const children = [{ name, role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs }];
  return yield* bdrvInsertNodeOpenedBy(bs, () =>
    bdrvOpenDriver(drv, nodeName, { ...options, children }),
  );
}

/**
 * bdrv_insert_node (block.c:5315) for a driver with a function of its own to open a node: `open` makes one above `bs`, whose reference
 * it takes over. Polls.
 */
export function* bdrvInsertNodeOpenedBy(
  bs: BlockDriverState,
  open: () => Polls<BlockDriverState>,
): Polls<BlockDriverState> {
  globalStateCode(SITE_INSERT);
  assert(!bs.closed, "the node below has a driver");
  return yield* graphOp(SITE_INSERT, function* (): Polls<BlockDriverState> {
    bdrvRef(bs);
    const opened = yield* settle(open);
    if (!opened.ok) throw prepended("Could not create node", opened.error);
    const filter = opened.value;
    const replaced = yield* settle(() =>
      withDrained([bs], SITE_INSERT, () => bdrvReplaceNode(bs, filter)),
    );
    if (replaced.ok) return filter;
    yield* bdrvUnref(filter);
    throw prepended("Could not replace node", replaced.error);
  });
}

/** C: error_prepend. */
function prepended(what: string, { errno, message }: BlockError): BlockError {
  return new BlockError(errno, `${what}: ${message}`);
}
