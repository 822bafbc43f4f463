// `preallocate`: a filter for files that grow. A write behind the end of the file makes the file longer by much more than it
// needs, so that the next ones find room; what was not used is cut off when nobody may write and resize any more.
//
// Three ends are kept, and a negative number means that one is not known:
//
//     0 ........ data ........ dataEnd ........ preallocated zeroes ........ fileEnd
//                                  zeroStart ^ (or before dataEnd, after zeroes that were written there)
//
// Invariant: all three are unknown while the filter does not have WRITE and RESIZE of its file for itself, since then others
// may change the file. So losing them is what cuts the file (checkPerm, with the permissions still there), and getting them
// asks for the length (setPerm). A drained section alone changes nothing, as in QEMU 7.2.

import { assert, EINVAL, type SiteId } from "../base/index.ts";
import { fileOf } from "../graph/access.ts";
import { BlockError } from "../graph/block-error.ts";
import { type BlockOptions, type ReopenState, withoutOption } from "../graph/block-options.ts";
import { bdrvDefaultPerms } from "../graph/default-perms.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import { BLK_PERM_RESIZE, BLK_PERM_WRITE, type Permissions } from "../graph/permission-bits.ts";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  BDRV_REQ_NO_FALLBACK,
  BDRV_REQ_NO_WAIT,
  BDRV_REQ_SERIALISING,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type WritableAfterReopen,
} from "../graph/state.ts";
import type { Truncation } from "../graph/truncation.ts";
import { bdrvTruncate } from "../io/index.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { alignUp, BDRV_SECTOR_SIZE } from "../io/limits.ts";
import { bdrvCoTruncate } from "../io/truncate.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwriteZeroes } from "../io/write-zeroes.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, modelAssert, type Polls } from "../sched/index.ts";
import { passThrough } from "./filter.ts";

const SITE_OPEN = site("preallocate_open");
const SITE_WRITE = site("preallocate_co_pwritev_part");
const SITE_ZEROES = site("preallocate_co_pwrite_zeroes");
const SITE_HANDLE_WRITE = site("preallocate_handle_write");
const SITE_TRUNCATE = site("preallocate_co_truncate");
const SITE_LENGTH = site("preallocate_getlength");
const SITE_PERM = site("preallocate_check_perm");
const SITE_CLOSE = site("preallocate_close");

const ALIGN_DEFAULT = 1024 * 1024;
const SIZE_DEFAULT = 128 * 1024 * 1024;
const WRITE_AND_RESIZE = BLK_PERM_WRITE | BLK_PERM_RESIZE;
const UNKNOWN = -EINVAL;

/** How much is allocated ahead (C: PreallocateOpts), with the options' own names. */
export interface PreallocateOptions {
  /** The file ends at multiples of this. */
  readonly "prealloc-align"?: number;
  readonly "prealloc-size"?: number;
}

/** C: BDRVPreallocateState. */
class PreallocateState {
  align = ALIGN_DEFAULT;
  size = SIZE_DEFAULT;
  dataEnd = UNKNOWN;
  zeroStart = UNKNOWN;
  fileEnd = UNKNOWN;
}

/** C: bdrv_preallocate_filter. */
export const preallocateDriver: BlockDriver = {
  formatName: "preallocate",
  ...passThrough(fileOf),
  *coPwritev(bs, offset, bytes, qiov, flags): Co<number> {
    yield* handleWrite(bs, offset, bytes, false);
    return yield* bdrvCoPwritev(file(bs, SITE_WRITE), offset, bytes, qiov, flags);
  },
  *coPwriteZeroes(bs, offset, bytes, flags): Co<number> {
    const mergeZero = (flags & ~BDRV_REQ_NO_FALLBACK) === 0;
    if (yield* handleWrite(bs, offset, bytes, mergeZero)) return 0;
    return yield* bdrvCoPwriteZeroes(file(bs, SITE_ZEROES), offset, bytes, flags);
  },
  coTruncate: preallocateCoTruncate,
  getlength: preallocateGetlength,
  childPerm: preallocateChildPerm,
  *checkPerm(bs, { perm }): Polls<void> {
    const keeps = canWriteResize(perm) || stateOf(bs).dataEnd < 0;
    if (keeps) return;
    const ret = yield* dropPreallocation(bs, SITE_PERM);
    if (ret < 0) throw new BlockError(-ret, "Failed to drop preallocation");
  },
  setPerm: preallocateSetPerm,
  *drvClose(bs): Polls<void> {
    // A node that was refused while it was opened may have no file; then it knows no ends either.
    if (stateOf(bs).dataEnd >= 0) yield* dropPreallocation(bs, SITE_CLOSE);
  },
  reopenPrepare: preallocateReopenPrepare,
  reopenCommit: ({ bs, opaque }) => {
    assert(opaque instanceof PreallocateState, "the options were staged");
    const state = stateOf(bs);
    state.align = opaque.align;
    state.size = opaque.size;
    return undefined;
  },
};

/** preallocate_open (block/preallocate.c:133): above `fileBs`, whose reference it takes over. BlockError. Polls. */
export function* preallocateOpen(
  nodeName: string,
  fileBs: BlockDriverState,
  options: PreallocateOptions = {},
  readOnly = false,
): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(!fileBs.closed, "the file is open");
  const state = new PreallocateState();
  return yield* bdrvOpenDriver(preallocateDriver, nodeName, {
    opaque: state,
    readOnly,
    children: [{ name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: fileBs }],
    requestAlignment: fileBs.requestAlignment,
    options: { ...options },
    *drvOpen(): Polls<void> {
      absorbOptions(state, { ...options }, fileBs);
    },
  });
}

/** preallocate_absorb_opts (block/preallocate.c:100). */
function absorbOptions(
  state: PreallocateState,
  options: BlockOptions,
  fileBs: BlockDriverState,
): void {
  const { "prealloc-align": align = ALIGN_DEFAULT, "prealloc-size": size = SIZE_DEFAULT } = options;
  state.align = sizeOption("prealloc-align", align);
  state.size = sizeOption("prealloc-size", size);
  const problem = "prealloc-align parameter of preallocate filter is not aligned to";
  if (state.align % BDRV_SECTOR_SIZE !== 0)
    throw new BlockError(EINVAL, `${problem} ${BDRV_SECTOR_SIZE}`);
  const { requestAlignment } = fileBs;
  if (state.align % requestAlignment === 0) return;
  const below = `underlying node request alignment (${requestAlignment})`;
  throw new BlockError(EINVAL, `${problem} ${below}`);
}

function sizeOption(name: string, value: BlockOptions[string]): number {
  if (typeof value === "number" && value >= 0) return value;
  const expected = "expects a non-negative number below 2^64";
  throw new BlockError(EINVAL, `Parameter '${name}' ${expected}`);
}

/**
 * handle_write (block/preallocate.c:271), before each write: allocate ahead when it ends behind the end of the file. Whether the
 * range is zeroes already, which is only looked at with `mergeZero`. That it could not allocate is no error: the write will say.
 */
function* handleWrite(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  mergeZero: boolean,
): Co<boolean> {
  const state = stateOf(bs);
  const end = offset + bytes;
  if (!hasPreallocPerms(bs)) return false;
  if (state.dataEnd < 0) {
    state.dataEnd = fileLength(bs, SITE_HANDLE_WRITE);
    if (state.dataEnd < 0) return false;
    if (state.fileEnd < 0) state.fileEnd = state.dataEnd;
  }
  if (end <= state.dataEnd) return false;
  state.dataEnd = end;
  if (state.zeroStart < 0 || !mergeZero) state.zeroStart = end;
  if (state.fileEnd < 0) state.fileEnd = fileLength(bs, SITE_HANDLE_WRITE);
  if (state.fileEnd < 0) return false;
  if (end <= state.fileEnd) return mergeZero && offset >= state.zeroStart;
  return yield* allocateAhead(bs, offset, end, mergeZero);
}

/**
 * One request of zeroes from the end of the file on, together with the zeroes that are to be written. It must not meet another
 * request there: two writes may both find the file too short, and the zeroes of the second would cover the data of the first.
 */
function* allocateAhead(
  bs: BlockDriverState,
  offset: number,
  end: number,
  mergeZero: boolean,
): Co<boolean> {
  const state = stateOf(bs);
  const child = file(bs, SITE_HANDLE_WRITE);
  const { requestAlignment } = nodeBehind(child, SITE_HANDLE_WRITE);
  const from = alignUp(
    mergeZero ? Math.min(offset, state.fileEnd) : state.fileEnd,
    requestAlignment,
  );
  const to = alignUp(Math.max(from, end) + state.size, Math.max(state.align, requestAlignment));
  const flags = BDRV_REQ_NO_FALLBACK | BDRV_REQ_SERIALISING | BDRV_REQ_NO_WAIT;
  const ret = yield* bdrvCoPwriteZeroes(child, from, to - from, flags);
  state.fileEnd = ret < 0 ? ret : to;
  return ret >= 0 && mergeZero && from <= offset;
}

/** preallocate_co_truncate (block/preallocate.c:373): a file that grows is cut first, so that the guest's zeroes are holes. */
function* preallocateCoTruncate(bs: BlockDriverState, offset: number, how: Truncation): Co<number> {
  const state = stateOf(bs);
  const child = file(bs, SITE_TRUNCATE);
  if (state.dataEnd >= 0 && offset > state.dataEnd) {
    if (state.fileEnd < 0) state.fileEnd = fileLength(bs, SITE_TRUNCATE);
    if (state.fileEnd < 0) {
      how.errorSetg("failed to get file length");
      return state.fileEnd;
    }
    // It has the room that is asked for.
    if (how.prealloc === "falloc" && offset <= state.fileEnd) {
      state.dataEnd = offset;
      return 0;
    }
    if (how.prealloc !== "falloc" && state.fileEnd > state.dataEnd) {
      const cut = yield* bdrvCoTruncate(child, state.dataEnd, {
        exact: true,
        prealloc: "off",
        errorSetg: (why) =>
          how.errorSetg(`preallocate-filter: failed to drop write-zero preallocation: ${why}`),
      });
      state.fileEnd = cut < 0 ? cut : state.dataEnd;
      if (cut < 0) return cut;
    }
    state.dataEnd = offset;
  }
  const ret = yield* bdrvCoTruncate(child, offset, how);
  if (ret < 0) setEnds(state, ret);
  else if (hasPreallocPerms(bs)) setEnds(state, offset);
  return Math.min(ret, 0);
}

/** preallocate_getlength (block/preallocate.c:444): parents do not see what is allocated ahead. */
function preallocateGetlength(bs: BlockDriverState): number {
  const state = stateOf(bs);
  if (state.dataEnd >= 0) return state.dataEnd;
  const length = fileLength(bs, SITE_LENGTH);
  if (hasPreallocPerms(bs)) setEnds(state, length);
  return length;
}

/** Cut off what is allocated ahead; the end of the data is known. 0 or a negated errno. Polls. */
function* dropPreallocation(bs: BlockDriverState, siteId: SiteId): Polls<number> {
  const state = stateOf(bs);
  assert(state.dataEnd >= 0, "the end of the data is known");
  if (state.fileEnd < 0) state.fileEnd = fileLength(bs, siteId);
  if (state.fileEnd < 0) return state.fileEnd;
  if (state.dataEnd >= state.fileEnd) return 0;
  const ret = yield* bdrvTruncate(file(bs, siteId), state.dataEnd);
  state.fileEnd = ret < 0 ? ret : state.dataEnd;
  return Math.min(ret, 0);
}

/** preallocate_set_perm (block/preallocate.c:496). */
function preallocateSetPerm(bs: BlockDriverState, { perm }: Permissions): undefined {
  const state = stateOf(bs);
  if (!canWriteResize(perm)) setEnds(state, UNKNOWN);
  else if (state.dataEnd < 0) setEnds(state, fileLength(bs, SITE_PERM));
}

/** preallocate_child_perm (block/preallocate.c:517): who may write and resize the file does so alone. */
function preallocateChildPerm(
  bs: BlockDriverState,
  child: BdrvChild | null,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  const { perm, sharedPerm } = bdrvDefaultPerms(bs, child, role, reopen, parent);
  if (!canWriteResize(parent.perm)) return { perm, sharedPerm };
  return { perm: perm | WRITE_AND_RESIZE, sharedPerm: sharedPerm & ~WRITE_AND_RESIZE };
}

/** preallocate_reopen_prepare (block/preallocate.c:196). The ends need no care: permissions change, or they do not. */
function preallocateReopenPrepare(state: ReopenState): undefined {
  const staged = new PreallocateState();
  absorbOptions(staged, state.options, nodeBehind(file(state.bs, SITE_OPEN), SITE_OPEN));
  for (const name of ["prealloc-align", "prealloc-size"])
    state.remaining = withoutOption(state.remaining, name);
  state.opaque = staged;
}

/** has_prealloc_perms (block/preallocate.c:247). */
function hasPreallocPerms(bs: BlockDriverState): boolean {
  const { perm, sharedPerm } = file(bs, SITE_PERM);
  const state = stateOf(bs);
  if (canWriteResize(perm)) {
    modelAssert((sharedPerm & BLK_PERM_WRITE) === 0, "!(bs->file->shared_perm & BLK_PERM_WRITE)");
    modelAssert((sharedPerm & BLK_PERM_RESIZE) === 0, "!(bs->file->shared_perm & BLK_PERM_RESIZE)");
    return true;
  }
  modelAssert(state.dataEnd < 0, "s->data_end < 0");
  modelAssert(state.zeroStart < 0, "s->zero_start < 0");
  modelAssert(state.fileEnd < 0, "s->file_end < 0");
  return false;
}

function canWriteResize(perm: number): boolean {
  return (perm & WRITE_AND_RESIZE) === WRITE_AND_RESIZE;
}

function setEnds(state: PreallocateState, end: number): void {
  state.dataEnd = end;
  state.zeroStart = end;
  state.fileEnd = end;
}

function fileLength(bs: BlockDriverState, siteId: SiteId): number {
  return bdrvGetlength(nodeBehind(file(bs, siteId), siteId));
}

function stateOf(bs: BlockDriverState): PreallocateState {
  assert(bs.opaque instanceof PreallocateState, "the node is a preallocate node");
  return bs.opaque;
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}
