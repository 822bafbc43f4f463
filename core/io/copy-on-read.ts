// Copy on read: what a read finds in a backing file is written into the image on the way, by whole clusters.
//
// The read that asks for it (BDRV_REQ_COPY_ON_READ) is serialising over the clusters that it touches: no write comes between its
// read and its write. The caller needs no permission to write, as in QEMU 7.2: a filter that asks for it has one.

import { assert, ENOMEDIUM } from "../base/index.ts";
import { BDRV_BLOCK_ALLOCATED } from "../graph/driver-results.ts";
import { BDRV_REQ_WRITE_UNCHANGED, type BlockDriverState, type Qiov } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, hostAllocate, ioCode } from "../sched/index.ts";
import { bdrvCoCommonBlockStatusAbove } from "./block-status.ts";
import { bdrvDebugEvent } from "./debug-event.ts";
import { bdrvCoDoPwriteZeroes, bdrvDriverPwritev, bufferIsZero } from "./driver-write.ts";
import { guestCopy, qiovAfter, qiovOf } from "./guest-copy.ts";
import { bdrvGetInfo } from "./info.ts";
import { alignDown, alignUp, BOUNCE_BUFFER_MAX_BYTES, maxTransferOf } from "./limits.ts";
import { bdrvDriverPreadv } from "./read.ts";

const SITE_COPY = site("bdrv_co_do_copy_on_readv");
const SITE_ENABLE = site("bdrv_enable_copy_on_read");
const SITE_CLUSTER = site("bdrv_get_cluster_size");
const SITE_ALLOCATED = site("bdrv_is_allocated/copy_on_read");

/** bdrv_enable_copy_on_read (io.c:230): every read of `bs` is one that copies, until this is taken back as often. */
export function bdrvEnableCopyOnRead(bs: BlockDriverState): void {
  globalStateCode(SITE_ENABLE);
  assert(!bs.readOnly, "what is read can be written to the image");
  bs.copyOnRead++;
  assert(bs.copyOnRead > 0, "somebody wants it");
}

/** bdrv_disable_copy_on_read (io.c:236): the opposite of one bdrvEnableCopyOnRead. */
export function bdrvDisableCopyOnRead(bs: BlockDriverState): void {
  globalStateCode(SITE_ENABLE);
  assert(bs.copyOnRead > 0, "somebody wanted it");
  bs.copyOnRead--;
}

/** bdrv_get_cluster_size (io.c:716): in what pieces `bs` allocates. */
export function bdrvGetClusterSize(bs: BlockDriverState): number {
  ioCode(bs.aioContext, SITE_CLUSTER);
  assert(bs.requestAlignment > 0, "alignments are positive");
  return bdrvGetInfo(bs)?.clusterBytes ?? bs.requestAlignment;
}

/** bdrv_is_allocated, in a coroutine: whether the start of a range is allocated in `bs`, and how much of it is the same. */
export function* bdrvCoIsAllocated(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): Co<{ readonly ret: number; readonly pnum: number }> {
  ioCode(bs.aioContext, SITE_ALLOCATED);
  assert(bytes >= 0, "byte counts are not negative");
  const layer = { base: bs, includeBase: true };
  const range = { wantZero: false, offset, bytes };
  const { ret, pnum } = yield* bdrvCoCommonBlockStatusAbove(bs, layer, range);
  return { ret: ret < 0 ? ret : ret & BDRV_BLOCK_ALLOCATED, pnum };
}

/** bdrv_co_do_copy_on_readv (io.c:1308): read `bytes` at `offset`, and copy what is not allocated. 0 or a negated errno. */
export function* bdrvCoDoCopyOnReadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_COPY);
  assert(bytes > 0, "a read is for something");
  if (bs.closed) return -ENOMEDIUM;
  const cluster = bdrvGetClusterSize(bs);
  const most = Math.min(maxTransferOf(bs), BOUNCE_BUFFER_MAX_BYTES);
  const end = alignUp(offset + bytes, cluster);
  for (let at = alignDown(offset, cluster); at < end; ) {
    // An inactive image may not be written to: nothing is copied.
    const wanted = Math.min(end - at, most);
    const found = bs.inactive ? { ret: 1, pnum: wanted } : yield* bdrvCoIsAllocated(bs, at, wanted);
    // The image may end within a cluster.
    if (found.ret === 0 && found.pnum === 0) break;
    // Errors count as not allocated: the read will find a better one.
    const piece = found.ret < 0 ? wanted : found.pnum;
    const [from, to] = [Math.max(at, offset), Math.min(at + piece, offset + bytes)];
    const into = from < to ? qiovAfter(qiov, from - offset) : null;
    const part = { at, piece, from, to };
    const ret = found.ret > 0 ? yield* readPart(bs, part, into) : yield* copyPart(bs, part, into);
    if (ret < 0) return ret;
    at += piece;
  }
  return 0;
}

/** A piece of the clusters, and of it what the reader wants. */
interface Part {
  readonly at: number;
  readonly piece: number;
  readonly from: number;
  readonly to: number;
}

function* readPart(bs: BlockDriverState, { from, to }: Part, into: Qiov | null): Co<number> {
  return into === null ? 0 : yield* bdrvDriverPreadv(bs, from, to - from, into, 0);
}

/** Through a buffer of its own: what the guest does with its memory meanwhile must not get into the image. */
function* copyPart(
  bs: BlockDriverState,
  { at, piece, from, to }: Part,
  into: Qiov | null,
): Co<number> {
  const bounce = qiovOf(hostAllocate(piece));
  const read = yield* bdrvDriverPreadv(bs, at, piece, bounce, 0);
  if (read < 0) return read;
  yield* bdrvDebugEvent(bs, "cor_write");
  const isZero = bs.drv.coPwriteZeroes !== undefined && bufferIsZero(bounce, piece);
  const flags = BDRV_REQ_WRITE_UNCHANGED;
  const ret = isZero
    ? yield* bdrvCoDoPwriteZeroes(bs, at, piece, flags)
    : yield* bdrvDriverPwritev(bs, at, piece, bounce, flags);
  if (ret < 0) return ret;
  if (into !== null) guestCopy(into, qiovOf(bounce.buffer, from - at), to - from);
  return 0;
}
