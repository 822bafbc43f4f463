// Copying what is dirty in a bitmap from one child of a node to another (C: block/block-copy.c), cluster by cluster, each once.
//
//   blockCopy            a range: what is dirty in it is copied, and what others are copying is waited for
//     copyDirtyClusters  runs of dirty clusters, each a task; many tasks at a time when the range has many
//       runTask          one run: zeroes stay zeroes, all else is read and written, or copied by the drivers if that is wanted
//
// A cluster that is being copied is clean in the bitmap and has a request in the list; when copying fails it is dirty again, and
// whoever waited for it tries by itself. So an error that is returned is one of this call.
//
// Copying by the drivers begins small, goes on with larger pieces when that works, and is given up for good when it does not: then
// the piece at hand is read and written like all that follow.
//
// Not here: what only jobs use of it (progress, speed, skipping what is not allocated, compression).

import { assert, ECANCELED, ENOSPC, ETIMEDOUT } from "../../base/index.ts";
import {
  type BdrvDirtyBitmap,
  bdrvCreateDirtyBitmap,
  bdrvDisableDirtyBitmap,
  bdrvMergeDirtyBitmap,
  bdrvReleaseDirtyBitmap,
  withDirtyBitmapsLock,
} from "../../bitmaps/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import { bdrvBackingChainNext, bdrvChainContains } from "../../graph/chain.ts";
import { BDRV_BLOCK_ZERO } from "../../graph/driver-results.ts";
import { BDRV_REQ_SERIALISING, type BdrvChild, type BlockDriverState } from "../../graph/state.ts";
import { bdrvCoCommonBlockStatusAbove } from "../../io/block-status.ts";
import { bdrvCoCopyRange } from "../../io/copy-range.ts";
import { qiovOf } from "../../io/guest-copy.ts";
import { bdrvDecInFlight, bdrvIncInFlight } from "../../io/in-flight.ts";
import { bdrvGetInfo } from "../../io/info.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { alignDown, alignUp } from "../../io/limits.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { bdrvCoPwriteZeroes } from "../../io/write-zeroes.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  CoMutex,
  globalStateCode,
  hostAllocate,
  ioCode,
  modelAssert,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  qemuCoTimeout,
} from "../../sched/index.ts";
import {
  AioTaskPool,
  aioTaskPoolStartTask,
  aioTaskPoolWaitAll,
  aioTaskPoolWaitSlot,
  coGetFromShres,
  coPutToShres,
  SharedResource,
} from "../aio-task.ts";
import { driverEvent } from "../driver-events.ts";
import {
  type BlockReq,
  BlockReqList,
  reqlistFindConflict,
  reqlistInitReq,
  reqlistRemoveReq,
  reqlistShrinkReq,
  reqlistWaitOne,
} from "./reqlist.ts";

const SITE_NEW = site("block_copy_state_new");
const SITE_OPTS = site("block_copy_set_copy_opts");
const SITE_FREE = site("block_copy_state_free");
const SITE_CLUSTER = site("block_copy_calculate_cluster_size");
const SITE_COPY = site("block_copy");
const SITE_DIRTY = site("block_copy_dirty_clusters");
const SITE_STATUS = site("block_copy_block_status");
const SITE_DO_COPY = site("block_copy_do_copy");
const SITE_RESET = site("block_copy_reset");

const MIB = 1024 * 1024;
/** C: BLOCK_COPY_MAX_BUFFER, _MAX_COPY_RANGE, _MAX_MEM, _MAX_WORKERS, _CLUSTER_SIZE_DEFAULT. */
const BUFFER_BYTES_MAX = MIB;
const COPY_RANGE_BYTES_MAX = 16 * MIB;
const MEMORY_BYTES_MAX = 128 * MIB;
const WORKERS_MAX = 64;
const CLUSTER_BYTES_DEFAULT = 65_536;
const INT_MAX = 0x7fff_ffff;

/** C: BlockCopyMethod, for what is data. */
type BlockCopyMethod = "read-write-cluster" | "read-write" | "copy-range-small" | "copy-range-full";

/** How a task copies: what held for data when the task was made, or zeroes for what is zero. */
type TaskMethod = BlockCopyMethod | "write-zeroes";

/** C: BlockCopyState. The edges are the owner's, and so are the permissions on them. */
export class BlockCopyState {
  readonly source: BdrvChild;
  readonly target: BdrvChild;
  readonly clusterBytes: number;
  /** Bytes that both nodes take in one piece, in whole clusters; none, if that is less than one. */
  readonly maxTransfer: number;
  /** How data is copied from now on; under the lock. */
  method: BlockCopyMethod = "read-write";
  /** Length of the disk. */
  readonly bytes: number;
  readonly writeFlags: number;
  /** Protects what follows. */
  readonly lock = new CoMutex();
  readonly reqs = new BlockReqList();
  /** What is to be copied. */
  readonly copyBitmap: BdrvDirtyBitmap;
  readonly memory = new SharedResource(MEMORY_BYTES_MAX);

  constructor(source: BdrvChild, target: BdrvChild, copyBitmap: BdrvDirtyBitmap) {
    const from = nodeBehind(source, SITE_NEW);
    const to = nodeBehind(target, SITE_NEW);
    this.source = source;
    this.target = target;
    this.copyBitmap = copyBitmap;
    this.clusterBytes = copyBitmap.bitmap.granularity;
    this.bytes = copyBitmap.bitmap.size;
    // Somebody reads the source through the target: it must not see what the guest writes meanwhile.
    this.writeFlags = bdrvChainContains(to, from) ? BDRV_REQ_SERIALISING : 0;
    const limits = [from.limits.maxTransfer, to.limits.maxTransfer].filter((most) => most > 0);
    this.maxTransfer = alignDown(Math.min(INT_MAX, ...limits), this.clusterBytes);
  }
}

/** block_copy_chunk_size (block-copy.c:136): bytes of a task at most. */
function chunkBytesOf({ method, clusterBytes, maxTransfer }: BlockCopyState): number {
  if (method === "read-write-cluster") return clusterBytes;
  const most = method === "copy-range-full" ? COPY_RANGE_BYTES_MAX : BUFFER_BYTES_MAX;
  return Math.min(Math.max(clusterBytes, most), maxTransfer);
}

/** block_copy_set_copy_opts (block-copy.c:319): whether the drivers may copy by themselves. Nothing is under way. */
export function blockCopySetCopyOpts(state: BlockCopyState, useCopyRange: boolean): void {
  globalStateCode(SITE_OPTS);
  assert(state.reqs.reqs.size === 0, "nothing is being copied");
  // Copying by the drivers heeds no limit on transfers, so there is none where the limit is that low.
  if (state.maxTransfer < state.clusterBytes) state.method = "read-write-cluster";
  else state.method = useCopyRange ? "copy-range-small" : "read-write";
}

/**
 * block_copy_state_new (block-copy.c:390): copying from `source` to `target` of what is dirty in `bitmap`, or of everything.
 * BlockError when the bitmap cannot be used. Differs from QEMU: what is to be copied is in a bitmap of `owner`, which is as long as the
 * source; the node behind `source` may be exchanged, and QEMU ends at an assertion when it is deleted with such a bitmap.
 */
export function blockCopyStateNew(
  owner: BlockDriverState,
  source: BdrvChild,
  target: BdrvChild,
  bitmap: BdrvDirtyBitmap | null,
): BlockCopyState {
  globalStateCode(SITE_NEW);
  assert(source !== target, "a copy is made elsewhere");
  const cluster = clusterBytesFor(nodeBehind(target, SITE_NEW));
  const copyBitmap = bdrvCreateDirtyBitmap(owner, cluster, null);
  bdrvDisableDirtyBitmap(copyBitmap);
  try {
    if (bitmap !== null) bdrvMergeDirtyBitmap(copyBitmap, bitmap);
    else markDirty(copyBitmap, 0, copyBitmap.bitmap.size);
  } catch (error) {
    bdrvReleaseDirtyBitmap(copyBitmap);
    if (!(error instanceof BlockError)) throw error;
    const what = `Failed to merge bitmap '${bitmap?.name}' to internal copy-bitmap`;
    throw new BlockError(error.errno, `${what}: ${error.message}`);
  }
  const state = new BlockCopyState(source, target, copyBitmap);
  blockCopySetCopyOpts(state, false);
  return state;
}

/** block_copy_state_free (block-copy.c:230). Nothing is under way. */
export function blockCopyStateFree({ copyBitmap, reqs }: BlockCopyState): void {
  globalStateCode(SITE_FREE);
  assert(reqs.reqs.size === 0, "nothing is being copied");
  bdrvReleaseDirtyBitmap(copyBitmap);
}

/** block_copy_calculate_cluster_size (block-copy.c:347). */
function clusterBytesFor(target: BlockDriverState): number {
  ioCode(target.aioContext, SITE_CLUSTER);
  const info = bdrvGetInfo(target);
  if (info === null && bdrvBackingChainNext(target) === null)
    driverEvent({ event: "warn", line: UNKNOWN });
  return Math.max(CLUSTER_BYTES_DEFAULT, info?.clusterBytes ?? 0);
}

const UNKNOWN =
  "The target block device doesn't provide information about the block size and it doesn't have a backing file. The default block " +
  `size of ${CLUSTER_BYTES_DEFAULT} bytes is used. If the actual block size of the target exceeds this default, the backup may be unusable`;

/** One call: a range, and the first error of it. */
interface Call {
  readonly offset: number;
  readonly bytes: number;
  isCancelled: boolean;
  ret: number;
}

/** How long a copy may take in nanoseconds, 0 for as long as it takes; and who counts it in flight, to its very end. */
export interface BlockCopyTerms {
  readonly timeoutNs: number;
  readonly inFlightAt: BlockDriverState;
}

/**
 * block_copy (block-copy.c:877): what is dirty in a range of whole clusters is copied when it returns 0; else a negated errno, ETIMEDOUT when
 * the time is over: what is on its way then still arrives.
 */
export function* blockCopy(
  state: BlockCopyState,
  offset: number,
  bytes: number,
  { timeoutNs, inFlightAt }: BlockCopyTerms,
): Co<number> {
  ioCode(inFlightAt.aioContext, SITE_COPY);
  assert(bytes > 0, "there is something to copy");
  const call: Call = { offset, bytes, isCancelled: false, ret: 0 };
  const ended = yield* qemuCoTimeout(function* (): Co<void> {
    bdrvIncInFlight(inFlightAt);
    yield* copyCommon(state, call);
    bdrvDecInFlight(inFlightAt);
  }, timeoutNs);
  if (ended !== null) return call.ret;
  call.isCancelled = true;
  return -ETIMEDOUT;
}

/** block_copy_reset (block-copy.c:682): a range of whole clusters need not be copied any more. */
export function* blockCopyReset(state: BlockCopyState, offset: number, bytes: number): Co<void> {
  ioCode(null, SITE_RESET);
  assert(offset % state.clusterBytes === 0, "what is not copied is a cluster");
  yield* locked(state, () => markClean(state.copyBitmap, offset, bytes));
}

/** block_copy_common (block-copy.c:824): until nothing of the range is dirty or on its way. */
function* copyCommon(state: BlockCopyState, call: Call): Co<void> {
  let goesOn = true;
  while (goesOn && !call.isCancelled) {
    const found = yield* copyDirtyClusters(state, call);
    if (found < 0) return;
    // What was copied took time, in which others may have failed; and so may those that are waited for here.
    goesOn = found > 0 || (!call.isCancelled && (yield* waitForOthers(state, call)));
  }
}

/** Wait for one copy of another call in the range; false when there is none and the range is clean. */
function* waitForOthers({ lock, reqs, copyBitmap }: BlockCopyState, call: Call): Co<boolean> {
  const { offset, bytes } = call;
  yield* qemuCoMutexLock(lock);
  const waited = yield* reqlistWaitOne(reqs, offset, bytes, lock);
  const isDirty = copyBitmap.bitmap.nextDirty(offset, offset + bytes) >= 0;
  qemuCoMutexUnlock(lock);
  return waited || isDirty;
}

/** block_copy_dirty_clusters (block-copy.c:720): 1 when clusters were dirty and are copied, 0 when none was, or a negated errno. */
function* copyDirtyClusters(state: BlockCopyState, call: Call): Co<number> {
  const [source, target] = [
    nodeBehind(state.source, SITE_DIRTY),
    nodeBehind(state.target, SITE_DIRTY),
  ];
  const sameContext = source.aioContext === target.aioContext;
  modelAssert(
    sameContext,
    "bdrv_get_aio_context(s->source->bs) == bdrv_get_aio_context(s->target->bs)",
    SITE_DIRTY,
  );
  const end = call.offset + call.bytes;
  let pool: AioTaskPool | null = null;
  let found = 0;
  for (let at = call.offset; at < end && !call.isCancelled; ) {
    const req: BlockReq | null = yield* createTask(state, at, end - at);
    if (req === null) break;
    found = 1;
    const { method } = state;
    const status = yield* clusterStatus(state, req);
    if (status.bytes < req.bytes) yield* shrinkTask(state, req, status.bytes);
    yield* coGetFromShres(state.memory, req.bytes);
    at = req.offset + req.bytes;
    const run = (): Co<number> =>
      runTask(state, call, req, status.isZero ? "write-zeroes" : method);
    if (pool === null && at >= end) {
      const ret = yield* run();
      return ret < 0 ? ret : found;
    }
    pool ??= new AioTaskPool(WORKERS_MAX);
    yield* aioTaskPoolWaitSlot(pool);
    if (pool.status < 0) {
      yield* endTask(state, req, -ECANCELED);
      break;
    }
    aioTaskPoolStartTask(pool, run);
  }
  if (pool === null) return found;
  yield* aioTaskPoolWaitAll(pool);
  return pool.status < 0 ? pool.status : found;
}

/** block_copy_task_create (block-copy.c:154): the first run of dirty clusters of a range is ours, or null. */
function* createTask(state: BlockCopyState, offset: number, bytes: number): Co<BlockReq | null> {
  const { copyBitmap, clusterBytes, reqs } = state;
  return yield* locked(state, () => {
    const area = copyBitmap.bitmap.nextDirtyArea(offset, offset + bytes, chunkBytesOf(state));
    if (area === null) return null;
    const length = alignUp(area.bytes, clusterBytes);
    assert(area.start % clusterBytes === 0, "what is dirty is a cluster");
    assert(reqlistFindConflict(reqs, area.start, length) === null, "nobody copies what is dirty");
    markClean(copyBitmap, area.start, length);
    return reqlistInitReq(reqs, area.start, length);
  });
}

/** block_copy_task_shrink (block-copy.c:196): the end of it is for later, or for others. */
function* shrinkTask(state: BlockCopyState, req: BlockReq, bytes: number): Co<void> {
  yield* locked(state, () => {
    markDirty(state.copyBitmap, req.offset + bytes, req.bytes - bytes);
    reqlistShrinkReq(req, bytes);
  });
}

/** block_copy_task_end (block-copy.c:212): it is copied, or dirty again. */
function* endTask(state: BlockCopyState, req: BlockReq, ret: number): Co<void> {
  coPutToShres(state.memory, req.bytes);
  yield* locked(state, () => {
    if (ret < 0) markDirty(state.copyBitmap, req.offset, req.bytes);
    reqlistRemoveReq(state.reqs, req);
  });
}

/** block_copy_task_entry (block-copy.c:549). */
function* runTask(
  state: BlockCopyState,
  call: Call,
  req: BlockReq,
  method: TaskMethod,
): Co<number> {
  const ret = yield* doCopy(state, req, method);
  if (ret < 0 && call.ret === 0) call.ret = ret;
  yield* endTask(state, req, ret);
  return ret;
}

/**
 * block_copy_do_copy (block-copy.c:465): the last cluster may end behind the disk. Differs from QEMU: for a target that is too short
 * the copy fails with ENOSPC, where QEMU ends at an assertion.
 */
function* doCopy(state: BlockCopyState, req: BlockReq, method: TaskMethod): Co<number> {
  const { source, target, writeFlags } = state;
  const { offset } = req;
  const bytes = Math.min(offset + req.bytes, state.bytes) - offset;
  assert(bytes > 0, "what is copied lies on the disk");
  if (offset + bytes > bdrvGetlength(nodeBehind(target, SITE_DO_COPY))) return -ENOSPC;
  if (method === "write-zeroes")
    return yield* bdrvCoPwriteZeroes(target, offset, bytes, writeFlags);
  if (method === "copy-range-small" || method === "copy-range-full") {
    const ends = { src: source, srcOffset: offset, dst: target, dstOffset: offset };
    const ret = yield* bdrvCoCopyRange({ ...ends, bytes, writeFlags });
    yield* setMethod(state, method, ret >= 0 ? "copy-range-full" : "read-write");
    if (ret >= 0) return 0;
  }
  const bounce = qiovOf(hostAllocate(bytes));
  const ret = yield* bdrvCoPreadv(source, offset, bytes, bounce, 0);
  if (ret < 0) return ret;
  return yield* bdrvCoPwritev(target, offset, bytes, bounce, writeFlags);
}

/** How it goes on after a task that was done by `method`, unless another one has said so meanwhile. */
function* setMethod(
  state: BlockCopyState,
  method: BlockCopyMethod,
  next: BlockCopyMethod,
): Co<void> {
  if (method === next) return;
  yield* locked(state, () => {
    if (state.method === method) state.method = next;
  });
}

/** block_copy_block_status (block-copy.c:588): so many of the clusters are zero, or are not; an error is found by reading. */
function* clusterStatus(
  { source, clusterBytes, bytes: diskBytes }: BlockCopyState,
  { offset, bytes }: BlockReq,
): Co<{ readonly isZero: boolean; readonly bytes: number }> {
  const bs = nodeBehind(source, SITE_STATUS);
  const whole = { base: null, includeBase: false };
  const { ret, pnum } = yield* bdrvCoCommonBlockStatusAbove(bs, whole, {
    wantZero: true,
    offset,
    bytes,
  });
  if (ret < 0 || pnum < clusterBytes) return { isZero: false, bytes: clusterBytes };
  const isLast = offset + pnum === diskBytes;
  const clusters = isLast ? alignUp(pnum, clusterBytes) : alignDown(pnum, clusterBytes);
  return { isZero: (ret & BDRV_BLOCK_ZERO) !== 0, bytes: clusters };
}

function* locked<T>({ lock }: BlockCopyState, body: () => T): Co<T> {
  yield* qemuCoMutexLock(lock);
  const value = body();
  qemuCoMutexUnlock(lock);
  return value;
}

/** The clusters of a range, which may end behind the disk, are dirty. Common. */
export function markDirty(bitmap: BdrvDirtyBitmap, offset: number, bytes: number): void {
  const inside = Math.min(bytes, bitmap.bitmap.size - offset);
  if (inside > 0) withDirtyBitmapsLock(bitmap.bs, () => bitmap.bitmap.set(offset, inside));
}

/** The clusters of a range are clean. Common. */
export function markClean(bitmap: BdrvDirtyBitmap, offset: number, bytes: number): void {
  const inside = Math.min(bytes, bitmap.bitmap.size - offset);
  if (inside > 0) withDirtyBitmapsLock(bitmap.bs, () => bitmap.bitmap.reset(offset, inside));
}
