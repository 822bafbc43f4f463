// READ: as one answer, or, for clients that understand chunks, with holes that are only named.

import { blkCoBlockStatusAbove, blkCoFlush, blkCoPreadv } from "#core/backend";
import { assert, strerror } from "#core/base";
import { BDRV_BLOCK_ZERO } from "#core/graph";
import type { Co } from "#core/sched";
import { channelSend, channelWrite, MessageWriter, putHeader, type Word64 } from "./channel.ts";
import type { NbdClient, NbdRequest } from "./client.ts";
import type { NbdExport } from "./export.ts";
import * as nbd from "./protocol.ts";
import { chunkHead, sendError, simpleReply } from "./replies.ts";

/** A simple reply's header, or that of a chunk with its offset; nothing was read: of a chunk without. */
export function readHeaderBytes(client: NbdClient, length: number): number {
  if (!client.structuredReply) return nbd.NBD_SIMPLE_REPLY_BYTES;
  return nbd.NBD_CHUNK_BYTES + (length > 0 ? 8 : 0);
}

/** nbd_do_cmd_read (nbd/server.c:2428). */
export function* readCommand(
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
  if (client.structuredReply && length > 0 && (request.flags & nbd.NBD_CMD_FLAG_DF) === 0) {
    yield* sparseRead(client, blk, request);
    return;
  }
  const start = readHeaderBytes(client, length);
  const ret = yield* blkCoPreadv(blk, from, length, { buffer, start });
  if (ret < 0) {
    yield* sendError(client, cookie, -ret, "reading from file failed");
    return;
  }
  putHeader(buffer, 0, client.structuredReply ? wholeChunk(request) : simpleReply(cookie, 0));
  yield* channelSend(client.channel, buffer, 0, start + length);
}

/** All that was read as one chunk, or, where nothing was asked for, a chunk that only says that this was all. */
function wholeChunk({ cookie, from, length }: NbdRequest): Uint8Array {
  if (length > 0) return dataChunk(cookie, nbd.NBD_REPLY_FLAG_DONE, from, length);
  return chunkHead(cookie, nbd.NBD_REPLY_FLAG_DONE, nbd.NBD_REPLY_TYPE_NONE, 0);
}

/** The head of a chunk of `length` bytes of data that lie at `at`. */
function dataChunk(cookie: Word64, flags: number, at: number, length: number): Uint8Array {
  const head = chunkHead(cookie, flags, nbd.NBD_REPLY_TYPE_OFFSET_DATA, 8 + length);
  return new MessageWriter(head.length + 8).raw(head).offset64(at).done();
}

/** nbd_co_send_sparse_read (nbd/server.c:1974): what is known to read as zeroes is said to be a hole, the rest is read and sent. */
function* sparseRead(client: NbdClient, blk: NbdExport["blk"], request: NbdRequest): Co<void> {
  const { cookie, from, length } = request;
  for (let done = 0; done < length; ) {
    const { ret, pnum } = yield* blkCoBlockStatusAbove(blk, from + done, length - done);
    if (ret < 0) {
      const why = `unable to check for holes: ${strerror(-ret)}`;
      yield* sendError(client, cookie, -ret, why);
      return;
    }
    assert(pnum > 0 && pnum <= length - done, "a status is that of some of the bytes");
    const flags = done + pnum === length ? nbd.NBD_REPLY_FLAG_DONE : 0;
    const piece = { done, bytes: pnum, flags };
    const isHole = (ret & BDRV_BLOCK_ZERO) !== 0;
    const goesOn = isHole
      ? yield* sendHole(client, request, piece)
      : yield* readPiece(client, blk, request, piece);
    if (!goesOn) return;
    done += pnum;
  }
}

/** A part of a read: how far from its start, how long, and the flags of its chunk. */
interface Piece {
  readonly done: number;
  readonly bytes: number;
  readonly flags: number;
}

function* sendHole(
  client: NbdClient,
  { cookie, from }: NbdRequest,
  { done, bytes, flags }: Piece,
): Co<boolean> {
  const message = new MessageWriter(nbd.NBD_CHUNK_BYTES + 12)
    .raw(chunkHead(cookie, flags, nbd.NBD_REPLY_TYPE_OFFSET_HOLE, 12))
    .offset64(from + done)
    .u32(bytes);
  return yield* channelWrite(client.channel, message.done());
}

/** Where the bytes before it in the buffer were sent already, its head takes their place. */
function* readPiece(
  client: NbdClient,
  blk: NbdExport["blk"],
  { buffer, cookie, from }: NbdRequest,
  { done, bytes, flags }: Piece,
): Co<boolean> {
  assert(buffer !== null, "a read has room for its answer");
  const head = dataChunk(cookie, flags, from + done, bytes);
  const ret = yield* blkCoPreadv(blk, from + done, bytes, { buffer, start: done + head.length });
  if (ret < 0) {
    yield* sendError(client, cookie, -ret, "reading from file failed");
    return false;
  }
  putHeader(buffer, done, head);
  return yield* channelSend(client.channel, buffer, done, head.length + bytes);
}
