// The transmission phase: requests are received one after the other, and done and answered each in a coroutine of its own.
//
// All of it runs in the context of the export. What a client may have under way is bounded (limits.ts): the receiving coroutine
// then waits, and the client's further requests wait in its socket. A request's payload is received before its work begins, so
// a client that stalls in the middle of one holds no counter of the block layer, and no drain waits for it.

import {
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
} from "#core/backend";
import { assert, EINVAL, ENOSPC, EROFS, type SiteId } from "#core/base";
import { BDRV_REQ_FUA, BDRV_REQ_MAY_UNMAP, BDRV_REQ_NO_FALLBACK } from "#core/graph";
import { site } from "#core/probe";
import {
  aioCoEnter,
  type Co,
  coChain,
  coLater,
  coThen,
  type GuestBuffer,
  hostAllocate,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  qemuCoroutineCreate,
  settled,
} from "#core/sched";
import {
  channelReadHeader,
  channelReadInto,
  channelSkip,
  channelWrite,
  MessageReader,
  MessageWriter,
} from "./channel.ts";
import type { NbdClient, NbdRequest } from "./client.ts";
import type { NbdExport } from "./export.ts";
import {
  NBD_CLIENT_BYTES_MAX,
  NBD_CLIENT_REQUESTS_LOW,
  NBD_CLIENT_REQUESTS_MAX,
  NBD_EXPORT_BYTES_MAX,
  NBD_LONG_BYTES,
} from "./limits.ts";
import { extentsOf } from "./meta-context.ts";
import * as nbd from "./protocol.ts";
import { readCommand, readHeaderBytes } from "./read-command.ts";
import { putChunkHead, sendError, sendResult } from "./replies.ts";

const SITE_REQUEST: SiteId = site("nbd_receive_request");

/** Bytes that a CACHE request reads at a time. */
const CACHE_BYTES = 1024 * 1024;

/** nbd_trip (nbd/server.c:2623) in a loop, until the client goes; returns when its last request is answered. Common. */
export function* nbdTransmit(client: NbdClient, nbdExport: NbdExport): Co<void> {
  const memory = new Uint8Array(nbd.NBD_REQUEST_BYTES);
  for (;;) {
    if (!hasRoom(client, nbdExport)) yield* untilRoom(client, nbdExport);
    const head = yield* channelReadHeader(client.channel, memory.length, SITE_REQUEST, memory);
    const request = head === null ? null : requestIn(head);
    if (request === null || request.type === nbd.NBD_CMD_DISC) break;
    const wrong = whatIsWrong(client, nbdExport, request);
    const goesOn =
      wrong === null
        ? yield* receive(client, nbdExport, request)
        : yield* refuse(client, request, wrong);
    if (!goesOn) break;
  }
  while (client.requests > 0) yield* qemuCoQueueWait(client.answered);
}

/** Whether the client may have another request. One that has none always may: nobody is held up for ever by those that do not read. */
function hasRoom(client: NbdClient, nbdExport: NbdExport): boolean {
  if (isFull(client)) return false;
  return client.requests === 0 || nbdExport.bytes < NBD_EXPORT_BYTES_MAX;
}

function isFull({ requests, bytes }: NbdClient): boolean {
  return requests >= NBD_CLIENT_REQUESTS_MAX || bytes >= NBD_CLIENT_BYTES_MAX;
}

function* untilRoom(client: NbdClient, nbdExport: NbdExport): Co<void> {
  while (!hasRoom(client, nbdExport))
    yield* qemuCoQueueWait(isFull(client) ? client.answered : nbdExport.room);
}

/** What the client asks for; null when it is nonsense. */
function requestIn(head: Uint8Array<ArrayBuffer>): NbdRequest | null {
  const fields = new MessageReader(head);
  if (fields.u32() !== nbd.NBD_REQUEST_MAGIC) return null;
  const flags = fields.u16();
  const type = fields.u16();
  const cookie = fields.word64();
  const from = fields.offset64();
  const length = fields.u32();
  return { type, flags, cookie, from, length, buffer: null };
}

/** nbd_co_receive_request: a request without fault begins when its payload has come; false when the client is gone. */
function receive(client: NbdClient, nbdExport: NbdExport, request: NbdRequest): Co<boolean> {
  const { type, flags, cookie, from, length } = request;
  const buffer = bufferFor(client, nbdExport, request);
  const complete = { type, flags, cookie, from, length, buffer };
  if (type !== nbd.NBD_CMD_WRITE || buffer === null) {
    begin(client, nbdExport, complete);
    return settled(true);
  }
  return coThen(channelReadInto(client.channel, buffer, 0, length), (isThere) => {
    if (isThere) begin(client, nbdExport, complete);
    return isThere;
  });
}

/** Say what is wrong with a request; false when the client is gone, or nobody knows where its next request begins. */
function* refuse(client: NbdClient, request: NbdRequest, wrong: Refusal): Co<boolean> {
  const { type, length, cookie } = request;
  // What a write of more than there may be is followed by is not read: that could be anything.
  const isTooLong = type === nbd.NBD_CMD_WRITE && length > nbd.NBD_BUFFER_BYTES_MAX;
  if (type === nbd.NBD_CMD_WRITE && !isTooLong && !(yield* channelSkip(client.channel, length)))
    return false;
  return (yield* sendError(client, cookie, wrong.errno, wrong.why)) && !isTooLong;
}

/** Memory for the payload. */
function bufferFor(
  client: NbdClient,
  { spareBuffers }: NbdExport,
  { type, length }: NbdRequest,
): GuestBuffer | null {
  if (type === nbd.NBD_CMD_WRITE) return spareBuffers.take(length);
  if (type === nbd.NBD_CMD_READ) return spareBuffers.take(readHeaderBytes(client, length) + length);
  return null;
}

interface Refusal {
  readonly errno: number;
  readonly why: string;
}

const WRITES: readonly number[] = [nbd.NBD_CMD_WRITE, nbd.NBD_CMD_WRITE_ZEROES, nbd.NBD_CMD_TRIM];
const MOVES_BYTES: readonly number[] = [nbd.NBD_CMD_READ, nbd.NBD_CMD_WRITE, nbd.NBD_CMD_CACHE];

/** What the protocol forbids, or the export. */
function whatIsWrong(
  client: NbdClient,
  { size, writable }: NbdExport,
  { type, flags, from, length }: NbdRequest,
): Refusal | null {
  if (MOVES_BYTES.includes(type) && length > nbd.NBD_BUFFER_BYTES_MAX)
    return {
      errno: EINVAL,
      why: `len (${length}) is larger than max len (${nbd.NBD_BUFFER_BYTES_MAX})`,
    };
  if (!writable && WRITES.includes(type)) return { errno: EROFS, why: "Export is read-only" };
  if (from > size || length > size - from) {
    const errno = WRITES.includes(type) && type !== nbd.NBD_CMD_TRIM ? ENOSPC : EINVAL;
    return { errno, why: `operation past EOF; From: ${from}, Len: ${length}, Size: ${size}` };
  }
  if ((flags & ~flagsOf(client, type)) !== 0)
    return {
      errno: EINVAL,
      why: `unsupported flags for command ${commandName(type)} (got 0x${flags.toString(16)})`,
    };
  return null;
}

function commandName(type: number): string {
  return nbd.COMMAND_NAMES.get(type) ?? "<unknown>";
}

function flagsOf(client: NbdClient, type: number): number {
  if (type === nbd.NBD_CMD_READ && client.structuredReply)
    return nbd.NBD_CMD_FLAG_FUA | nbd.NBD_CMD_FLAG_DF;
  if (type === nbd.NBD_CMD_WRITE_ZEROES)
    return nbd.NBD_CMD_FLAG_FUA | nbd.NBD_CMD_FLAG_NO_HOLE | nbd.NBD_CMD_FLAG_FAST_ZERO;
  if (type === nbd.NBD_CMD_BLOCK_STATUS) return nbd.NBD_CMD_FLAG_FUA | nbd.NBD_CMD_FLAG_REQ_ONE;
  return nbd.NBD_CMD_FLAG_FUA;
}

/** The request runs by itself from here on. */
function begin(client: NbdClient, nbdExport: NbdExport, request: NbdRequest): void {
  const bytes = request.buffer?.length ?? 0;
  client.requests++;
  client.bytes += bytes;
  nbdExport.bytes += bytes;
  aioCoEnter(
    nbdExport.blk.ctx,
    qemuCoroutineCreate(() =>
      coLater(
        () => handle(client, nbdExport, request),
        () => answered(client, nbdExport, request),
      ),
    ),
  );
}

/** What one request costs the client and the export is given back when it is answered. */
function answered(client: NbdClient, nbdExport: NbdExport, request: NbdRequest): void {
  const bytes = request.buffer?.length ?? 0;
  client.requests--;
  client.bytes -= bytes;
  if (request.buffer !== null) nbdExport.spareBuffers.give(request.buffer);
  nbdExport.bytes -= bytes;
  assert(client.bytes >= 0, "no more bytes are given back than were taken");
  assert(nbdExport.bytes >= client.bytes, "an export has the bytes of its clients");
  // Not for each short one: who receives one request when there is room for one, is entered anew for every request.
  if (client.requests <= NBD_CLIENT_REQUESTS_LOW || bytes >= NBD_LONG_BYTES)
    qemuCoQueueRestartAll(client.answered);
  qemuCoQueueRestartAll(nbdExport.room);
}

/** nbd_handle_request (nbd/server.c:2490). */
function handle(client: NbdClient, { blk }: NbdExport, request: NbdRequest): Co<unknown> {
  const { type, flags } = request;
  const fua = (flags & nbd.NBD_CMD_FLAG_FUA) !== 0;
  switch (type) {
    case nbd.NBD_CMD_READ:
      return readCommand(client, blk, request, fua);
    case nbd.NBD_CMD_WRITE:
      return write(client, blk, request, fua);
    case nbd.NBD_CMD_WRITE_ZEROES:
      return writeZeroes(client, blk, request);
    case nbd.NBD_CMD_FLUSH:
      return flush(client, blk, request);
    case nbd.NBD_CMD_TRIM:
      return trim(client, blk, request, fua);
    case nbd.NBD_CMD_CACHE:
      return cache(client, blk, request);
    case nbd.NBD_CMD_BLOCK_STATUS:
      return blockStatus(client, blk, request);
    default:
      return sendError(client, request.cookie, EINVAL, `invalid request type (${type}) received`);
  }
}

type Blk = NbdExport["blk"];

function write(client: NbdClient, blk: Blk, request: NbdRequest, fua: boolean): Co<boolean> {
  const { buffer, from, length, cookie } = request;
  assert(buffer !== null, "a write has its payload");
  return coChain(
    blkCoPwritev(blk, from, length, { buffer, start: 0 }, fua ? BDRV_REQ_FUA : 0),
    (ret) => sendResult(client, cookie, ret, "writing to file failed"),
  );
}

function* writeZeroes(client: NbdClient, blk: Blk, request: NbdRequest): Co<void> {
  const { from, length, flags, cookie } = request;
  const ret = yield* blkCoPwriteZeroes(blk, from, length, zeroFlags(flags));
  yield* sendResult(client, cookie, ret, "writing to file failed");
}

function* flush(client: NbdClient, blk: Blk, { cookie }: NbdRequest): Co<void> {
  yield* sendResult(client, cookie, yield* blkCoFlush(blk), "flush failed");
}

function* trim(client: NbdClient, blk: Blk, request: NbdRequest, fua: boolean): Co<void> {
  let ret = yield* blkCoPdiscard(blk, request.from, request.length);
  if (ret >= 0 && fua) ret = yield* blkCoFlush(blk);
  yield* sendResult(client, request.cookie, ret, "discard failed");
}

function zeroFlags(flags: number): number {
  return (
    ((flags & nbd.NBD_CMD_FLAG_FUA) === 0 ? 0 : BDRV_REQ_FUA) |
    ((flags & nbd.NBD_CMD_FLAG_NO_HOLE) === 0 ? BDRV_REQ_MAY_UNMAP : 0) |
    ((flags & nbd.NBD_CMD_FLAG_FAST_ZERO) === 0 ? 0 : BDRV_REQ_NO_FALLBACK)
  );
}

/** nbd_co_send_block_status: one chunk a context that the client chose. */
function* blockStatus(client: NbdClient, blk: NbdExport["blk"], request: NbdRequest): Co<void> {
  const { cookie, from, length, flags } = request;
  const contexts = client.metaContexts;
  if (length === 0 || contexts.length === 0) {
    const why = length === 0 ? "need non-zero length" : "CMD_BLOCK_STATUS not negotiated";
    yield* sendError(client, cookie, EINVAL, why);
    return;
  }
  const one = (flags & nbd.NBD_CMD_FLAG_REQ_ONE) !== 0;
  for (const [index, context] of contexts.entries()) {
    const extents = yield* extentsOf(blk, context, { offset: from, length, one });
    if (typeof extents === "number") {
      yield* sendError(client, cookie, -extents, "can't get block status");
      return;
    }
    const done = index === contexts.length - 1 ? nbd.NBD_REPLY_FLAG_DONE : 0;
    const payload = 4 + 8 * extents.length;
    const message = new MessageWriter(nbd.NBD_CHUNK_BYTES + payload);
    putChunkHead(message, cookie, done, nbd.NBD_REPLY_TYPE_BLOCK_STATUS, payload).u32(context.id);
    for (const extent of extents) message.u32(extent.length).u32(extent.flags);
    if (!(yield* channelWrite(client.channel, message.done()))) return;
  }
}

function* cache(client: NbdClient, blk: Blk, { from, length, cookie }: NbdRequest): Co<void> {
  const ret = yield* readAndForget(blk, from, length);
  yield* sendResult(client, cookie, ret, "caching data failed");
}

/** Read what lies there, for the sake of the caches below. */
function* readAndForget(blk: Blk, from: number, length: number): Co<number> {
  const buffer = hostAllocate(Math.min(length, CACHE_BYTES));
  for (let done = 0; done < length; done += CACHE_BYTES) {
    const bytes = Math.min(CACHE_BYTES, length - done);
    const ret = yield* blkCoPreadv(blk, from + done, bytes, { buffer, start: 0 });
    if (ret < 0) return ret;
  }
  return 0;
}
