// `file`: an image that is a file of the host. Real under the live host, modelled under the simulated one, absent in replay.
//
// Requests go to the host and come back as completions of the node's context. The host moves all bytes of a request or fails
// it; behind the end of the file it reads zeroes.

import {
  assert,
  type ByteCount,
  type ByteOffset,
  EACCES,
  EBUSY,
  EINVAL,
  ENOTSUP,
  EPERM,
  EROFS,
  type HostHandle,
  strerror,
} from "../base/index.ts";
import { edgeBs } from "../graph/access.ts";
import { BlockError } from "../graph/block-error.ts";
import { NO_LIMITS } from "../graph/block-limits.ts";
import {
  CACHED,
  type CacheOptions,
  cacheOf,
  type ReopenState,
  withoutOption,
} from "../graph/block-options.ts";
import type { BlockStatus } from "../graph/driver-results.ts";
import { checkNodeName } from "../graph/node-life.ts";
import { bdrvOpenDriver, bdrvSetCache } from "../graph/open-node.ts";
import {
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  type Permissions,
} from "../graph/permission-bits.ts";
import {
  BDRV_REQ_MAY_UNMAP,
  type BlockDriver,
  type BlockDriverState,
  type CopyRange,
  type Qiov,
} from "../graph/state.ts";
import type { Truncation } from "../graph/truncation.ts";
import { bdrvBscDataBytes } from "../io/block-status-cache.ts";
import { bdrvCoCopyRangeTo } from "../io/copy-range.ts";
import { site } from "../probe/index.ts";
import {
  type AioContext,
  type Co,
  coThen,
  type FileAio,
  globalStateCode,
  type HostOpType,
  type HostResult,
  hostCall,
  hostCopy,
  hostNow,
  hostSubmit,
  ioCode,
  type Polls,
  perMachine,
} from "../sched/index.ts";
import {
  type FileLocking,
  FileLocks,
  fileLocksCopy,
  fileLocksFinish,
  fileLocksPrepare,
} from "./file-locks.ts";
import { fileBlockStatus } from "./file-status.ts";
import { fileTruncate, type Submit } from "./file-truncate.ts";

/** Bytes of an operation of the host at most: what an event's integer holds, in whole blocks. */
const HOST_BYTES_MAX = 2 ** 30;

/** Bytes of a copy within the host at most: other requests that its helper serves wait for it. A few milliseconds. */
const COPY_BYTES_MAX = 2 ** 24;

/** What nobody may have of a file that can only be read. */
const WRITING = BLK_PERM_WRITE | BLK_PERM_WRITE_UNCHANGED | BLK_PERM_RESIZE;

const SITE_COPY = site("raw_co_copy_range_to/file");
const SITE_OPEN = site("bdrv_open");
const SITE_SUBMIT = site("raw_co_prw");

/** What holds for the files of a run that say nothing else. Scenarios run alone; a daemon does not. */
export const fileDefaults = perMachine((): { locking: FileLocking } => ({ locking: "off" }));

/** C: BDRVRawState of file-posix.c. */
class FileState {
  /** Exchanged by a reopen that makes the node read-only or not, or its requests go past the host's cache or not. */
  handle: HostHandle;
  direct: boolean;
  /** The errno with which the host refused to let anybody write, when the node was to make do with that; else 0. */
  refused: number;
  readonly path: string;
  readonly aio: FileAio | undefined;
  /** Null: the file is not locked. */
  readonly locks: FileLocks | null;
  /** Whether the host can free a range, and make one zeroes without writing them; until it says that it cannot. */
  hasDiscard = true;
  hasWriteZeroes = true;
  /** Whether it knows where a file has holes; as above. */
  hasStatus = true;
  /** The second handle of a reopen that is not over. */
  staged: Opened | null = null;

  constructor({ handle, direct, refused }: Opened, { path, aio, locking }: FileOptions) {
    this.handle = handle;
    this.direct = direct;
    this.refused = refused;
    this.path = path;
    this.aio = aio;
    const how = locking ?? fileDefaults().locking;
    this.locks = how === "off" ? null : new FileLocks(path, how === "on");
  }
}

/** C: bdrv_file. */
export const fileDriver: BlockDriver = {
  formatName: "file",
  isFilter: false,
  isProtocol: true,
  drvClose: fileClose,
  coPreadv: (bs, offset, bytes, qiov) => submit(bs, "read", offset, bytes, qiov),
  coPwritev: (bs, offset, bytes, qiov) => submit(bs, "write", offset, bytes, qiov),
  nowPreadv: (bs, offset, bytes, qiov) => submitNow(bs, "read", offset, bytes, qiov),
  nowPwritev: (bs, offset, bytes, qiov) => submitNow(bs, "write", offset, bytes, qiov),
  nowIsData: (bs, offset, bytes) => bdrvBscDataBytes(bs, offset) >= bytes,
  coPwriteZeroes: fileCoPwriteZeroes,
  coPdiscard: fileCoPdiscard,
  coCopyRangeFrom: (_bs, range) => bdrvCoCopyRangeTo(range),
  coCopyRangeTo: fileCoCopyRangeTo,
  coFlushToDisk: (bs) => submit(bs, "flush", 0, 0, null),
  coBlockStatus: fileCoBlockStatus,
  coTruncate: fileCoTruncate,
  getlength: (bs) => askHost("size", stateOf(bs).handle),
  getAllocatedFileSize: (bs) => askHost("allocated", stateOf(bs).handle),
  getInfo: () => ({ isDirty: false }),
  checkPerm: fileCheckPerm,
  setPerm: fileSetPerm,
  abortPermUpdate: fileAbortPermUpdate,
  reopenPrepare: fileReopenPrepare,
  mutableOptions: ["x-check-cache-dropped"],
  reopenCommit: (state) => closeStaged(state, exchangeHandle(state)),
  reopenAbort: (state) => closeStaged(state, stateOf(state.bs).staged?.handle ?? null),
};

/** How a file is opened. */
export interface FileOptions {
  readonly nodeName: string;
  readonly path: string;
  /** Where the node shall run; default main. */
  readonly ctx?: AioContext;
  readonly readOnly?: boolean;
  /** Where nobody may write to the file, read it until somebody wants to write (BDRV_O_AUTO_RDONLY). */
  readonly autoReadOnly?: boolean;
  /** Make the file if there is none. */
  readonly create?: boolean;
  /** How its requests are carried out; by default as the host does it. */
  readonly aio?: FileAio;
  /** Whether it is locked against other programs; by default `fileDefaults`. */
  readonly locking?: FileLocking;
  /** What is done with the host's cache; by default what is usual. */
  readonly cache?: CacheOptions;
}

/** bdrv_open with the driver `file`: a node with one reference, the caller's. BlockError when the host refuses. Polls. */
export function* fileOpen(options: FileOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  const { path, nodeName, readOnly = false, create = false, cache = CACHED } = options;
  if (path === "") throw new BlockError(EINVAL, "The 'file' block driver requires a file name");
  // Before the file is opened, so that no handle is left over.
  if (nodeName !== "") checkNodeName(nodeName);
  const { direct } = cache;
  const how = { path, aio: options.aio, writable: !readOnly, create, direct };
  const opened = openOrRead(how, options.autoReadOnly === true);
  const bs = yield* bdrvOpenDriver(fileDriver, nodeName, {
    opaque: new FileState(opened, options),
    options: { filename: path },
    readOnly,
    requestAlignment: opened.alignment,
    limits: { ...NO_LIMITS, maxPwriteZeroes: HOST_BYTES_MAX, maxPdiscard: HOST_BYTES_MAX },
    ...(options.ctx === undefined ? {} : { ctx: options.ctx }),
  });
  bdrvSetCache(bs, cache);
  return bs;
}

/** raw_co_pdiscard (block/file-posix.c:3014): 0 or a negated errno, ENOTSUP where the host cannot. */
function* fileCoPdiscard(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  const file = stateOf(bs);
  if (!file.hasDiscard) return -ENOTSUP;
  const ret = yield* submit(bs, "discard", offset, bytes, null);
  if (ret === -ENOTSUP) file.hasDiscard = false;
  return ret;
}

/**
 * raw_do_pwrite_zeroes (block/file-posix.c:3020): by freeing the range where that is allowed, else without; ENOTSUP where the
 * host can do neither, and the zeroes are to be written. They never are here, so BDRV_REQ_NO_FALLBACK changes nothing.
 */
function* fileCoPwriteZeroes(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  const file = stateOf(bs);
  // Freeing keeps the size of the file, and what lies behind its end would not be there.
  const mayFree = (flags & BDRV_REQ_MAY_UNMAP) !== 0 && offset + bytes <= bs.totalBytes;
  if (mayFree) {
    const ret = yield* fileCoPdiscard(bs, offset, bytes);
    if (![-ENOTSUP, -EINVAL, -EBUSY].includes(ret)) return ret;
  }
  if (!file.hasWriteZeroes) return -ENOTSUP;
  const ret = yield* submit(bs, "write_zeroes", offset, bytes, null);
  if (ret === -ENOTSUP) file.hasWriteZeroes = false;
  return ret;
}

/**
 * raw_co_copy_range_to (block/file-posix.c:3505): the host copies from one file to another; 0 or a negated errno, ENOTSUP where it cannot,
 * where the source is no file, or ends before the range does. A part may have been copied then.
 */
function* fileCoCopyRangeTo(bs: BlockDriverState, range: CopyRange): Co<number> {
  const { src, srcOffset, dstOffset, bytes } = range;
  const srcBs = src === null ? null : edgeBs(src, SITE_COPY);
  if (srcBs === null || !(srcBs.opaque instanceof FileState)) return -ENOTSUP;
  for (let done = 0; done < bytes; done += COPY_BYTES_MAX) {
    const ret = yield* hostCopy({
      from: srcBs.opaque.handle,
      fromOffset: (srcOffset + done) as ByteOffset,
      to: stateOf(bs).handle,
      toOffset: (dstOffset + done) as ByteOffset,
      bytes: Math.min(bytes - done, COPY_BYTES_MAX) as ByteCount,
    });
    if (ret < 0) return ret;
  }
  return 0;
}

/** As fileBlockStatus. Who does not want to know of zeroes is told of data, as in QEMU. */
function fileCoBlockStatus(
  bs: BlockDriverState,
  wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  const file = stateOf(bs);
  const ask = function* (most: number): Co<number> {
    const at = offset as ByteOffset;
    const ret = yield* hostSubmit("block_status", file.handle, at, most as ByteCount, null, 0);
    if (ret === -ENOTSUP) file.hasStatus = false;
    return ret;
  };
  return fileBlockStatus(bs, wantZero && file.hasStatus ? ask : null, offset, bytes);
}

interface HowToOpen {
  readonly path: string;
  readonly aio: FileAio | undefined;
  readonly writable: boolean;
  readonly create: boolean;
  readonly direct: boolean;
}

/** A file that is open, and in what blocks it is read and written. */
interface Opened {
  readonly handle: HostHandle;
  readonly direct: boolean;
  readonly alignment: number;
  /** As in FileState. */
  readonly refused: number;
}

/**
 * A file that is open to be written to, or, if need be, to be read. Differs from QEMU: there, such a file is opened to be written to
 * only while somebody may write.
 */
function openOrRead(how: HowToOpen, autoReadOnly: boolean): Opened {
  if (!autoReadOnly || !how.writable) return openPath(how);
  try {
    return openPath(how);
  } catch (error) {
    if (!(error instanceof BlockError) || ![EACCES, EPERM, EROFS].includes(error.errno))
      throw error;
    return { ...openPath({ ...how, writable: false }), refused: error.errno };
  }
}

/** A handle of the host; BlockError when it refuses. */
function openPath(how: HowToOpen): Opened {
  const { aio, direct } = how;
  const opened = openNow(how);
  if (opened.ret === -ENOTSUP && aio === "io_uring")
    throw new BlockError(
      ENOTSUP,
      "aio=io_uring was specified, but is not available: start the process with UV_USE_IO_URING=1 in its environment",
    );
  if (opened.ret < 0) throw new BlockError(-opened.ret, whyNotOpen(how, -opened.ret));
  const handle = opened.value as HostHandle;
  const aligned = hostCall({ call: "alignment", handle });
  const alignment = Math.max(1, aligned.value);
  if (aligned.ret >= 0) return { handle, direct, alignment, refused: 0 };
  hostCall({ call: "close", handle });
  const hint = "Try cache.direct=off";
  throw new BlockError(EINVAL, "Could not find working O_DIRECT alignment", hint);
}

function openNow({ path, aio, writable, create, direct }: HowToOpen): HostResult {
  const how = { ...(aio === undefined ? {} : { aio }), ...(direct ? { direct } : {}) };
  return hostCall({ call: "open", path, writable, create, ...how });
}

/** qemu_open_internal (util/osdep.c:288): a file that opens but for O_DIRECT is told apart. */
function whyNotOpen(how: HowToOpen, errno: number): string {
  if (how.direct && errno === EINVAL) {
    const cached = openNow({ ...how, direct: false });
    if (cached.ret >= 0) {
      hostCall({ call: "close", handle: cached.value as HostHandle });
      return `Could not open '${how.path}': filesystem does not support O_DIRECT`;
    }
  }
  // The host opens regular files, and says so of nothing else.
  if (errno === EINVAL) return `'file' driver requires '${how.path}' to be a regular file`;
  return `Could not open '${how.path}': ${strerror(errno)}`;
}

/**
 * raw_reopen_prepare (block/file-posix.c:1102): a second handle, if the file is to be writable and was not, or to be read past the
 * host's cache and was not, or the other way round. Differs from QEMU: opened here, not when permissions are checked, as there are
 * no further flags to wait for.
 */
function fileReopenPrepare(state: ReopenState): undefined {
  const { bs, readOnly } = state;
  const file = stateOf(bs);
  const { direct } = cacheOf(state.options);
  const auto = [true, "on"].some((on) => state.options["auto-read-only"] === on);
  for (const name of ["drop-cache", "x-check-cache-dropped"])
    state.remaining = withoutOption(state.remaining, name);
  const isAsAsked = readOnly === bs.readOnly && (auto || file.refused === 0);
  if (isAsAsked && direct === file.direct) return;
  const { path, aio } = file;
  file.staged = openOrRead({ path, aio, writable: !readOnly, create: false, direct }, auto);
}

/** raw_reopen_commit (block/file-posix.c:1151): requests go to the staged handle; returns the old one, if there are two. */
function exchangeHandle({ bs }: ReopenState): HostHandle | null {
  const file = stateOf(bs);
  const { handle: old, staged } = file;
  if (staged === null) return null;
  file.handle = staged.handle;
  file.direct = staged.direct;
  file.refused = staged.refused;
  bs.requestAlignment = staged.alignment;
  return old;
}

/** raw_check_perm (block/file-posix.c:3162): lock what is needed besides, in a staged handle all of it; BlockError. */
function fileCheckPerm(bs: BlockDriverState, asked: Permissions): undefined {
  const { locks, handle, staged, refused, path } = stateOf(bs);
  const errno = staged === null ? refused : staged.refused;
  if (errno !== 0 && (asked.perm & WRITING) !== 0)
    throw new BlockError(errno, `Could not open '${path}': ${strerror(errno)}`);
  if (locks === null || bs.inactive) return;
  fileLocksPrepare(locks, handle, asked);
  try {
    if (staged !== null) fileLocksCopy(locks, staged.handle, asked);
  } catch (error) {
    fileLocksFinish(locks, handle, locks.permissions);
    throw error;
  }
}

/** raw_set_perm (block/file-posix.c:3218): a reopen has exchanged the handles by now. */
function fileSetPerm(bs: BlockDriverState, asked: Permissions): undefined {
  const { locks, handle } = stateOf(bs);
  if (locks !== null && !bs.inactive) fileLocksFinish(locks, handle, asked);
}

/** raw_abort_perm_update (block/file-posix.c:3236). */
function fileAbortPermUpdate(bs: BlockDriverState): undefined {
  const { locks, handle } = stateOf(bs);
  if (locks !== null && !bs.inactive) fileLocksFinish(locks, handle, locks.permissions);
}

/** raw_reopen_abort (block/file-posix.c:1167): nothing is staged any more; `handle`, if there is one, is closed. */
function closeStaged({ bs }: ReopenState, handle: HostHandle | null): undefined {
  stateOf(bs).staged = null;
  if (handle !== null) hostCall({ call: "close", handle });
}

function submit(
  bs: BlockDriverState,
  type: HostOpType,
  offset: number,
  bytes: number,
  qiov: Qiov | null,
): Co<number> {
  ioCode(bs.aioContext, SITE_SUBMIT);
  const { handle } = stateOf(bs);
  const iov = qiov === null ? null : qiov.buffer;
  const start = qiov === null ? 0 : qiov.start;
  const at = offset as ByteOffset;
  return coThen(hostSubmit(type, handle, at, bytes as ByteCount, iov, start), (ret) => {
    assert(ret <= 0 || ret === bytes, "a host moves all bytes, or fails");
    return Math.min(ret, 0);
  });
}

function submitNow(
  bs: BlockDriverState,
  type: "read" | "write",
  offset: number,
  bytes: number,
  { buffer, start }: Qiov,
): number | null {
  const { handle } = stateOf(bs);
  const at = offset as ByteOffset;
  const size = bytes as ByteCount;
  const ret = hostNow({ type, handle, offset: at, bytes: size, iov: buffer, iovOffset: start });
  if (ret === null) return null;
  assert(ret <= 0 || ret === bytes, "a host moves all bytes, or fails");
  return Math.min(ret, 0);
}

function fileCoTruncate(bs: BlockDriverState, offset: number, how: Truncation): Co<number> {
  const { handle } = stateOf(bs);
  const submitTo: Submit = (type, at, bytes, qiov) => submit(bs, type, at, bytes, qiov);
  return fileTruncate(handle, { from: askHost("size", handle), to: offset }, how, submitTo);
}

function askHost(call: "size" | "allocated", handle: HostHandle): number {
  const { ret, value } = hostCall({ call, handle });
  return ret < 0 ? ret : value;
}

function fileClose(bs: BlockDriverState): undefined {
  hostCall({ call: "close", handle: stateOf(bs).handle });
}

function stateOf(bs: BlockDriverState): FileState {
  assert(bs.opaque instanceof FileState, "the node is a file");
  return bs.opaque;
}
