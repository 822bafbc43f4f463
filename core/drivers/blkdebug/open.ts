// Opening a blkdebug node: its rules, from a file and from its options, and limits that its file can live with.

import { blkNewWithBs, blkPreadv, blkUnref } from "../../backend/index.ts";
import { assert, EINVAL, EIO, strerror } from "../../base/index.ts";
import { edgeBs, fileOf } from "../../graph/access.ts";
import { BlockError, settle, unwrap } from "../../graph/block-error.ts";
import { type BlockLimits, NO_LIMITS } from "../../graph/block-limits.ts";
import type { BlockOptions } from "../../graph/block-options.ts";
import type { BlkdebugEvent } from "../../graph/debug-events.ts";
import { bdrvUnref } from "../../graph/node-life.ts";
import { bdrvOpenDriver } from "../../graph/open-node.ts";
import { BLK_PERM_CONSISTENT_READ } from "../../graph/permission-bits.ts";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BlockDriverState,
} from "../../graph/state.ts";
import { bdrvGetlength, qiovOf } from "../../io/index.ts";
import { site } from "../../probe/index.ts";
import { globalStateCode, hostAllocate, hostReveal, type Polls } from "../../sched/index.ts";
import { fileOpen } from "../file.ts";
import { CONFIG_BYTES_MAX, parseBlkdebugConfig } from "./config.ts";
import { blkdebugDriver } from "./driver.ts";
import { applyRules } from "./rules.ts";
import { type BlkdebugIoType, type BlkdebugRule, BlkdebugState } from "./state.ts";

const SITE_OPEN = site("blkdebug_open");
const SITE_CONFIG = site("read_config");

const INT_MAX = 0x7fff_ffff;
const SECTOR_BYTES = 512;

/** QAPI: BlkdebugInjectErrorOptions. */
export interface InjectErrorOptions {
  readonly event: BlkdebugEvent;
  readonly state?: number;
  readonly iotype?: BlkdebugIoType;
  readonly errno?: number;
  readonly sector?: number;
  readonly once?: boolean;
  readonly immediately?: boolean;
}

/** QAPI: BlkdebugSetStateOptions. */
export interface SetStateOptions {
  readonly event: BlkdebugEvent;
  readonly state?: number;
  readonly newState: number;
}

/** QAPI: BlockdevOptionsBlkdebug. */
export interface BlkdebugOptions {
  readonly nodeName: string;
  /** The node to be filtered; its reference is taken over. */
  readonly image: BlockDriverState;
  readonly readOnly?: boolean;
  /** Path of a configuration file. */
  readonly config?: string;
  readonly injectError?: readonly InjectErrorOptions[];
  readonly setState?: readonly SetStateOptions[];
  readonly align?: number;
  readonly maxTransfer?: number;
  readonly optWriteZero?: number;
  readonly maxWriteZero?: number;
  readonly optDiscard?: number;
  readonly maxDiscard?: number;
  /** BLK_PERM_*. */
  readonly takeChildPerms?: number;
  readonly unshareChildPerms?: number;
}

/** blkdebug_open (block/blkdebug.c:447): a node with one reference, the caller's. BlockError when refused. Polls. */
export function* blkdebugOpen(options: BlkdebugOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  const { image, nodeName, config, readOnly = false } = options;
  assert(!image.closed, "the image is open");
  const state = new BlkdebugState(options.takeChildPerms ?? 0, options.unshareChildPerms ?? 0);
  const ruled = yield* settle(function* (): Polls<void> {
    const fromFile = config === undefined ? [] : parseBlkdebugConfig(yield* readConfig(config));
    const all = [...fromFile, ...rulesOf(options)];
    // Those that inject errors come first, wherever they are from; and each goes in front of what is there.
    for (const action of ["inject-error", "set-state"])
      for (const rule of all) if (rule.action === action) state.rules.unshift(rule);
  });
  if (!ruled.ok) yield* bdrvUnref(image);
  unwrap(ruled);
  return yield* bdrvOpenDriver(blkdebugDriver, nodeName, {
    opaque: state,
    children: [{ name: "image", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: image }],
    readOnly,
    options: plainOptions(options),
    *drvOpen(bs): Polls<void> {
      setLimits(bs, options);
      applyRules(state, "none");
    },
  });
}

/** What a reopen compares with. Rules are not changed by one. */
function plainOptions({ config }: BlkdebugOptions): BlockOptions {
  return config === undefined ? {} : { config };
}

function rulesOf({ injectError = [], setState = [] }: BlkdebugOptions): BlkdebugRule[] {
  const inject = injectError.map((one): BlkdebugRule => {
    const { event, state = 0, iotype = null, errno = EIO, sector, once = false } = one;
    const offset = sector === undefined || sector === -1 ? null : sector * SECTOR_BYTES;
    const immediately = one.immediately ?? false;
    const action = "inject-error";
    return { action, event, state, ioType: iotype, errno, offset, once, immediately };
  });
  const set = setState.map(({ event, state = 0, newState }): BlkdebugRule => {
    return { action: "set-state", event, state, newState };
  });
  return [...inject, ...set];
}

/** blkdebug_refresh_limits (block/blkdebug.c:995), after blkdebug_open has found that the limits can be kept. BlockError. */
function setLimits(bs: BlockDriverState, options: BlkdebugOptions): void {
  const { align = 0, maxTransfer = 0, optWriteZero = 0, maxWriteZero = 0 } = options;
  const { optDiscard = 0, maxDiscard = 0 } = options;
  const file = fileOf(bs, SITE_OPEN);
  const below = file === null ? null : edgeBs(file, SITE_OPEN);
  assert(below !== null, "the image is attached");
  if (align !== 0 && (align < 0 || align >= INT_MAX || (align & (align - 1)) !== 0))
    refuse("align", align);
  const block = Math.max(align, below.requestAlignment);
  const check = (name: string, value: number, unit: number) => {
    if (value !== 0 && (value < 0 || value >= INT_MAX || value % unit !== 0)) refuse(name, value);
  };
  check("max-transfer", maxTransfer, block);
  check("opt-write-zero", optWriteZero, block);
  check("max-write-zero", maxWriteZero, Math.max(optWriteZero, block));
  check("opt-discard", optDiscard, block);
  check("max-discard", maxDiscard, Math.max(optDiscard, block));
  bs.requestAlignment = align === 0 ? below.requestAlignment : align;
  const limits: BlockLimits = {
    ...NO_LIMITS,
    maxTransfer,
    pwriteZeroesAlignment: optWriteZero,
    maxPwriteZeroes: maxWriteZero,
    pdiscardAlignment: optDiscard,
    maxPdiscard: maxDiscard,
  };
  bs.limits = limits;
}

function refuse(name: string, value: number): never {
  throw new BlockError(EINVAL, `Cannot meet constraints with ${name} ${value}`);
}

/** The text of the configuration file at `path`. BlockError. Polls. */
function* readConfig(path: string): Polls<string> {
  const opened = yield* settle(() => fileOpen({ nodeName: "", path, readOnly: true }));
  const refused = (errno: number): BlockError =>
    new BlockError(errno, `Could not read blkdebug config file: ${strerror(errno)}`);
  if (!opened.ok) throw refused(opened.error.errno);
  const length = bdrvGetlength(opened.value);
  const bytes = Math.min(Math.max(length, 0), CONFIG_BYTES_MAX);
  const blk = yield* blkNewWithBs(opened.value, { perm: BLK_PERM_CONSISTENT_READ });
  const buffer = hostAllocate(bytes);
  const ret = length < 0 ? length : yield* blkPreadv(blk, 0, bytes, qiovOf(buffer));
  yield* blkUnref(blk);
  yield* bdrvUnref(opened.value);
  if (ret < 0) throw refused(-ret);
  // The length is in whole sectors: behind the end of the file there are zeroes.
  const text = new TextDecoder().decode(hostReveal(SITE_CONFIG, buffer, 0, bytes));
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}
