// `copy-before-write`: a filter that copies what is about to be overwritten to `target`, so that the contents of its `file` at the time
// when it was opened can be read on: by way of the functions for snapshots, which `snapshot-access` makes a node of.
//
//     guest               backup
//       |                   |
//       |           snapshot-access
//       |                   |
//     copy-before-write ----+
//       |            \
//     file           target     clusters that were written to since are read from the target, all others from the file
//
// A write waits until the clusters that it touches are copied, and until nobody reads them from the file. A read of a snapshot
// holds writes up for as long as it takes, by its request among the frozen ones.

import { assert, EACCES, type SiteId, strerror } from "../base/index.ts";
import {
  type BdrvDirtyBitmap,
  bdrvCreateDirtyBitmap,
  bdrvDisableDirtyBitmap,
  bdrvReleaseDirtyBitmap,
  withDirtyBitmapsLock,
} from "../bitmaps/index.ts";
import { childrenOf, fileOf, parentsOf } from "../graph/access.ts";
import { BlockError } from "../graph/block-error.ts";
import { bdrvFilterOrCowBs } from "../graph/chain.ts";
import { bdrvDefaultPerms } from "../graph/default-perms.ts";
import { BDRV_BLOCK_ALLOCATED, type BlockStatus } from "../graph/driver-results.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import {
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  type Permissions,
} from "../graph/permission-bits.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  BDRV_REQ_WRITE_UNCHANGED,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type Qiov,
  type WritableAfterReopen,
} from "../graph/state.ts";
import { bdrvCoCommonBlockStatusAbove } from "../io/block-status.ts";
import { bdrvCoPdiscard } from "../io/discard.ts";
import { bdrvCoFlush } from "../io/flush.ts";
import { qiovAfter } from "../io/guest-copy.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { alignDown, alignUp } from "../io/limits.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwriteZeroes } from "../io/write-zeroes.ts";
import { site } from "../probe/index.ts";
import {
  type Co,
  CoMutex,
  globalStateCode,
  modelAssert,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
} from "../sched/index.ts";
import {
  type BlockCopyState,
  blockCopy,
  blockCopyReset,
  blockCopyStateFree,
  blockCopyStateNew,
  markClean,
  markDirty,
} from "./block-copy/block-copy.ts";
import {
  type BlockReq,
  BlockReqList,
  reqlistInitReq,
  reqlistRemoveReq,
  reqlistWaitAll,
} from "./block-copy/reqlist.ts";

const SITE_OPEN = site("cbw_open");
const SITE_READ = site("cbw_co_preadv");
const SITE_WRITE = site("cbw_co_pwritev");
const SITE_ZEROES = site("cbw_co_pwrite_zeroes");
const SITE_DISCARD = site("cbw_co_pdiscard");
const SITE_FLUSH = site("cbw_co_flush");
const SITE_PERM = site("cbw_child_perm");
const SITE_LOCK = site("cbw_snapshot_read_lock");
const SITE_STATUS = site("cbw_co_snapshot_block_status");

const SECOND_NS = 1_000_000_000;

/** What becomes of a write whose old contents cannot be copied (QAPI: OnCbwError). */
export type OnCbwError = "break-guest-write" | "break-snapshot";

/** QAPI: BlockdevOptionsCbw; the references to both nodes are the caller's to give. */
export interface CbwOptions {
  readonly nodeName: string;
  readonly file: BlockDriverState;
  readonly target: BlockDriverState;
  readonly readOnly?: boolean;
  /** Only what is dirty there, when the node is opened, can be read later; a BlockError refuses. */
  readonly bitmap?: () => BdrvDirtyBitmap;
  /** Default: break-guest-write. */
  readonly onCbwError?: OnCbwError;
  /** Seconds for copying what one write needs; 0 for no limit. */
  readonly cbwTimeout?: number;
}

/** C: BDRVCopyBeforeWriteState. */
class CbwState {
  readonly onCbwError: OnCbwError;
  readonly timeoutNs: number;
  /** What there is once the node is open. */
  copying: Copying | null = null;
  /** Protects the bitmaps of `copying` and what follows. */
  readonly lock = new CoMutex();
  /** Ranges that are being read from the file: no guest's write goes there meanwhile. */
  readonly frozenReads = new BlockReqList();
  /** Not 0: the snapshot is broken, and this negated errno says why. */
  snapshotError = 0;

  constructor(onCbwError: OnCbwError, timeoutNs: number) {
    this.onCbwError = onCbwError;
    this.timeoutNs = timeoutNs;
  }
}

interface Copying {
  readonly target: BdrvChild;
  readonly bcs: BlockCopyState;
  /** What may be read of the snapshot. */
  readonly accessBitmap: BdrvDirtyBitmap;
  /** What is in the target. */
  readonly doneBitmap: BdrvDirtyBitmap;
}

/** C: bdrv_cbw_filter. */
export const copyBeforeWriteDriver: BlockDriver = {
  formatName: "copy-before-write",
  isFilter: true,
  childPerm: cbwChildPerm,
  drvClose: cbwClose,
  coPreadv: (bs, offset, bytes, qiov, flags) =>
    bdrvCoPreadv(file(bs, SITE_READ), offset, bytes, qiov, flags),
  coPwritev: (bs, offset, bytes, qiov, flags) =>
    afterCopying(bs, offset, bytes, flags, () =>
      bdrvCoPwritev(file(bs, SITE_WRITE), offset, bytes, qiov, flags),
    ),
  coPwriteZeroes: (bs, offset, bytes, flags) =>
    afterCopying(bs, offset, bytes, flags, () =>
      bdrvCoPwriteZeroes(file(bs, SITE_ZEROES), offset, bytes, flags),
    ),
  coPdiscard: (bs, offset, bytes) =>
    afterCopying(bs, offset, bytes, 0, () => bdrvCoPdiscard(file(bs, SITE_DISCARD), offset, bytes)),
  coFlush: cbwCoFlush,
  coPreadvSnapshot: cbwCoPreadvSnapshot,
  coSnapshotBlockStatus: cbwCoSnapshotBlockStatus,
  coPdiscardSnapshot: cbwCoPdiscardSnapshot,
};

/**
 * cbw_open (block/copy-before-write.c:390): BlockError when refused; both references are taken over. Polls. Differs from QEMU: a time
 * limit of more than four seconds is what it says, where QEMU 7.2 keeps its nanoseconds in 32 bits.
 */
export function* copyBeforeWriteOpen(options: CbwOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  const { nodeName, file: fileBs, target, readOnly = false, cbwTimeout = 0 } = options;
  assert(cbwTimeout >= 0, "a time limit is not negative");
  const state = new CbwState(options.onCbwError ?? "break-guest-write", cbwTimeout * SECOND_NS);
  return yield* bdrvOpenDriver(copyBeforeWriteDriver, nodeName, {
    opaque: state,
    readOnly,
    children: [
      { name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: fileBs },
      { name: "target", role: BDRV_CHILD_DATA, bs: target },
    ],
    *drvOpen(bs): Polls<void> {
      const bitmap = options.bitmap?.() ?? null;
      state.copying = yield* startCopying(bs, bitmap);
    },
  });
}

function* startCopying(bs: BlockDriverState, bitmap: BdrvDirtyBitmap | null): Polls<Copying> {
  const children = childrenOf(bs, SITE_OPEN).snapshot();
  const target = children.find(({ name }) => name === "target");
  modelAssert(target !== undefined, "s->target", SITE_OPEN);
  const length = bdrvGetlength(nodeBehind(file(bs, SITE_OPEN), SITE_OPEN));
  if (length < 0)
    throw new BlockError(-length, `could not get length of device: ${strerror(-length)}`);
  bs.totalBytes = length;
  const bcs = newBlockCopy(bs, target, bitmap);
  const [doneBitmap, accessBitmap] = [newBitmap(bs, bcs), newBitmap(bs, bcs)];
  withDirtyBitmapsLock(bs, () => accessBitmap.bitmap.merge(bcs.copyBitmap.bitmap));
  return { target, bcs, accessBitmap, doneBitmap };
}

function newBlockCopy(
  bs: BlockDriverState,
  target: BdrvChild,
  bitmap: BdrvDirtyBitmap | null,
): BlockCopyState {
  try {
    return blockCopyStateNew(bs, file(bs, SITE_OPEN), target, bitmap);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new BlockError(error.errno, `Cannot create block-copy-state: ${error.message}`);
  }
}

function newBitmap(bs: BlockDriverState, { clusterBytes }: BlockCopyState): BdrvDirtyBitmap {
  const bitmap = bdrvCreateDirtyBitmap(bs, clusterBytes, null);
  bdrvDisableDirtyBitmap(bitmap);
  return bitmap;
}

/** cbw_close (block/copy-before-write.c:472). The node is drained, copies that took too long are over. */
function cbwClose(bs: BlockDriverState): undefined {
  const state = stateOf(bs);
  const { copying } = state;
  if (copying === null) return;
  state.copying = null;
  bdrvReleaseDirtyBitmap(copying.accessBitmap);
  bdrvReleaseDirtyBitmap(copying.doneBitmap);
  blockCopyStateFree(copying.bcs);
}

/**
 * cbw_child_perm (block/copy-before-write.c:335): the target is written to, and others may, since a guest's disk may have it as its
 * backing file; of the file nobody changes anything behind the filter's back.
 */
function cbwChildPerm(
  bs: BlockDriverState,
  child: BdrvChild | null,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  if ((role & BDRV_CHILD_FILTERED) === 0)
    return { perm: BLK_PERM_WRITE, sharedPerm: BLK_PERM_ALL & ~BLK_PERM_RESIZE };
  const { perm, sharedPerm } = bdrvDefaultPerms(bs, child, role, reopen, parent);
  if (parentsOf(bs, SITE_PERM).first === null) return { perm, sharedPerm };
  const reading = (parent.perm & BLK_PERM_WRITE) === 0 ? 0 : BLK_PERM_CONSISTENT_READ;
  return { perm: perm | reading, sharedPerm: sharedPerm & ~(BLK_PERM_WRITE | BLK_PERM_RESIZE) };
}

/** A request that changes a range, once what it overwrites is in the target. */
function* afterCopying(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  flags: number,
  request: () => Co<number>,
): Co<number> {
  const ret = yield* cbwDoCopyBeforeWrite(bs, offset, bytes, flags);
  return ret < 0 ? ret : yield* request();
}

/** cbw_do_copy_before_write (block/copy-before-write.c:132): 0 when the guest may write, else a negated errno. */
function* cbwDoCopyBeforeWrite(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  const state = stateOf(bs);
  if ((flags & BDRV_REQ_WRITE_UNCHANGED) !== 0 || state.snapshotError !== 0) return 0;
  const { bcs, doneBitmap } = copyingOf(bs);
  const start = alignDown(offset, bcs.clusterBytes);
  const length = alignUp(offset + bytes, bcs.clusterBytes) - start;
  if (length === 0) return 0;
  const terms = { timeoutNs: state.timeoutNs, inFlightAt: bs };
  const ret = yield* blockCopy(bcs, start, length, terms);
  if (ret < 0 && state.onCbwError === "break-guest-write") return ret;
  yield* qemuCoMutexLock(state.lock);
  if (ret >= 0) markDirty(doneBitmap, start, length);
  else if (state.snapshotError === 0) state.snapshotError = ret;
  yield* reqlistWaitAll(state.frozenReads, start, length, state.lock);
  qemuCoMutexUnlock(state.lock);
  return 0;
}

/** cbw_co_flush (block/copy-before-write.c:197): a filter that was dropped is flushed once more when it is closed. */
function* cbwCoFlush(bs: BlockDriverState): Co<number> {
  const child = fileOf(bs, SITE_FLUSH);
  return child === null ? 0 : yield* bdrvCoFlush(nodeBehind(child, SITE_FLUSH));
}

/** Where the start of a range of the snapshot can be read from now; `req` holds up writes there until it is unlocked. */
interface ReadLock {
  readonly child: BdrvChild;
  readonly bytes: number;
  readonly req: BlockReq | null;
}

/** cbw_snapshot_read_lock (block/copy-before-write.c:211): null where the snapshot cannot be read. */
function* cbwSnapshotReadLock(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): Co<ReadLock | null> {
  const state = stateOf(bs);
  const copying = copyingOf(bs);
  yield* qemuCoMutexLock(state.lock);
  const lock = readLock(bs, state, copying, offset, bytes);
  qemuCoMutexUnlock(state.lock);
  return lock;
}

function readLock(
  bs: BlockDriverState,
  { snapshotError, frozenReads }: CbwState,
  { accessBitmap, doneBitmap, target }: Copying,
  offset: number,
  bytes: number,
): ReadLock | null {
  const end = offset + bytes;
  if (snapshotError !== 0 || accessBitmap.bitmap.nextZero(offset, end) >= 0) return null;
  const done = doneBitmap.bitmap;
  const isDone = offset < done.size && done.get(offset);
  const changes = isDone ? done.nextZero(offset, end) : done.nextDirty(offset, end);
  const length = changes < 0 ? bytes : changes - offset;
  if (isDone) return { child: target, bytes: length, req: null };
  const req = reqlistInitReq(frozenReads, offset, length);
  return { child: file(bs, SITE_LOCK), bytes: length, req };
}

/** cbw_snapshot_read_unlock (block/copy-before-write.c:253). */
function* cbwSnapshotReadUnlock(bs: BlockDriverState, { req }: ReadLock): Co<void> {
  if (req === null) return;
  const { lock, frozenReads } = stateOf(bs);
  yield* qemuCoMutexLock(lock);
  reqlistRemoveReq(frozenReads, req);
  qemuCoMutexUnlock(lock);
}

/** cbw_co_preadv_snapshot (block/copy-before-write.c:269). */
function* cbwCoPreadvSnapshot(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  for (let done = 0; done < bytes; ) {
    const lock = yield* cbwSnapshotReadLock(bs, offset + done, bytes - done);
    if (lock === null) return -EACCES;
    const ret = yield* bdrvCoPreadv(
      lock.child,
      offset + done,
      lock.bytes,
      qiovAfter(qiov, done),
      0,
    );
    yield* cbwSnapshotReadUnlock(bs, lock);
    if (ret < 0) return ret;
    done += lock.bytes;
  }
  return 0;
}

/** cbw_co_snapshot_block_status (block/copy-before-write.c:299). */
function* cbwCoSnapshotBlockStatus(
  bs: BlockDriverState,
  wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  const lock = yield* cbwSnapshotReadLock(bs, offset, bytes);
  if (lock === null) return { ret: -EACCES, pnum: 0, map: 0, file: null };
  const node = nodeBehind(lock.child, SITE_STATUS);
  const layer = { base: bdrvFilterOrCowBs(node), includeBase: false };
  const range = { wantZero, offset, bytes: lock.bytes };
  const { ret, pnum, map, file: at } = yield* bdrvCoCommonBlockStatusAbove(node, layer, range);
  // What was copied is there: nobody may look for it below the filter.
  if (lock.req === null && ret >= 0)
    modelAssert((ret & BDRV_BLOCK_ALLOCATED) !== 0, "ret & BDRV_BLOCK_ALLOCATED", SITE_STATUS);
  yield* cbwSnapshotReadUnlock(bs, lock);
  return { ret, pnum, map, file: at };
}

/**
 * cbw_co_pdiscard_snapshot (block/copy-before-write.c:329): it is not readable any more, and need not be copied. Differs from QEMU 7.2: of
 * clusters that are covered in part nothing is given up, where QEMU ends at an assertion.
 */
function* cbwCoPdiscardSnapshot(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  const { bcs, accessBitmap, target } = copyingOf(bs);
  const { lock } = stateOf(bs);
  const start = alignUp(offset, bcs.clusterBytes);
  const isToEnd = offset + bytes >= bcs.bytes;
  const end = isToEnd ? bcs.bytes : alignDown(offset + bytes, bcs.clusterBytes);
  if (end <= start) return 0;
  yield* qemuCoMutexLock(lock);
  markClean(accessBitmap, start, end - start);
  qemuCoMutexUnlock(lock);
  yield* blockCopyReset(bcs, start, end - start);
  return yield* bdrvCoPdiscard(target, start, end - start);
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}

function stateOf(bs: BlockDriverState): CbwState {
  assert(bs.opaque instanceof CbwState, "the node copies before it writes");
  return bs.opaque;
}

function copyingOf(bs: BlockDriverState): Copying {
  const { copying } = stateOf(bs);
  assert(copying !== null, "an open node has what it copies with");
  return copying;
}
