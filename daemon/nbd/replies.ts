// Answers to requests, as messages: simple ones, and chunks for clients that understand those.

import {
  EACCES,
  ECANCELED,
  EINVAL,
  ENOMEDIUM,
  ENOMEM,
  ENOSPC,
  ENOTSUP,
  EPERM,
  EROFS,
} from "#core/base";
import type { Co } from "#core/sched";
import { channelWrite, MessageWriter, utf8, type Word64 } from "./channel.ts";
import type { NbdClient } from "./client.ts";
import * as nbd from "./protocol.ts";

/** nbd_send_generic_reply; false when the client is gone. */
export function sendResult(
  client: NbdClient,
  cookie: Word64,
  ret: number,
  why: string,
): Co<boolean> {
  if (ret < 0) return sendError(client, cookie, -ret, why);
  return channelWrite(client.channel, simpleReply(cookie, 0));
}

/** An error; with a sentence where the client understands chunks. */
export function sendError(
  client: NbdClient,
  cookie: Word64,
  errno: number,
  why: string,
): Co<boolean> {
  const error = wireError(errno);
  if (!client.structuredReply) return channelWrite(client.channel, simpleReply(cookie, error));
  const text = utf8(why);
  const payload = 6 + text.length;
  const message = new MessageWriter(nbd.NBD_CHUNK_BYTES + payload);
  putChunkHead(message, cookie, nbd.NBD_REPLY_FLAG_DONE, nbd.NBD_REPLY_TYPE_ERROR, payload)
    .u32(error)
    .u16(text.length)
    .raw(text);
  return channelWrite(client.channel, message.done());
}

/** An answer without chunks. */
function simpleReply(cookie: Word64, error: number): Uint8Array {
  return putSimpleReply(new MessageWriter(nbd.NBD_SIMPLE_REPLY_BYTES), cookie, error).done();
}

/** The head of an answer without chunks. */
export function putSimpleReply(to: MessageWriter, cookie: Word64, error: number): MessageWriter {
  return to.u32(nbd.NBD_SIMPLE_REPLY_MAGIC).u32(error).word64(cookie);
}

/** What every chunk begins with. */
export function putChunkHead(
  to: MessageWriter,
  cookie: Word64,
  flags: number,
  type: number,
  payload: number,
): MessageWriter {
  return to.u32(nbd.NBD_STRUCTURED_REPLY_MAGIC).u16(flags).u16(type).word64(cookie).u32(payload);
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
    case ENOMEDIUM:
      return nbd.NBD_EINVAL;
    default:
      return nbd.NBD_EIO;
  }
}
