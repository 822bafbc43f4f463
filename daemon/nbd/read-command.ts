// READ: as one answer, or, for clients that understand chunks, with holes that are only named.

import { blkCoBlockStatusAbove, blkCoFlush, blkCoPreadv, blkNowIsData } from "#core/backend";
import { assert, strerror } from "#core/base";
import { BDRV_BLOCK_ZERO } from "#core/graph";
import type { StatusAbove } from "#core/io";
import { type Co, coChain, coThen } from "#core/sched";
import { channelSend, channelWrite, headerIn, MessageWriter } from "./channel.ts";
import type { NbdClient, NbdRequest } from "./client.ts";
import type { NbdExport } from "./export.ts";
import * as nbd from "./protocol.ts";
import { putChunkHead, putSimpleReply, sendError } from "./replies.ts";

/** A chunk of data begins with its offset. */
const DATA_HEAD_BYTES = nbd.NBD_CHUNK_BYTES + 8;

/** A simple reply's header, or that of a chunk with its offset; nothing was read: of a chunk without. */
export function readHeaderBytes(client: NbdClient, length: number): number {
  if (!client.structuredReply) return nbd.NBD_SIMPLE_REPLY_BYTES;
  return length > 0 ? DATA_HEAD_BYTES : nbd.NBD_CHUNK_BYTES;
}

/** nbd_do_cmd_read (nbd/server.c:2428). */
export function readCommand(
  client: NbdClient,
  blk: NbdExport["blk"],
  request: NbdRequest,
  fua: boolean,
): Co<boolean> {
  if (!fua) return readNow(client, blk, request);
  return coChain(blkCoFlush(blk), (ret) =>
    ret < 0
      ? sendError(client, request.cookie, -ret, "flush failed")
      : readNow(client, blk, request),
  );
}

function readNow(client: NbdClient, blk: NbdExport["blk"], request: NbdRequest): Co<boolean> {
  const { buffer, from, length, cookie, flags } = request;
  assert(buffer !== null, "a read has room for its answer");
  if (client.structuredReply && length > 0 && (flags & nbd.NBD_CMD_FLAG_DF) === 0)
    return sparseRead(client, blk, request);
  const start = readHeaderBytes(client, length);
  return coChain(blkCoPreadv(blk, from, length, { buffer, start }), (ret) => {
    if (ret < 0) return sendError(client, cookie, -ret, "reading from file failed");
    const head = headerIn(buffer, 0, start);
    if (client.structuredReply) putWhole(head, request);
    else putSimpleReply(head, cookie, 0);
    head.done();
    return channelSend(client.channel, buffer, 0, start + length);
  });
}

/** The head of all that was read as one chunk, or, where nothing was asked for, a chunk that only says that this was all. */
function putWhole(to: MessageWriter, { cookie, from, length }: NbdRequest): void {
  const flags = nbd.NBD_REPLY_FLAG_DONE;
  if (length === 0) putChunkHead(to, cookie, flags, nbd.NBD_REPLY_TYPE_NONE, 0);
  else putChunkHead(to, cookie, flags, nbd.NBD_REPLY_TYPE_OFFSET_DATA, 8 + length).offset64(from);
}

/** nbd_co_send_sparse_read (nbd/server.c:1974): what is known to read as zeroes is said to be a hole, the rest is read and sent. */
function sparseRead(client: NbdClient, blk: NbdExport["blk"], request: NbdRequest): Co<boolean> {
  const { from, length } = request;
  const whole = { done: 0, bytes: length, flags: nbd.NBD_REPLY_FLAG_DONE };
  if (blkNowIsData(blk, from, length)) return readPiece(client, blk, request, whole);
  return coChain(blkCoBlockStatusAbove(blk, from, length), (first) =>
    first.ret >= 0 && first.pnum === length
      ? sendPiece(client, blk, request, first, 0)
      : sendPieces(client, blk, request, first),
  );
}

/** A read whose first bytes are alike and the others are not, or one that fails. */
function* sendPieces(
  client: NbdClient,
  blk: NbdExport["blk"],
  request: NbdRequest,
  first: StatusAbove,
): Co<boolean> {
  const { cookie, from, length } = request;
  for (let done = 0, status = first; ; ) {
    const { ret, pnum } = status;
    if (ret < 0) {
      const why = `unable to check for holes: ${strerror(-ret)}`;
      return yield* sendError(client, cookie, -ret, why);
    }
    if (!(yield* sendPiece(client, blk, request, status, done))) return false;
    done += pnum;
    if (done === length) return true;
    status = yield* blkCoBlockStatusAbove(blk, from + done, length - done);
  }
}

/** The bytes from `done` on that are alike; false when there is no more to say. */
function sendPiece(
  client: NbdClient,
  blk: NbdExport["blk"],
  request: NbdRequest,
  { ret, pnum }: StatusAbove,
  done: number,
): Co<boolean> {
  const { length } = request;
  assert(pnum > 0 && pnum <= length - done, "a status is that of some of the bytes");
  const flags = done + pnum === length ? nbd.NBD_REPLY_FLAG_DONE : 0;
  const piece = { done, bytes: pnum, flags };
  return (ret & BDRV_BLOCK_ZERO) !== 0
    ? sendHole(client, request, piece)
    : readPiece(client, blk, request, piece);
}

/** A part of a read: how far from its start, how long, and the flags of its chunk. */
interface Piece {
  readonly done: number;
  readonly bytes: number;
  readonly flags: number;
}

function sendHole(
  client: NbdClient,
  { cookie, from }: NbdRequest,
  { done, bytes, flags }: Piece,
): Co<boolean> {
  const message = new MessageWriter(nbd.NBD_CHUNK_BYTES + 12);
  putChunkHead(message, cookie, flags, nbd.NBD_REPLY_TYPE_OFFSET_HOLE, 12)
    .offset64(from + done)
    .u32(bytes);
  return channelWrite(client.channel, message.done());
}

/** Where the bytes before it in the buffer were sent already, its head takes their place. */
function readPiece(
  client: NbdClient,
  blk: NbdExport["blk"],
  { buffer, cookie, from }: NbdRequest,
  { done, bytes, flags }: Piece,
): Co<boolean> {
  assert(buffer !== null, "a read has room for its answer");
  const start = done + DATA_HEAD_BYTES;
  return coChain(blkCoPreadv(blk, from + done, bytes, { buffer, start }), (ret) => {
    if (ret < 0)
      return coThen(sendError(client, cookie, -ret, "reading from file failed"), () => false);
    const head = headerIn(buffer, done, DATA_HEAD_BYTES);
    putChunkHead(head, cookie, flags, nbd.NBD_REPLY_TYPE_OFFSET_DATA, 8 + bytes)
      .offset64(from + done)
      .done();
    return channelSend(client.channel, buffer, done, DATA_HEAD_BYTES + bytes);
  });
}
