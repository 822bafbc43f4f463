// `nbd`: a client of an NBD server (block/nbd.c). README.md of this folder says how it works.

import { assert, EACCES, EINVAL, ENOTSUP } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import { type BlockLimits, NO_LIMITS } from "../../graph/block-limits.ts";
import {
  BDRV_BLOCK_DATA,
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_ZERO,
  type BlockStatus,
} from "../../graph/driver-results.ts";
import { bdrvOpenDriver } from "../../graph/open-node.ts";
import {
  BDRV_REQ_MAY_UNMAP,
  type BlockDriver,
  type BlockDriverState,
  type Qiov,
} from "../../graph/state.ts";
import { guestZero, qiovAfter } from "../../io/guest-copy.ts";
import { alignDown } from "../../io/limits.ts";
import { site } from "../../probe/index.ts";
import {
  type AioContext,
  type Co,
  globalStateCode,
  type Polls,
  runInCoroutine,
  type SocketAddress,
  socketClose,
  timerDel,
} from "../../sched/index.ts";
import { cancelAfter, establishConnection } from "./connect.ts";
import {
  NBD_BUFFER_BYTES_MAX,
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
  NBD_REPLY_TYPE_BLOCK_STATUS,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REPLY_TYPE_OFFSET_HOLE,
  NBD_REQUEST_MAGIC,
  NBD_STATE_HOLE,
  NBD_STATE_ZERO,
  NBD_STRING_BYTES_MAX,
} from "./protocol.ts";
import { type ChunkReader, nbdRequest } from "./requests.ts";
import { NbdClientState, type NbdTls, nbdInfoOf, nbdStateOf } from "./state.ts";
import { get64, message, readHeader, readPayload, send } from "./wire.ts";

const SITE_OPEN = site("nbd_open");
const SITE_CLOSE = site("nbd_client_close");
const SITE_CHUNK = site("nbd_co_receive_offset_data_payload");
const SITE_STATUS = site("nbd_parse_blockstatus_payload");

const SECOND_NS = 1_000_000_000;
const INT_MAX = 0x7fff_ffff;
const SECTOR_BYTES = 512;

/** QAPI: BlockdevOptionsNbd; times in seconds. */
export interface NbdOptions {
  readonly nodeName: string;
  readonly server: SocketAddress;
  readonly exportName?: string;
  readonly readOnly?: boolean;
  /** After a connection was lost, requests wait so long for another. */
  readonly reconnectDelay?: number;
  /** So long the first connection is looked for; 0 for one try. */
  readonly openTimeout?: number;
  /** Encrypt; the credentials are kept until the node is closed. */
  readonly tls?: NbdTls;
  readonly onClose?: () => void;
  /** Metadata context instead of base:allocation. */
  readonly dirtyBitmap?: string;
  readonly ctx?: AioContext;
}

/** C: bdrv_nbd, bdrv_nbd_tcp and bdrv_nbd_unix. */
export const nbdDriver: BlockDriver = {
  formatName: "nbd",
  isFilter: false,
  isProtocol: true,
  drvClose: nbdClientClose,
  coPreadv: nbdClientCoPreadv,
  coPwritev: (bs, offset, bytes, qiov) => simple(bs, NBD_CMD_WRITE, 0, offset, bytes, qiov),
  coPwriteZeroes: nbdClientCoPwriteZeroes,
  coPdiscard: nbdClientCoPdiscard,
  coFlushToDisk: nbdClientCoFlush,
  coBlockStatus: nbdClientCoBlockStatus,
  getlength: (bs) => nbdInfoOf(bs).size,
  reopenPrepare: ({ bs, readOnly }) => {
    if (!readOnly && (nbdInfoOf(bs).flags & NBD_FLAG_READ_ONLY) !== 0)
      throw new BlockError(EACCES, "Can't reopen read-only NBD mount as read/write");
    return undefined;
  },
};

/** nbd_open (block/nbd.c:1931): a connected node with one reference, the caller's. BlockError. Polls. */
export function* nbdOpen(options: NbdOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  const { nodeName, server, exportName = "", readOnly = false, dirtyBitmap } = options;
  const { reconnectDelay = 0, openTimeout = 0 } = options;
  if (exportName.length > NBD_STRING_BYTES_MAX)
    throw new BlockError(EINVAL, "export name too long to send to server");
  if (dirtyBitmap !== undefined && dirtyBitmap.length > NBD_STRING_BYTES_MAX)
    throw new BlockError(EINVAL, "x-dirty-bitmap query too long to send to server");
  assert(reconnectDelay >= 0, "a delay is not negative");
  const state = new NbdClientState({
    server,
    exportName,
    context: dirtyBitmap ?? null,
    tls: options.tls ?? null,
    onClose: options.onClose ?? (() => undefined),
    reconnectDelayNs: reconnectDelay * SECOND_NS,
    openTimeoutNs: openTimeout * SECOND_NS,
  });
  return yield* bdrvOpenDriver(nbdDriver, nodeName, {
    opaque: state,
    readOnly,
    ...(options.exportName === undefined ? {} : { options: { export: exportName } }),
    ...(options.ctx === undefined ? {} : { ctx: options.ctx }),
    drvOpen: (bs) => connectFirst(bs, dirtyBitmap ?? null),
  });
}

function* connectFirst(bs: BlockDriverState, context: string | null): Polls<void> {
  const failure = yield* runInCoroutine(bs.aioContext, () => connectInTime(bs), SITE_OPEN);
  if (failure !== null) throw new BlockError(failure.errno, failure.message);
  const { flags, contextId, size } = nbdInfoOf(bs);
  if (context !== null && contextId === null)
    throw new BlockError(EINVAL, `requested x-dirty-bitmap ${context} not found`);
  if ((flags & NBD_FLAG_READ_ONLY) !== 0 && !bs.readOnly)
    throw new BlockError(EACCES, "NBD export is read-only");
  refreshLimits(bs);
  assert(size >= 0, "an export has a length");
}

function* connectInTime(bs: BlockDriverState): ReturnType<typeof establishConnection> {
  const { openTimeoutNs } = nbdStateOf(bs).options;
  if (openTimeoutNs === 0) return yield* establishConnection(bs, false);
  const timer = cancelAfter(bs, openTimeoutNs, () => undefined);
  const failure = yield* establishConnection(bs, true);
  timerDel(timer);
  return failure;
}

/** nbd_refresh_limits (block/nbd.c:1984). */
function refreshLimits(bs: BlockDriverState): void {
  const { minBlock, maxBlock, size, contextId, preferredBlock } = nbdInfoOf(bs);
  const byDefault = size % SECTOR_BYTES !== 0 || contextId !== null ? 1 : SECTOR_BYTES;
  const min = minBlock === 0 ? byDefault : minBlock;
  const most = maxBlock === 0 ? NBD_BUFFER_BYTES_MAX : Math.min(maxBlock, NBD_BUFFER_BYTES_MAX);
  const unit = preferredBlock > min ? preferredBlock : 0;
  bs.requestAlignment = min;
  const limits: BlockLimits = {
    ...NO_LIMITS,
    maxTransfer: most,
    maxPwriteZeroes: alignDown(most, Math.max(unit, min)),
    maxPdiscard: alignDown(INT_MAX, Math.max(unit, min)),
    pdiscardAlignment: unit,
    pwriteZeroesAlignment: unit,
  };
  bs.limits = limits;
}

/** nbd_client_close (block/nbd.c:1438): a word of parting, and the connection is closed. Polls. */
function* nbdClientClose(bs: BlockDriverState): Polls<void> {
  const state = nbdStateOf(bs);
  const { socket } = state;
  state.state = "quit";
  state.socket = null;
  state.options.onClose();
  if (socket === null) return;
  const head = message([4, NBD_REQUEST_MAGIC], [2, 0], [2, NBD_CMD_DISC], [8, 0], [8, 0], [4, 0]);
  yield* runInCoroutine(bs.aioContext, () => send(socket, head), SITE_CLOSE);
  socketClose(socket);
}

/** A request whose reply has no payload. */
function simple(
  bs: BlockDriverState,
  type: number,
  flags: number,
  from: number,
  length: number,
  payload: Qiov | null,
): Co<number> {
  return nbdRequest(bs, { type, flags, from, length, payload }, noPayload);
}

function* noPayload(_socket: unknown, { isStructured }: { isStructured: boolean }): Co<number> {
  return isStructured ? -EINVAL : 0;
}

/** nbd_client_co_preadv (block/nbd.c:1215): behind the end of the export, which may end within a sector, are zeroes. */
function* nbdClientCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  const { size } = nbdInfoOf(bs);
  const length = Math.max(0, Math.min(bytes, size - offset));
  guestZero(qiovAfter(qiov, length), bytes - length);
  if (length === 0) return 0;
  const request = { type: NBD_CMD_READ, flags: 0, from: offset, length, payload: null };
  return yield* nbdRequest(bs, request, dataReader(offset, length, qiov));
}

/** nbd_co_receive_cmdread_reply (block/nbd.c:1041): data and holes, in whatever order. */
function dataReader(offset: number, length: number, qiov: Qiov): ChunkReader {
  return function* (socket, reply): Co<number> {
    if (!reply.isStructured) return yield* readPayload(socket, qiov, length);
    const isHole = reply.type === NBD_REPLY_TYPE_OFFSET_HOLE;
    if (!isHole && reply.type !== NBD_REPLY_TYPE_OFFSET_DATA) return -EINVAL;
    if (isHole ? reply.length !== 12 : reply.length <= 8) return -EINVAL;
    const head = yield* readHeader(socket, isHole ? 12 : 8, SITE_CHUNK);
    if (typeof head === "number") return head;
    const start = get64(head, 0) - offset;
    const bytes = isHole ? head.getUint32(8) : reply.length - 8;
    if (start < 0 || bytes === 0 || start + bytes > length) return -EINVAL;
    if (!isHole) return yield* readPayload(socket, qiovAfter(qiov, start), bytes);
    guestZero(qiovAfter(qiov, start), bytes);
    return 0;
  };
}

/** nbd_client_co_pwrite_zeroes (block/nbd.c:1295). */
function* nbdClientCoPwriteZeroes(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  if ((nbdInfoOf(bs).flags & NBD_FLAG_SEND_WRITE_ZEROES) === 0) return -ENOTSUP;
  const wire = (flags & BDRV_REQ_MAY_UNMAP) === 0 ? NBD_CMD_FLAG_NO_HOLE : 0;
  return yield* simple(bs, NBD_CMD_WRITE_ZEROES, wire, offset, bytes, null);
}

/** nbd_client_co_pdiscard (block/nbd.c:1347). */
function* nbdClientCoPdiscard(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  if ((nbdInfoOf(bs).flags & NBD_FLAG_SEND_TRIM) === 0 || bytes === 0) return 0;
  return yield* simple(bs, NBD_CMD_TRIM, 0, offset, bytes, null);
}

/** nbd_client_co_flush (block/nbd.c:1332). */
function* nbdClientCoFlush(bs: BlockDriverState): Co<number> {
  if ((nbdInfoOf(bs).flags & NBD_FLAG_SEND_FLUSH) === 0) return 0;
  return yield* simple(bs, NBD_CMD_FLUSH, 0, 0, 0, null);
}

/** nbd_client_co_block_status (block/nbd.c:1368): what the agreed context says; without one, all is data. */
function* nbdClientCoBlockStatus(
  bs: BlockDriverState,
  _wantZero: boolean,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  const { size, contextId } = nbdInfoOf(bs);
  const here = { map: offset, file: bs };
  if (contextId === null)
    return { ret: BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID, pnum: bytes, ...here };
  if (offset >= size) return { ret: BDRV_BLOCK_ZERO, pnum: bytes, map: 0, file: null };
  const most = alignDown(INT_MAX, bs.requestAlignment);
  const length = Math.min(most, bytes, size - offset);
  const extent = { length: 0, flags: 0 };
  const request = { type: NBD_CMD_BLOCK_STATUS, flags: NBD_CMD_FLAG_REQ_ONE, from: offset, length };
  const ret = yield* nbdRequest(bs, { ...request, payload: null }, extentReader(contextId, extent));
  if (ret < 0) return { ret, pnum: 0, map: 0, file: null };
  if (extent.length === 0) return { ret: -EINVAL, pnum: 0, map: 0, file: null };
  // The end of an export may lie within a block; what is behind it is as the block layer asks for it.
  const isAll = extent.length >= size - offset;
  const inBlocks = alignDown(extent.length, bs.requestAlignment);
  const pnum = isAll ? bytes : Math.min(bytes, Math.max(inBlocks, bs.requestAlignment));
  const data = (extent.flags & NBD_STATE_HOLE) === 0 ? BDRV_BLOCK_DATA : 0;
  const zero = (extent.flags & NBD_STATE_ZERO) === 0 ? 0 : BDRV_BLOCK_ZERO;
  return { ret: data | zero | BDRV_BLOCK_OFFSET_VALID, pnum, ...here };
}

/** nbd_parse_blockstatus_payload (block/nbd.c:597): the first extent of the agreed context. */
function extentReader(contextId: number, extent: { length: number; flags: number }): ChunkReader {
  return function* (socket, reply): Co<number> {
    if (!reply.isStructured || reply.type !== NBD_REPLY_TYPE_BLOCK_STATUS) return -EINVAL;
    const isFine = reply.length >= 12 && (reply.length - 4) % 8 === 0;
    if (!isFine || reply.length > NBD_STRING_BYTES_MAX) return -EINVAL;
    const body = yield* readHeader(socket, reply.length, SITE_STATUS);
    if (typeof body === "number") return body;
    if (body.getUint32(0) !== contextId) return -EINVAL;
    extent.length = body.getUint32(4);
    extent.flags = body.getUint32(8);
    return extent.length === 0 ? -EINVAL : 0;
  };
}
