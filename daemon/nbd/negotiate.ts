// The handshake, fixed newstyle: the server greets, the client sends options until one of them opens an export.
//
// Every option is answered, a wrong one with an error that says why, so that a client can go on. What cannot be answered ends the
// connection: a wrong magic number, a length that no option has, EXPORT_NAME for an export that is not there.

import { must, type SiteId } from "#core/base";
import { site } from "#core/probe";
import { type Co, type GuestBuffer, hostAllocate, hostDecide, socketHandshake } from "#core/sched";
import {
  channelReadHeader,
  channelSkip,
  channelWrite,
  MessageReader,
  MessageWriter,
  utf8,
} from "./channel.ts";
import type { NbdClient } from "./client.ts";
import { exportFlags, type NbdExport } from "./export.ts";
import { NBD_OPTIONS_MAX } from "./limits.ts";
import { matchingContexts, parseMetaQuery } from "./meta-context.ts";
import * as nbd from "./protocol.ts";
import type { NbdTls } from "./server.ts";

const SITE_FLAGS: SiteId = site("nbd_negotiate_options/flags");
const SITE_OPTION: SiteId = site("nbd_negotiate_options");
const SITE_DATA: SiteId = site("nbd_opt_read");
const SITE_PEER: SiteId = site("nbd_negotiate_handle_starttls");

/** Longest distinguished name of a peer. */
const PEER_BYTES_MAX = 4096;

/** Longest contents of an option that are looked at: a name and every information that there is. */
const OPTION_DATA_BYTES_MAX = 256 * 1024;
/** The greeting's 124 bytes of nothing, for clients that insist. */
const ZEROES = 124;

/** How an option ends: the next one, the export is open, or the connection is over. */
type Next = "next" | "open" | "over";

interface Option {
  readonly type: number;
  readonly data: MessageReader;
}

/** What a client said of itself in its first four bytes. */
interface ClientFlags {
  /** It wants the zeroes after the answer to EXPORT_NAME. */
  readonly zeroes: boolean;
  /** It understands answers to options. Who does not knows one option only, and that ends in either case. */
  readonly isFixed: boolean;
}

/** nbd_negotiate (nbd/server.c:1323): true when the client has opened an export, which is `client.nbdExport` then. Common. */
export function* nbdNegotiate(client: NbdClient): Co<boolean> {
  const { channel } = client;
  const greeting = new MessageWriter(18)
    .u64(nbd.NBDMAGIC)
    .u64(nbd.IHAVEOPT)
    .u16(nbd.NBD_FLAG_FIXED_NEWSTYLE | nbd.NBD_FLAG_NO_ZEROES);
  if (!(yield* channelWrite(channel, greeting.done()))) return false;
  const flagBytes = yield* channelReadHeader(channel, 4, SITE_FLAGS);
  if (flagBytes === null) return false;
  const flags = new MessageReader(flagBytes).u32();
  if ((flags & ~(nbd.NBD_FLAG_C_FIXED_NEWSTYLE | nbd.NBD_FLAG_C_NO_ZEROES)) !== 0) return false;
  const clientFlags = {
    zeroes: (flags & nbd.NBD_FLAG_C_NO_ZEROES) === 0,
    isFixed: (flags & nbd.NBD_FLAG_C_FIXED_NEWSTYLE) !== 0,
  };
  for (let left = NBD_OPTIONS_MAX; left > 0; left--) {
    const next = yield* nextOption(client, clientFlags);
    if (next !== "next") return next === "open";
  }
  return false;
}

function* nextOption(client: NbdClient, flags: ClientFlags): Co<Next> {
  const { channel } = client;
  const head = yield* channelReadHeader(channel, nbd.NBD_OPTION_BYTES, SITE_OPTION);
  if (head === null) return "over";
  const fields = new MessageReader(head);
  if (fields.u64() !== nbd.IHAVEOPT) return "over";
  const type = fields.u32();
  const length = fields.u32();
  if (length > nbd.NBD_BUFFER_BYTES_MAX) return "over";
  if (!flags.isFixed && type !== nbd.NBD_OPT_EXPORT_NAME) return "over";
  if (client.server.tls !== null && !client.isSecure)
    return yield* beforeTls(client, client.server.tls, type, length);
  if (length > OPTION_DATA_BYTES_MAX) {
    if (!(yield* channelSkip(channel, length))) return "over";
    return yield* refuse(client, type, nbd.NBD_REP_ERR_INVALID, "the option is too long");
  }
  const bytes = yield* channelReadHeader(channel, length, SITE_DATA);
  if (bytes === null) return "over";
  return yield* answer(client, { type, data: new MessageReader(bytes) }, flags.zeroes);
}

/** Until it has shaken hands, a client is told nothing: neither what exports there are, nor whether there are any. */
function* beforeTls(client: NbdClient, tls: NbdTls, type: number, length: number): Co<Next> {
  if (type === nbd.NBD_OPT_EXPORT_NAME) return "over";
  if (!(yield* channelSkip(client.channel, length))) return "over";
  if (type === nbd.NBD_OPT_STARTTLS) {
    if (length === 0) return yield* startTls(client, tls);
    yield* unexpectedLength(client, type);
    return "over";
  }
  const why = `Option 0x${type.toString(16)} not permitted before TLS`;
  const next = yield* refuse(client, type, nbd.NBD_REP_ERR_TLS_REQD, why);
  return type === nbd.NBD_OPT_ABORT ? "over" : next;
}

/** nbd_negotiate_handle_starttls (nbd/server.c:735). */
function* startTls(client: NbdClient, { creds, isAllowed }: NbdTls): Co<Next> {
  const { channel } = client;
  const acknowledged = yield* reply(client, nbd.NBD_OPT_STARTTLS, nbd.NBD_REP_ACK);
  if (acknowledged === "over" || channel.isClosed) return "over";
  const peer = hostAllocate(PEER_BYTES_MAX);
  const ret = yield* socketHandshake(channel.socket, creds, peer);
  if (ret < 0) return "over";
  // Who it is stays out of the trace: what was decided is in it.
  const nameOf = ({ data }: GuestBuffer) =>
    new TextDecoder().decode(must(data, "who decides has the name").subarray(0, ret));
  const isLetIn =
    isAllowed === null || hostDecide(SITE_PEER, () => (isAllowed(nameOf(peer)) ? 1 : 0)) === 1;
  client.isSecure = isLetIn;
  return isLetIn ? "next" : "over";
}

function* answer(client: NbdClient, option: Option, zeroes: boolean): Co<Next> {
  const { type, data } = option;
  switch (type) {
    case nbd.NBD_OPT_EXPORT_NAME:
      return yield* openByName(client, data, zeroes);
    case nbd.NBD_OPT_ABORT:
      yield* reply(client, type, nbd.NBD_REP_ACK);
      return "over";
    case nbd.NBD_OPT_LIST:
      return yield* list(client, option);
    case nbd.NBD_OPT_INFO:
    case nbd.NBD_OPT_GO:
      return yield* info(client, option);
    case nbd.NBD_OPT_STARTTLS:
      return yield* startTlsTooLate(client, option);
    case nbd.NBD_OPT_STRUCTURED_REPLY:
      return yield* structuredReply(client, option);
    case nbd.NBD_OPT_LIST_META_CONTEXT:
    case nbd.NBD_OPT_SET_META_CONTEXT:
      return yield* metaContexts(client, option);
    default:
      return yield* refuse(
        client,
        type,
        nbd.NBD_REP_ERR_UNSUP,
        `Unsupported option ${type} (${optionName(type)})`,
      );
  }
}

/** Where there are no credentials, or once they have been used. */
function* startTlsTooLate(client: NbdClient, { type, data }: Option): Co<Next> {
  if (data.left > 0) return yield* unexpectedLength(client, type);
  return client.isSecure
    ? yield* refuse(client, type, nbd.NBD_REP_ERR_INVALID, "TLS already enabled")
    : yield* refuse(client, type, nbd.NBD_REP_ERR_POLICY, "TLS not configured");
}

function optionName(type: number): string {
  return nbd.OPTION_NAMES.get(type) ?? "<unknown>";
}

/** nbd_negotiate_handle_export_name: there is no way to say that there is no such export. */
function* openByName(client: NbdClient, data: MessageReader, zeroes: boolean): Co<Next> {
  const name = data.left > nbd.NBD_STRING_BYTES_MAX ? null : data.text(data.left);
  const found = name === null ? undefined : client.server.exports.get(name);
  if (found === undefined) return "over";
  const message = new MessageWriter(10 + (zeroes ? ZEROES : 0))
    .u64(BigInt(found.size))
    .u16(flagsFor(client, found))
    .raw(new Uint8Array(zeroes ? ZEROES : 0));
  if (!(yield* channelWrite(client.channel, message.done()))) return "over";
  return open(client, found);
}

/** nbd_negotiate_handle_list. */
function* list(client: NbdClient, { type, data }: Option): Co<Next> {
  if (data.left > 0) return yield* unexpectedLength(client, type);
  for (const { name, description } of client.server.exports.values()) {
    const nameBytes = utf8(name);
    const descriptionBytes = utf8(description);
    const message = new MessageWriter(4 + nameBytes.length + descriptionBytes.length)
      .u32(nameBytes.length)
      .raw(nameBytes)
      .raw(descriptionBytes);
    const sent = yield* reply(client, type, nbd.NBD_REP_SERVER, message.done());
    if (sent === "over") return sent;
  }
  return yield* reply(client, type, nbd.NBD_REP_ACK);
}

function* structuredReply(client: NbdClient, { type, data }: Option): Co<Next> {
  if (data.left > 0) return yield* unexpectedLength(client, type);
  if (client.structuredReply) {
    const why = "structured reply already negotiated";
    return yield* refuse(client, type, nbd.NBD_REP_ERR_INVALID, why);
  }
  client.structuredReply = true;
  return yield* reply(client, type, nbd.NBD_REP_ACK);
}

/** nbd_negotiate_meta_queries: which contexts there are; those that are set are in force when the same export is opened. */
function* metaContexts(client: NbdClient, { type, data }: Option): Co<Next> {
  const isListing = type === nbd.NBD_OPT_LIST_META_CONTEXT;
  if (!client.structuredReply) {
    const why = `request option '${optionName(type)}' when structured reply is not negotiated`;
    return yield* refuse(client, type, nbd.NBD_REP_ERR_INVALID, why);
  }
  if (!isListing) client.metaContexts = [];
  const query = parseMetaQuery(data);
  if (query === null) return yield* unexpectedLength(client, type);
  const found = client.server.exports.get(query.exportName);
  if (found === undefined) {
    const why = `export '${query.exportName}' not present`;
    return yield* refuse(client, type, nbd.NBD_REP_ERR_UNKNOWN, why);
  }
  const contexts = matchingContexts(found.contexts, query.queries, isListing);
  if (!isListing) {
    client.metaContexts = contexts;
    client.metaExport = found;
  }
  for (const { id, name } of contexts) {
    const nameBytes = utf8(name);
    const message = new MessageWriter(4 + nameBytes.length).u32(isListing ? 0 : id).raw(nameBytes);
    const sent = yield* reply(client, type, nbd.NBD_REP_META_CONTEXT, message.done());
    if (sent === "over") return sent;
  }
  return yield* reply(client, type, nbd.NBD_REP_ACK);
}

/** The client opens `found`: contexts that it chose for another export are not in force. */
function open(client: NbdClient, found: NbdExport): Next {
  if (client.metaExport !== found) client.metaContexts = [];
  client.nbdExport = found;
  return "open";
}

/** What INFO and GO ask: a name, and pieces of information by number. */
interface InfoRequest {
  readonly name: string;
  readonly asked: ReadonlySet<number>;
}

function parseInfo(data: MessageReader): InfoRequest | null {
  if (data.left < 4) return null;
  const nameBytes = data.u32();
  if (nameBytes > nbd.NBD_STRING_BYTES_MAX || nameBytes + 2 > data.left) return null;
  const name = data.text(nameBytes);
  const count = data.u16();
  if (name === null || data.left !== 2 * count) return null;
  return { name, asked: new Set(Array.from({ length: count }, () => data.u16())) };
}

/** nbd_negotiate_handle_info (nbd/server.c:572): INFO and GO answer the same; after GO the export is open. */
function* info(client: NbdClient, { type, data }: Option): Co<Next> {
  const request = parseInfo(data);
  if (request === null) return yield* unexpectedLength(client, type);
  const found = client.server.exports.get(request.name);
  if (found === undefined) {
    const why = `export '${request.name}' not present`;
    return yield* refuse(client, type, nbd.NBD_REP_ERR_UNKNOWN, why);
  }
  for (const message of informationOf(client, found, type, request.asked)) {
    const sent = yield* reply(client, type, nbd.NBD_REP_INFO, message);
    if (sent === "over") return sent;
  }
  const asksBlockSize = request.asked.has(nbd.NBD_INFO_BLOCK_SIZE);
  if (type === nbd.NBD_OPT_INFO && !asksBlockSize && found.alignment > 1) {
    const why = "request NBD_INFO_BLOCK_SIZE to use this export";
    return yield* refuse(client, type, nbd.NBD_REP_ERR_BLOCK_SIZE_REQD, why);
  }
  const sent = yield* reply(client, type, nbd.NBD_REP_ACK);
  return sent === "over" || type === nbd.NBD_OPT_INFO ? sent : open(client, found);
}

/** The pieces of information, as messages: the name only when asked for, sizes and flags always. */
function informationOf(
  client: NbdClient,
  found: NbdExport,
  type: number,
  asked: ReadonlySet<number>,
): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const text = (kind: number, value: string) => {
    const bytes = utf8(value);
    messages.push(new MessageWriter(2 + bytes.length).u16(kind).raw(bytes).done());
  };
  if (asked.has(nbd.NBD_INFO_NAME)) text(nbd.NBD_INFO_NAME, found.name);
  if (found.description !== "") text(nbd.NBD_INFO_DESCRIPTION, found.description);
  // Who does not ask is not bound by it: for such a client every offset is aligned.
  const obeys = type === nbd.NBD_OPT_INFO || asked.has(nbd.NBD_INFO_BLOCK_SIZE);
  const least = obeys ? found.alignment : 1;
  messages.push(
    new MessageWriter(14)
      .u16(nbd.NBD_INFO_BLOCK_SIZE)
      .u32(least)
      .u32(Math.max(4096, least))
      .u32(found.transferMax)
      .done(),
    new MessageWriter(12)
      .u16(nbd.NBD_INFO_EXPORT)
      .u64(BigInt(found.size))
      .u16(flagsFor(client, found))
      .done(),
  );
  return messages;
}

function flagsFor(client: NbdClient, found: NbdExport): number {
  return exportFlags(found) | (client.structuredReply ? nbd.NBD_FLAG_SEND_DF : 0);
}

function* unexpectedLength(client: NbdClient, type: number): Co<Next> {
  const why = `option '${optionName(type)}' has unexpected length`;
  return yield* refuse(client, type, nbd.NBD_REP_ERR_INVALID, why);
}

/** nbd_negotiate_send_rep_err: an error with a sentence. */
function* refuse(client: NbdClient, option: number, error: number, why: string): Co<Next> {
  return yield* reply(client, option, error, utf8(why.slice(0, nbd.NBD_STRING_BYTES_MAX / 4)));
}

/** nbd_negotiate_send_rep_len. */
function* reply(
  client: NbdClient,
  option: number,
  type: number,
  data: Uint8Array = new Uint8Array(0),
): Co<Next> {
  const message = new MessageWriter(nbd.NBD_OPTION_REPLY_BYTES + data.length)
    .u64(nbd.NBD_REP_MAGIC)
    .u32(option)
    .u32(type)
    .u32(data.length)
    .raw(data);
  return (yield* channelWrite(client.channel, message.done())) ? "next" : "over";
}
