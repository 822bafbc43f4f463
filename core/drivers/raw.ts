// `raw`: the format that is none. It passes requests on to its `file` child, whose length it asks for each time.
//
// With an `offset` or a `size` it is a window on its file: then it is no longer as good as a filter, and nothing gets out of it.

import { assert, EINVAL, ENOSPC, ENOTSUP, type SiteId, strerror } from "../base/index.ts";
import { edgeListens, fileOf } from "../graph/access.ts";
import { BlockError, settle } from "../graph/block-error.ts";
import { type ReopenState, withoutOption } from "../graph/block-options.ts";
import type { BlkdebugEvent } from "../graph/debug-events.ts";
import { bdrvDefaultPerms } from "../graph/default-perms.ts";
import {
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_RAW,
  type BlockStatus,
} from "../graph/driver-results.ts";
import { bdrvUnref } from "../graph/node-life.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import { BLK_PERM_RESIZE, BLK_PERM_WRITE, type Permissions } from "../graph/permission-bits.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type WritableAfterReopen,
} from "../graph/state.ts";
import type { Truncation } from "../graph/truncation.ts";
import { bdrvCoCopyRangeFrom, bdrvCoCopyRangeTo } from "../io/copy-range.ts";
import { blkdbgEvent } from "../io/debug-event.ts";
import { bdrvCoPdiscard } from "../io/discard.ts";
import { bdrvGetInfo } from "../io/info.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { BDRV_LENGTH_MAX, BDRV_SECTOR_SIZE } from "../io/limits.ts";
import { bdrvNowIsData, bdrvNowPreadv, bdrvNowPwritev } from "../io/now.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoTruncate } from "../io/truncate.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwriteZeroes } from "../io/write-zeroes.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, modelAssert, type Polls, settled } from "../sched/index.ts";

const SITE_READ = site("raw_co_preadv");
const SITE_WRITE = site("raw_co_pwritev");
const SITE_ZEROES = site("raw_co_pwrite_zeroes");
const SITE_DISCARD = site("raw_co_pdiscard");
const SITE_COPY_FROM = site("raw_co_copy_range_from");
const SITE_COPY_TO = site("raw_co_copy_range_to");
const SITE_STATUS = site("raw_co_block_status");
const SITE_TRUNCATE = site("raw_co_truncate");
const SITE_LENGTH = site("raw_getlength");
const SITE_INFO = site("raw_get_info");
const SITE_RAW_OPEN = site("raw_open");

/** How a raw node is opened, beside its file. */
export interface RawOptions {
  /** Bytes of the file before the disk; default 0. */
  readonly offset?: number;
  /** Bytes of the disk; default all that the file has behind the offset. */
  readonly size?: number;
}

/** C: BDRVRawState. A node without options has none, and its requests are passed on as they are. */
class RawWindow {
  readonly offset: number;
  /** How long it may be, in bytes; null when the file says. */
  readonly size: number | null;

  constructor({ offset = 0, size }: RawOptions) {
    this.offset = offset;
    this.size = size ?? null;
  }
}

/** C: bdrv_raw. */
export const rawDriver: BlockDriver = {
  formatName: "raw",
  childPerm: rawChildPerm,
  isFilter: false,
  hasVariableLength: true,
  mutableOptions: ["offset", "size"],
  coPreadv: (bs, offset, bytes, qiov, flags) => {
    const child = file(bs, SITE_READ);
    const at = adjusted(bs, offset, bytes, false);
    if (at < 0) return settled(at);
    const read = (): Co<number> => bdrvCoPreadv(child, at, bytes, qiov, flags);
    return edgeListens(child) ? announced(child, "read_aio", read) : read();
  },
  nowPreadv: (bs, offset, bytes, qiov) => {
    const at = adjusted(bs, offset, bytes, false);
    const below = bs.rawFile?.rawBs ?? null;
    return at < 0 || below === null ? null : bdrvNowPreadv(below, at, bytes, qiov);
  },
  nowPwritev: (bs, offset, bytes, qiov) => {
    const at = adjusted(bs, offset, bytes, true);
    return at < 0 || bs.rawFile === null ? null : bdrvNowPwritev(bs.rawFile, at, bytes, qiov);
  },
  nowIsData: (bs, offset, bytes) => {
    const below = bs.rawFile?.rawBs ?? null;
    return below !== null && bdrvNowIsData(below, offset + (windowOf(bs)?.offset ?? 0), bytes);
  },
  coPwritev: (bs, offset, bytes, qiov, flags) => {
    const child = file(bs, SITE_WRITE);
    const at = adjusted(bs, offset, bytes, true);
    if (at < 0) return settled(at);
    const write = (): Co<number> => bdrvCoPwritev(child, at, bytes, qiov, flags);
    return edgeListens(child) ? announced(child, "write_aio", write) : write();
  },
  coPwriteZeroes: (bs, offset, bytes, flags) => {
    const at = adjusted(bs, offset, bytes, true);
    return at < 0 ? settled(at) : bdrvCoPwriteZeroes(file(bs, SITE_ZEROES), at, bytes, flags);
  },
  coPdiscard: (bs, offset, bytes) => {
    const at = adjusted(bs, offset, bytes, true);
    return at < 0 ? settled(at) : bdrvCoPdiscard(file(bs, SITE_DISCARD), at, bytes);
  },
  coCopyRangeFrom: (bs, range) => {
    const srcOffset = adjusted(bs, range.srcOffset, range.bytes, false);
    if (srcOffset < 0) return settled(srcOffset);
    return bdrvCoCopyRangeFrom({ ...range, src: file(bs, SITE_COPY_FROM), srcOffset });
  },
  coCopyRangeTo: (bs, range) => {
    const dstOffset = adjusted(bs, range.dstOffset, range.bytes, true);
    if (dstOffset < 0) return settled(dstOffset);
    return bdrvCoCopyRangeTo({ ...range, dst: file(bs, SITE_COPY_TO), dstOffset });
  },
  coBlockStatus: rawCoBlockStatus,
  coTruncate: rawCoTruncate,
  getlength: rawGetlength,
  getInfo: (bs) => bdrvGetInfo(nodeBehind(file(bs, SITE_INFO), SITE_INFO)),
  reopenPrepare: rawReopenPrepare,
  reopenCommit: ({ bs, opaque }) => {
    bs.opaque = opaque;
    return undefined;
  },
};

/** raw_adjust_offset (block/raw-format.c:182): where a request is in the file, or a negated errno when it would leave the window. */
function adjusted(bs: BlockDriverState, offset: number, bytes: number, isWrite: boolean): number {
  const window = windowOf(bs);
  if (window === null) return offset;
  if (window.size !== null && offset + bytes > window.size) return isWrite ? -ENOSPC : -EINVAL;
  return offset + window.offset > BDRV_LENGTH_MAX ? -EINVAL : offset + window.offset;
}

function windowOf({ opaque }: BlockDriverState): RawWindow | null {
  assert(opaque === null || opaque instanceof RawWindow, "the node is a raw node");
  return opaque;
}

/** A request of which the file is told first. */
function* announced(child: BdrvChild, event: BlkdebugEvent, go: () => Co<number>): Co<number> {
  yield* blkdbgEvent(child, event);
  return yield* go();
}

/**
 * bdrv_open with the driver `raw` above the node `fileBs`, whose reference it takes over. BlockError when the file is too short for
 * `options`. Polls.
 */
export function* rawOpen(
  nodeName: string,
  fileBs: BlockDriverState,
  readOnly = false,
  options: RawOptions = {},
): Polls<BlockDriverState> {
  globalStateCode(SITE_RAW_OPEN);
  assert(!fileBs.closed, "the file is open");
  const found = yield* settle(function* (): Polls<RawWindow | null> {
    return windowFor(options);
  });
  if (!found.ok) {
    yield* bdrvUnref(fileBs);
    throw found.error;
  }
  const window = found.value;
  // Without a window it is as good as a filter, although it is a format.
  const role = (window === null ? BDRV_CHILD_FILTERED : BDRV_CHILD_DATA) | BDRV_CHILD_PRIMARY;
  return yield* bdrvOpenDriver(rawDriver, nodeName, {
    children: [{ name: "file", role, bs: fileBs }],
    opaque: window,
    options: { ...options },
    readOnly,
    drvOpen: function* (bs): Polls<void> {
      checkWindow(bs, window);
    },
  });
}

function windowFor(options: RawOptions): RawWindow | null {
  const { offset = 0, size } = options;
  for (const [name, value] of Object.entries({ offset, size: size ?? 0 }))
    if (value < 0)
      throw new BlockError(EINVAL, `Parameter '${name}' expects a non-negative number below 2^64`);
  return offset === 0 && size === undefined ? null : new RawWindow(options);
}

/** raw_apply_options (block/raw-format.c:97): BlockError when the file of `bs` is too short for the window. */
function checkWindow(bs: BlockDriverState, window: RawWindow | null): void {
  const real = bdrvGetlength(nodeBehind(file(bs, SITE_RAW_OPEN), SITE_RAW_OPEN));
  if (real < 0) throw new BlockError(-real, `Could not get image size: ${strerror(-real)}`);
  if (window === null) return;
  const { offset, size } = window;
  const refuse = (message: string): never => {
    throw new BlockError(EINVAL, message);
  };
  if (offset > real)
    refuse(`Offset (${offset}) cannot be greater than size of the containing file (${real})`);
  if (size === null) return;
  if (real - offset < size)
    refuse(
      `The sum of offset (${offset}) and size (${size}) has to be smaller or equal to the  actual size of the containing file (${real})`,
    );
  if (size % BDRV_SECTOR_SIZE !== 0)
    refuse(`Specified size is not multiple of ${BDRV_SECTOR_SIZE}`);
}

/** raw_reopen_prepare (block/raw-format.c:137): another window on the file that is there. */
function rawReopenPrepare(state: ReopenState): undefined {
  const { offset, size } = state.options;
  const window = windowFor({
    ...(offset === undefined ? {} : { offset: Number(offset) }),
    ...(size === undefined ? {} : { size: Number(size) }),
  });
  checkWindow(state.bs, window);
  state.remaining = withoutOption(withoutOption(state.remaining, "offset"), "size");
  state.opaque = window;
}

/** raw_co_block_status (block/raw-format.c:281): the file knows. */
function rawCoBlockStatus(
  bs: BlockDriverState,
  _wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  const below = nodeBehind(file(bs, SITE_STATUS), SITE_STATUS);
  const ret = BDRV_BLOCK_RAW | BDRV_BLOCK_OFFSET_VALID;
  const map = offset + (windowOf(bs)?.offset ?? 0);
  return settled({ ret, pnum: bytes, map, file: below });
}

/** raw_co_truncate (block/raw-format.c:382). */
function rawCoTruncate(bs: BlockDriverState, offset: number, how: Truncation): Co<number> {
  const window = windowOf(bs);
  const start = window?.offset ?? 0;
  const child = file(bs, SITE_TRUNCATE);
  if (window !== null && window.size !== null) {
    how.errorSetg("Cannot resize fixed-size raw disks");
    return settled(-ENOTSUP);
  }
  if (offset + start > BDRV_LENGTH_MAX) {
    how.errorSetg("Disk size too large for the chosen offset");
    return settled(-EINVAL);
  }
  return bdrvCoTruncate(child, offset + start, how);
}

/** raw_getlength (block/raw-format.c:317): what of the window there is in the file. */
function rawGetlength(bs: BlockDriverState): number {
  const length = bdrvGetlength(nodeBehind(file(bs, SITE_LENGTH), SITE_LENGTH));
  const window = windowOf(bs);
  if (window === null || length < 0) return length;
  const left = Math.max(0, length - window.offset);
  return window.size === null ? left : Math.min(window.size, left);
}

/** raw_child_perm (block/raw-format.c:587): WRITE and RESIZE only when a parent asks; there is no metadata to write. */
function rawChildPerm(
  bs: BlockDriverState,
  child: BdrvChild | null,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  const { perm, sharedPerm } = bdrvDefaultPerms(bs, child, role, reopen, parent);
  const writing = BLK_PERM_WRITE | BLK_PERM_RESIZE;
  return { perm: (perm & ~writing) | (parent.perm & writing), sharedPerm };
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}
