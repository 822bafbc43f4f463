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
import {
  assert,
  EACCES,
  ECANCELED,
  EINVAL,
  ENOMEM,
  ENOSPC,
  ENOTSUP,
  EPERM,
  EROFS,
  type SiteId,
} from "#core/base";
import { BDRV_REQ_FUA, BDRV_REQ_MAY_UNMAP } from "#core/graph";
import { site } from "#core/probe";
import {
  aioCoEnter,
  type Co,
  type GuestBuffer,
  hostAllocate,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  qemuCoroutineCreate,
} from "#core/sched";
import {
  channelReadHeader,
  channelReadInto,
  channelSend,
  channelSkip,
  channelWrite,
  MessageReader,
  MessageWriter,
  putHeader,
  utf8,
} from "./channel.ts";
import type { NbdClient } from "./client.ts";
import type { NbdExport } from "./export.ts";
import { NBD_CLIENT_BYTES_MAX, NBD_CLIENT_REQUESTS_MAX } from "./limits.ts";
import { extentsOf } from "./meta-context.ts";
import * as nbd from "./protocol.ts";

const SITE_REQUEST: SiteId = site("nbd_receive_request");

/** Bytes that a CACHE request reads at a time. */
const CACHE_BYTES = 1024 * 1024;

/** C: NBDRequest. */
interface NbdRequest {
  readonly type: number;
  readonly flags: number;
  /** The client's, opaque: it comes back with the answer. */
  readonly cookie: bigint;
  readonly from: number;
  readonly length: number;
  /** Of a write what to write; of a read where to read to, with room for the answer's header in front. */
  readonly buffer: GuestBuffer | null;
}

/** nbd_trip (nbd/server.c:2623) in a loop, until the client goes; returns when its last request is answered. Common. */
export function* nbdTransmit(client: NbdClient, nbdExport: NbdExport): Co<void> {
  for (;;) {
    while (isFull(client)) yield* qemuCoQueueWait(client.answered);
    const request = yield* receive(client, nbdExport);
    if (request === null) break;
    begin(client, nbdExport, request);
  }
  while (client.requests > 0) yield* qemuCoQueueWait(client.answered);
}

function isFull(client: NbdClient): boolean {
  return client.requests >= NBD_CLIENT_REQUESTS_MAX || client.bytes >= NBD_CLIENT_BYTES_MAX;
}

/** nbd_co_receive_request: the next request with its payload; null when the client is gone, or says nonsense. */
function* receive(client: NbdClient, nbdExport: NbdExport): Co<NbdRequest | null> {
  const { channel } = client;
  for (;;) {
    const head = yield* channelReadHeader(channel, nbd.NBD_REQUEST_BYTES, SITE_REQUEST);
    if (head === null) return null;
    const fields = new MessageReader(head);
    if (fields.u32() !== nbd.NBD_REQUEST_MAGIC) return null;
    const flags = fields.u16();
    const type = fields.u16();
    const cookie = fields.u64();
    const from = Number(fields.u64());
    const length = fields.u32();
    if (type === nbd.NBD_CMD_DISC) return null;
    const request = { type, flags, cookie, from, length, buffer: null };
    const wrong = whatIsWrong(client, nbdExport, request);
    if (wrong !== null) {
      if (type === nbd.NBD_CMD_WRITE && !(yield* channelSkip(channel, length))) return null;
      if (!(yield* sendError(client, cookie, wrong.errno, wrong.why))) return null;
      continue;
    }
    const buffer = bufferFor(client, request);
    if (type === nbd.NBD_CMD_WRITE && buffer !== null) {
      if (!(yield* channelReadInto(channel, buffer, 0, length))) return null;
    }
    return { ...request, buffer };
  }
}

/** Memory for the payload. */
function bufferFor(client: NbdClient, { type, length }: NbdRequest): GuestBuffer | null {
  if (type === nbd.NBD_CMD_WRITE) return hostAllocate(length);
  if (type === nbd.NBD_CMD_READ) return hostAllocate(readHeaderBytes(client, length) + length);
  return null;
}

/** A simple reply's header, or that of a chunk with its offset; nothing was read: of a chunk without. */
function readHeaderBytes(client: NbdClient, length: number): number {
  if (!client.structuredReply) return nbd.NBD_SIMPLE_REPLY_BYTES;
  return nbd.NBD_CHUNK_BYTES + (length > 0 ? 8 : 0);
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
      why: `unsupported flags for command ${type} (got 0x${flags.toString(16)})`,
    };
  return null;
}

function flagsOf(client: NbdClient, type: number): number {
  if (type === nbd.NBD_CMD_READ && client.structuredReply)
    return nbd.NBD_CMD_FLAG_FUA | nbd.NBD_CMD_FLAG_DF;
  if (type === nbd.NBD_CMD_WRITE_ZEROES) return nbd.NBD_CMD_FLAG_FUA | nbd.NBD_CMD_FLAG_NO_HOLE;
  if (type === nbd.NBD_CMD_BLOCK_STATUS) return nbd.NBD_CMD_FLAG_FUA | nbd.NBD_CMD_FLAG_REQ_ONE;
  return nbd.NBD_CMD_FLAG_FUA;
}

/** The request runs by itself from here on. */
function begin(client: NbdClient, nbdExport: NbdExport, request: NbdRequest): void {
  const bytes = request.buffer?.length ?? 0;
  client.requests++;
  client.bytes += bytes;
  const co = qemuCoroutineCreate(function* (): Co<void> {
    yield* handle(client, nbdExport, request);
    client.requests--;
    client.bytes -= bytes;
    assert(client.bytes >= 0, "no more bytes are given back than were taken");
    qemuCoQueueRestartAll(client.answered);
  });
  aioCoEnter(nbdExport.blk.ctx, co);
}

/** nbd_handle_request (nbd/server.c:2490). */
function* handle(client: NbdClient, { blk }: NbdExport, request: NbdRequest): Co<void> {
  const { type, flags, from, length } = request;
  const fua = (flags & nbd.NBD_CMD_FLAG_FUA) !== 0;
  switch (type) {
    case nbd.NBD_CMD_READ:
      yield* read(client, blk, request, fua);
      return;
    case nbd.NBD_CMD_WRITE: {
      assert(request.buffer !== null, "a write has its payload");
      const qiov = { buffer: request.buffer, start: 0 };
      const ret = yield* blkCoPwritev(blk, from, length, qiov, fua ? BDRV_REQ_FUA : 0);
      yield* sendResult(client, request.cookie, ret, "writing to file failed");
      return;
    }
    case nbd.NBD_CMD_WRITE_ZEROES: {
      const unmap = (flags & nbd.NBD_CMD_FLAG_NO_HOLE) === 0 ? BDRV_REQ_MAY_UNMAP : 0;
      const ret = yield* blkCoPwriteZeroes(blk, from, length, unmap | (fua ? BDRV_REQ_FUA : 0));
      yield* sendResult(client, request.cookie, ret, "writing to file failed");
      return;
    }
    case nbd.NBD_CMD_FLUSH:
      yield* sendResult(client, request.cookie, yield* blkCoFlush(blk), "flush failed");
      return;
    case nbd.NBD_CMD_TRIM: {
      let ret = yield* blkCoPdiscard(blk, from, length);
      if (ret >= 0 && fua) ret = yield* blkCoFlush(blk);
      yield* sendResult(client, request.cookie, ret, "discard failed");
      return;
    }
    case nbd.NBD_CMD_CACHE: {
      const ret = yield* cache(blk, from, length);
      yield* sendResult(client, request.cookie, ret, "caching data failed");
      return;
    }
    case nbd.NBD_CMD_BLOCK_STATUS:
      yield* blockStatus(client, blk, request);
      return;
    default:
      yield* sendError(client, request.cookie, EINVAL, `invalid request type (${type}) received`);
  }
}

/** nbd_do_cmd_read (nbd/server.c:2428). */
function* read(
  client: NbdClient,
  blk: NbdExport["blk"],
  request: NbdRequest,
  fua: boolean,
): Co<void> {
  const { buffer, from, length, cookie } = request;
  assert(buffer !== null, "a read has room for its answer");
  const flushed = fua ? yield* blkCoFlush(blk) : 0;
  if (flushed < 0) {
    yield* sendError(client, cookie, -flushed, "flush failed");
    return;
  }
  const start = readHeaderBytes(client, length);
  const ret = yield* blkCoPreadv(blk, from, length, { buffer, start });
  if (ret < 0) {
    yield* sendError(client, cookie, -ret, "reading from file failed");
    return;
  }
  putHeader(buffer, client.structuredReply ? chunkFor(request) : simpleReply(cookie, 0));
  yield* channelSend(client.channel, buffer, start + length);
}

/** All that was read as one chunk, or, where nothing was asked for, a chunk that only says that this was all. */
function chunkFor({ cookie, from, length }: NbdRequest): Uint8Array {
  const type = length > 0 ? nbd.NBD_REPLY_TYPE_OFFSET_DATA : nbd.NBD_REPLY_TYPE_NONE;
  const payload = length > 0 ? 8 + length : 0;
  const head = chunkHead(cookie, nbd.NBD_REPLY_FLAG_DONE, type, payload);
  if (length === 0) return head;
  return new MessageWriter(head.length + 8).raw(head).u64(BigInt(from)).done();
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
    const message = new MessageWriter(nbd.NBD_CHUNK_BYTES + payload)
      .raw(chunkHead(cookie, done, nbd.NBD_REPLY_TYPE_BLOCK_STATUS, payload))
      .u32(context.id);
    for (const extent of extents) message.u32(extent.length).u32(extent.flags);
    if (!(yield* channelWrite(client.channel, message.done()))) return;
  }
}

/** Read what lies there, for the sake of the caches below, and forget it. */
function* cache(blk: NbdExport["blk"], from: number, length: number): Co<number> {
  const buffer = hostAllocate(Math.min(length, CACHE_BYTES));
  for (let done = 0; done < length; done += CACHE_BYTES) {
    const bytes = Math.min(CACHE_BYTES, length - done);
    const ret = yield* blkCoPreadv(blk, from + done, bytes, { buffer, start: 0 });
    if (ret < 0) return ret;
  }
  return 0;
}

/** nbd_send_generic_reply; false when the client is gone. */
function* sendResult(client: NbdClient, cookie: bigint, ret: number, why: string): Co<boolean> {
  if (ret < 0) return yield* sendError(client, cookie, -ret, why);
  return yield* channelWrite(client.channel, simpleReply(cookie, 0));
}

/** An error; with a sentence where the client understands chunks. */
function* sendError(client: NbdClient, cookie: bigint, errno: number, why: string): Co<boolean> {
  const error = wireError(errno);
  if (!client.structuredReply)
    return yield* channelWrite(client.channel, simpleReply(cookie, error));
  const text = utf8(why);
  const head = chunkHead(
    cookie,
    nbd.NBD_REPLY_FLAG_DONE,
    nbd.NBD_REPLY_TYPE_ERROR,
    6 + text.length,
  );
  const message = new MessageWriter(head.length + 6 + text.length)
    .raw(head)
    .u32(error)
    .u16(text.length)
    .raw(text);
  return yield* channelWrite(client.channel, message.done());
}

function simpleReply(cookie: bigint, error: number): Uint8Array {
  return new MessageWriter(nbd.NBD_SIMPLE_REPLY_BYTES)
    .u32(nbd.NBD_SIMPLE_REPLY_MAGIC)
    .u32(error)
    .u64(cookie)
    .done();
}

function chunkHead(cookie: bigint, flags: number, type: number, payload: number): Uint8Array {
  return new MessageWriter(nbd.NBD_CHUNK_BYTES)
    .u32(nbd.NBD_STRUCTURED_REPLY_MAGIC)
    .u16(flags)
    .u16(type)
    .u64(cookie)
    .u32(payload)
    .done();
}

/** system_errno_to_nbd_errno: the protocol knows a few. */
function wireError(errno: number): number {
  switch (errno) {
    case EPERM:
    case EACCES:
    case EROFS:
      return nbd.NBD_EPERM;
    case ENOMEM:
      return nbd.NBD_ENOMEM;
    case ENOSPC:
      return nbd.NBD_ENOSPC;
    case ENOTSUP:
      return nbd.NBD_ENOTSUP;
    case ECANCELED:
      return nbd.NBD_ESHUTDOWN;
    case EINVAL:
      return nbd.NBD_EINVAL;
    default:
      return nbd.NBD_EIO;
  }
}
