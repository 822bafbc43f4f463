// Requests on the connection: sent one after the other, answered in any order.
//
//     sendRequest     a slot, a connection (made anew if it was lost and nobody else is under way), the request on the wire
//     receiveChunk    the next header that is this request's; others are handed to those that wait for them
//     nbdRequest      both, and again after the connection was lost, as long as requests are to wait for another
//
// An error of the connection closes the socket, which lets everybody else's reads and writes fail, too. A drain waits for
// requests: those that wait for a connection end with the reconnect delay.

import { assert, EINVAL, EIO, type HostHandle } from "../../base/index.ts";
import type { BlockDriverState, Qiov } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import {
  aioCoWake,
  type Co,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  qemuCoQueueNext,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  qemuCoroutineSelf,
  qemuCoroutineYield,
  socketClose,
} from "../../sched/index.ts";
import { reconnectAttempt } from "./connect.ts";
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_READ,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_FLAG_ERROR,
  NBD_REPLY_TYPE_NONE,
  NBD_REQUEST_MAGIC,
  NBD_REQUESTS_MAX,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STRING_BYTES_MAX,
  NBD_STRUCTURED_REPLY_MAGIC,
  nbdErrnoToSystemErrno,
} from "./protocol.ts";
import { type NbdClientState, type NbdReply, type NbdSlot, nbdStateOf } from "./state.ts";
import { message, readHeader, send } from "./wire.ts";

const SITE_REQUEST = site("nbd_co_request");
const SITE_SEND = site("nbd_co_send_request");
const SITE_REPLY = site("nbd_receive_reply");
const SITE_ERROR = site("nbd_co_receive_one_chunk");

/** C: NBDRequest. */
export interface NbdRequest {
  readonly type: number;
  readonly flags: number;
  readonly from: number;
  readonly length: number;
  /** What is written. */
  readonly payload: Qiov | null;
}

/**
 * Takes the payload of one chunk of a good reply; 0 when all of it was read and makes sense, else a negated errno: the server does
 * not keep to the protocol (-EINVAL), or the connection is lost (-EIO).
 */
export type ChunkReader = (socket: HostHandle, reply: NbdReply) => Co<number>;

/** nbd_co_request (block/nbd.c:1169): 0 or a negated errno: the server's, or -EIO without a connection. */
export function* nbdRequest(
  bs: BlockDriverState,
  request: NbdRequest,
  readChunk: ChunkReader,
): Co<number> {
  ioCode(bs.aioContext, SITE_REQUEST);
  const state = nbdStateOf(bs);
  assert(request.length >= 0, "byte counts are not negative");
  for (;;) {
    const sent = yield* sendRequest(bs, request);
    const answer =
      typeof sent === "number" ? { lost: sent } : yield* receiveAnswer(state, sent, readChunk);
    if (!("lost" in answer)) return answer.ret;
    // nbd_client_will_reconnect
    if (state.state !== "connecting-wait") return answer.lost;
  }
}

/** nbd_co_send_request (block/nbd.c:458): the slot of a request that is on its way, or a negated errno. */
function* sendRequest(bs: BlockDriverState, request: NbdRequest): Co<NbdSlot | number> {
  ioCode(bs.aioContext, SITE_SEND);
  const state = nbdStateOf(bs);
  while (isFull(state)) yield* qemuCoQueueWait(state.freeSema);
  state.inFlight++;
  if (state.state === "connecting-wait" || state.state === "connecting-nowait") {
    yield* reconnectAttempt(bs);
    qemuCoQueueRestartAll(state.freeSema);
  }
  const { socket } = state;
  if (state.state !== "connected" || socket === null) {
    release(state);
    return -EIO;
  }
  const slot = takeSlot(state, request);
  const { type, flags, from, length, payload } = request;
  const handle = [8, slot.index + 1] as const;
  const head = message(
    [4, NBD_REQUEST_MAGIC],
    [2, flags],
    [2, type],
    handle,
    [8, from],
    [4, length],
  );
  yield* qemuCoMutexLock(state.sendMutex);
  const bytes = payload === null ? 0 : length;
  const ret = state.socket === socket ? yield* send(socket, head, payload, bytes) : -EIO;
  qemuCoMutexUnlock(state.sendMutex);
  if (ret >= 0) return slot;
  channelError(state, ret);
  endSlot(state, slot);
  return ret;
}

function isFull(state: NbdClientState): boolean {
  return state.inFlight === NBD_REQUESTS_MAX || (state.state !== "connected" && state.inFlight > 0);
}

function takeSlot(state: NbdClientState, { type }: NbdRequest): NbdSlot {
  const index = state.slots.indexOf(null);
  assert(index >= 0, "there are as many slots as requests");
  const onlyChunks =
    state.info?.structuredReply === true &&
    (type === NBD_CMD_READ || type === NBD_CMD_BLOCK_STATUS);
  const slot: NbdSlot = { index, co: qemuCoroutineSelf(), onlyChunks, receiving: false };
  state.slots[index] = slot;
  return slot;
}

function endSlot(state: NbdClientState, slot: NbdSlot): void {
  assert(state.slots[slot.index] === slot, "a slot is given back once");
  state.slots[slot.index] = null;
  release(state);
}

function release(state: NbdClientState): void {
  assert(state.inFlight > 0, "a request ends once");
  state.inFlight--;
  qemuCoQueueNext(state.freeSema);
}

/** nbd_channel_error (block/nbd.c:169): -EIO is a lost connection, all else a server that does not keep to the protocol. */
function channelError(state: NbdClientState, ret: number): void {
  const { socket } = state;
  const wasConnected = state.state === "connected";
  if (ret !== -EIO) state.state = "quit";
  else if (wasConnected)
    state.state = state.options.reconnectDelayNs > 0 ? "connecting-wait" : "connecting-nowait";
  if (socket === null) return;
  state.socket = null;
  socketClose(socket);
}

/** What has come of a request: the server's word, or nothing, as the connection was lost. */
type Answer = { readonly ret: number } | { readonly lost: number };

/** NBD_FOREACH_REPLY_CHUNK: all chunks of the reply. */
function* receiveAnswer(state: NbdClientState, slot: NbdSlot, readChunk: ChunkReader): Co<Answer> {
  let error = 0;
  for (;;) {
    const reply = yield* receiveHeader(state, slot);
    let ret = typeof reply === "number" ? reply : 0;
    if (typeof reply !== "number") {
      const chunk = yield* readBody(state, reply, readChunk);
      if ("lost" in chunk) ret = chunk.lost;
      else if (error === 0) error = chunk.ret;
      state.reply = null;
    }
    if (ret < 0) channelError(state, ret);
    yield* wakeOneReceiver(state);
    const isLast = typeof reply === "number" || (reply.flags & NBD_REPLY_FLAG_DONE) !== 0;
    if (ret === 0 && !isLast) continue;
    endSlot(state, slot);
    return ret < 0 ? { lost: ret } : { ret: error };
  }
}

/** nbd_receive_replies (block/nbd.c:401): the header of the next chunk for `slot`, or a negated errno. */
function* receiveHeader(state: NbdClientState, slot: NbdSlot): Co<NbdReply | number> {
  yield* qemuCoMutexLock(state.receiveMutex);
  let found: NbdReply | number | null = null;
  while (found === null) {
    if (state.reply?.index === slot.index) found = state.reply;
    else if (state.reply !== null) yield* waitForReceiver(state, slot);
    else found = yield* readNextHeader(state, slot);
  }
  qemuCoMutexUnlock(state.receiveMutex);
  return found;
}

/** Somebody else's payload is being read. */
function* waitForReceiver(state: NbdClientState, slot: NbdSlot): Co<void> {
  slot.receiving = true;
  qemuCoMutexUnlock(state.receiveMutex);
  yield* qemuCoroutineYield();
  yield* qemuCoMutexLock(state.receiveMutex);
  assert(!slot.receiving, "who wakes a receiver says so");
}

/** Read a header: `slot`'s own, or null after handing it to whom it belongs; or a negated errno. */
function* readNextHeader(state: NbdClientState, slot: NbdSlot): Co<NbdReply | number | null> {
  const { socket } = state;
  if (socket === null) return -EIO;
  const reply = yield* receiveReply(socket);
  if (state.socket !== socket) return -EIO;
  if (typeof reply === "number") return reply;
  const owner = state.slots[reply.index];
  if (owner === undefined || owner === null) return -EINVAL;
  if (reply.isStructured && state.info?.structuredReply !== true) return -EINVAL;
  if (!reply.isStructured && owner.onlyChunks) return -EINVAL;
  state.reply = reply;
  if (owner === slot) return reply;
  wake(owner);
  return null;
}

function wake(slot: NbdSlot): void {
  if (!slot.receiving) return;
  slot.receiving = false;
  aioCoWake(slot.co);
}

/** nbd_recv_coroutines_wake (block/nbd.c:137): whoever waits reads on. */
function* wakeOneReceiver(state: NbdClientState): Co<void> {
  yield* qemuCoMutexLock(state.receiveMutex);
  const waiting = state.slots.find((slot) => slot?.receiving === true);
  if (waiting !== undefined && waiting !== null) wake(waiting);
  qemuCoMutexUnlock(state.receiveMutex);
}

/** nbd_receive_reply (nbd/client.c:1407). */
function* receiveReply(socket: HostHandle): Co<NbdReply | number> {
  const head = yield* readHeader(socket, 16, SITE_REPLY);
  if (typeof head === "number") return head;
  const magic = head.getUint32(0);
  // The handle is this client's own: the number of the slot, and one.
  if (head.getUint32(8) !== 0) return -EINVAL;
  const index = head.getUint32(12) - 1;
  if (magic === NBD_SIMPLE_REPLY_MAGIC) {
    const error = head.getUint32(4);
    const simple = { flags: NBD_REPLY_FLAG_DONE, type: NBD_REPLY_TYPE_NONE, length: 0 };
    return { index, isStructured: false, error, ...simple };
  }
  if (magic !== NBD_STRUCTURED_REPLY_MAGIC) return -EINVAL;
  const length = yield* readHeader(socket, 4, SITE_REPLY);
  if (typeof length === "number") return length;
  return {
    index,
    isStructured: true,
    error: 0,
    flags: head.getUint16(4),
    type: head.getUint16(6),
    length: length.getUint32(0),
  };
}

/** What follows a header: an error, nothing, or what the request asked for. */
function* readBody(state: NbdClientState, reply: NbdReply, readChunk: ChunkReader): Co<Answer> {
  const { socket } = state;
  if (socket === null) return { lost: -EIO };
  if (!reply.isStructured && reply.error !== 0) return { ret: -nbdErrnoToSystemErrno(reply.error) };
  if ((reply.type & NBD_REPLY_TYPE_FLAG_ERROR) !== 0) return yield* readError(socket, reply);
  if (reply.isStructured && reply.type === NBD_REPLY_TYPE_NONE) {
    const isFine = reply.length === 0 && (reply.flags & NBD_REPLY_FLAG_DONE) !== 0;
    return isFine ? { ret: 0 } : { lost: -EINVAL };
  }
  const ret = yield* readChunk(socket, reply);
  if (ret < 0) return { lost: ret };
  return state.socket === socket ? { ret: 0 } : { lost: -EIO };
}

/** nbd_parse_error_payload (block/nbd.c:681): the error, and what the server says of it, which nobody hears. */
function* readError(socket: HostHandle, { length }: NbdReply): Co<Answer> {
  if (length < 6 || length > 6 + 8 + NBD_STRING_BYTES_MAX) return { lost: -EINVAL };
  const body = yield* readHeader(socket, length, SITE_ERROR);
  if (typeof body === "number") return { lost: body };
  const error = body.getUint32(0);
  if (error === 0 || body.getUint16(4) > length - 6) return { lost: -EINVAL };
  return { ret: -nbdErrnoToSystemErrno(error) };
}
