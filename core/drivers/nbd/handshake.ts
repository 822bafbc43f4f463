// The handshake (nbd/client.c: nbd_receive_negotiate): TLS, structured replies, a metadata context, and the export.
//
// With credentials nothing is said before the connection is encrypted. A server may refuse structured replies and the context, and is
// used without. One that does not know NBD_OPT_GO, or is no fixed newstyle server, is asked the old way; one that speaks oldstyle
// has one export without a name, and is asked nothing.

import { EINVAL, EIO, type HostHandle } from "../../base/index.ts";
import { site } from "../../probe/index.ts";
import { type Co, socketHandshakeClient } from "../../sched/index.ts";
import {
  IHAVEOPT,
  NBD_CLIENT_MAGIC,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_EXPORT,
  NBD_OPT_ABORT,
  NBD_OPT_EXPORT_NAME,
  NBD_OPT_GO,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
  NBD_REP_ERR_BLOCK_SIZE_REQD,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_PLATFORM,
  NBD_REP_ERR_POLICY,
  NBD_REP_ERR_SHUTDOWN,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_UNKNOWN,
  NBD_REP_ERR_UNSUP,
  NBD_REP_FLAG_ERROR,
  NBD_REP_INFO,
  NBD_REP_MAGIC,
  NBD_REP_META_CONTEXT,
  NBD_STRING_BYTES_MAX,
  NBDMAGIC,
} from "./protocol.ts";
import type { NbdExportInfo, NbdTls } from "./state.ts";
import { get64, isMagic, message, readHeader, send } from "./wire.ts";

const SITE_START = site("nbd_start_negotiate");
const SITE_REPLY = site("nbd_receive_option_reply");

/** Replies to one option at most: a server that says more than this says nothing. */
const REPLIES_MAX = 64;

/** Why there is no export; `errno` is positive. */
export interface HandshakeFailure {
  readonly errno: number;
  readonly message: string;
}

/** What is asked for. */
export interface HandshakeWish {
  readonly exportName: string;
  readonly context: string;
  /** Encrypt first; null to speak in the clear. */
  readonly tls: NbdTls | null;
}

interface OptionReply {
  readonly type: number;
  readonly data: DataView<ArrayBuffer>;
}

const LOST: HandshakeFailure = { errno: EIO, message: "Failed to read data" };

function wrong(text: string): HandshakeFailure {
  return { errno: EINVAL, message: text };
}

/** nbd_receive_negotiate (nbd/client.c:1024): shake hands on a connected socket. Common. */
export function* handshake(
  socket: HostHandle,
  wish: HandshakeWish,
): Co<NbdExportInfo | HandshakeFailure> {
  const hello = yield* readHeader(socket, 16, SITE_START);
  if (typeof hello === "number") return { ...LOST, message: "Failed to read initial magic" };
  if (!isMagic(hello, 0, NBDMAGIC)) return wrong("Bad initial magic received");
  if (isMagic(hello, 8, NBD_CLIENT_MAGIC)) return yield* oldstyle(socket, wish);
  if (!isMagic(hello, 8, IHAVEOPT)) return wrong("Bad server magic received");
  return yield* newstyle(socket, wish);
}

/** What is known of an export that nobody was asked about. */
const UNASKED = {
  minBlock: 0,
  preferredBlock: 0,
  maxBlock: 0,
  structuredReply: false,
  contextId: null,
};

/** nbd_negotiate_finish_oldstyle (nbd/client.c:999): its length and flags, and 124 bytes of nothing. */
function* oldstyle(
  socket: HostHandle,
  { exportName, tls }: HandshakeWish,
): Co<NbdExportInfo | HandshakeFailure> {
  if (tls !== null) return wrong("Server does not support STARTTLS");
  if (exportName !== "") return wrong("Server does not support non-empty export names");
  const data = yield* readHeader(socket, 12 + 124, SITE_START);
  if (typeof data === "number") return { ...LOST, message: "Failed to read export length" };
  const [size, flags] = [get64(data, 0), data.getUint32(8)];
  if (size < 0) return wrong("The export is longer than anything");
  if (flags > 0xffff) return wrong(`Unexpected export flags ${flags.toString(16)}`);
  return { ...UNASKED, size, flags };
}

function* newstyle(
  socket: HostHandle,
  { exportName, context, tls }: HandshakeWish,
): Co<NbdExportInfo | HandshakeFailure> {
  const said = yield* readHeader(socket, 2, SITE_START);
  if (typeof said === "number") return { ...LOST, message: "Failed to read server flags" };
  const flags = said.getUint16(0);
  const isFixed = (flags & NBD_FLAG_FIXED_NEWSTYLE) !== 0;
  const noZeroes = (flags & NBD_FLAG_NO_ZEROES) !== 0;
  const answer = flags & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
  if ((yield* send(socket, message([4, answer]))) < 0) return LOST;
  if (tls !== null) {
    if (!isFixed) return wrong("Server does not support STARTTLS");
    const refused = yield* startTls(socket, tls);
    if (refused !== null) return refused;
  }
  if (!isFixed) {
    const found = yield* exportByName(socket, exportName, noZeroes);
    return "errno" in found ? found : { ...UNASKED, ...found };
  }
  const structured = yield* ask(socket, NBD_OPT_STRUCTURED_REPLY, new Uint8Array(0));
  if ("errno" in structured) return structured;
  const structuredReply = structured.type === NBD_REP_ACK;
  let contextId: number | null = null;
  if (structuredReply) {
    const agreed = yield* metaContext(socket, exportName, context);
    if (agreed !== null && typeof agreed !== "number") return agreed;
    contextId = agreed;
  }
  const found = yield* go(socket, exportName, noZeroes);
  return "errno" in found ? found : { ...found, structuredReply, contextId };
}

/** nbd_receive_starttls (nbd/client.c:600): null when the connection is encrypted. */
function* startTls(socket: HostHandle, { creds, hostname }: NbdTls): Co<HandshakeFailure | null> {
  const reply = yield* ask(socket, NBD_OPT_STARTTLS, new Uint8Array(0));
  if ("errno" in reply) return reply;
  if (reply.type === NBD_REP_ERR_UNSUP) {
    yield* abort(socket);
    return wrong("Server don't support STARTTLS option");
  }
  if (reply.type !== NBD_REP_ACK) return yield* refusal(socket, reply, NBD_OPT_STARTTLS);
  if (reply.data.byteLength > 0) return wrong("Unexpected length of the reply to a wish for TLS");
  const why = yield* socketHandshakeClient(socket, creds, hostname);
  return why === null ? null : wrong(why);
}

/** nbd_negotiate_simple_meta_context (nbd/client.c:812): its number, or null when the server has no such context. */
function* metaContext(
  socket: HostHandle,
  exportName: string,
  context: string,
): Co<number | null | HandshakeFailure> {
  const name = [[4, byteLength(exportName)], exportName] as const;
  const query = [[4, byteLength(context)], context] as const;
  const body = message(...name, [4, 1], ...query);
  const first = yield* ask(socket, NBD_OPT_SET_META_CONTEXT, body);
  if ("errno" in first) return first;
  if (first.type !== NBD_REP_META_CONTEXT) return null;
  if (first.data.byteLength < 4) return wrong("Invalid meta context reply");
  const { buffer, byteOffset, byteLength: bytes } = first.data;
  const given = new TextDecoder().decode(new Uint8Array(buffer, byteOffset + 4, bytes - 4));
  // What the flags of another one mean is not known: a hole of ours may be data there.
  if (given !== context)
    return wrong(
      `Failed to negotiate meta context '${context}', server answered with different context '${given}'`,
    );
  const rest = yield* receive(socket, NBD_OPT_SET_META_CONTEXT);
  if ("errno" in rest) return rest;
  if (rest.type !== NBD_REP_ACK) return wrong("Unexpected reply type for a metadata context");
  return first.data.getUint32(0);
}

type Export = Omit<NbdExportInfo, "structuredReply" | "contextId">;

/** nbd_opt_info_or_go (nbd/client.c:357). */
function* go(
  socket: HostHandle,
  exportName: string,
  noZeroes: boolean,
): Co<Export | HandshakeFailure> {
  const body = message([4, byteLength(exportName)], exportName, [2, 1], [2, NBD_INFO_BLOCK_SIZE]);
  let found: Export = { size: -1, flags: 0, minBlock: 0, preferredBlock: 0, maxBlock: 0 };
  let reply = yield* ask(socket, NBD_OPT_GO, body);
  for (let count = 0; count < REPLIES_MAX; count++) {
    if ("errno" in reply) return reply;
    if (reply.type === NBD_REP_ERR_UNSUP) return yield* exportByName(socket, exportName, noZeroes);
    if (reply.type >= NBD_REP_FLAG_ERROR) return yield* refusal(socket, reply, NBD_OPT_GO);
    if (reply.type === NBD_REP_ACK)
      return found.size < 0 ? wrong("broken server omitted NBD_INFO_EXPORT") : found;
    const more = reply.type === NBD_REP_INFO ? withInfo(found, reply.data) : null;
    if (more === null) return wrong("Unexpected reply to the request for an export");
    found = more;
    reply = yield* receive(socket, NBD_OPT_GO);
  }
  return wrong("Too many replies to the request for an export");
}

/** What an information adds; null for one that makes no sense. */
function withInfo(found: Export, data: DataView): Export | null {
  if (data.byteLength < 2) return null;
  const kind = data.getUint16(0);
  if (kind === NBD_INFO_EXPORT) {
    if (data.byteLength !== 12) return null;
    const size = get64(data, 2);
    return size < 0 ? null : { ...found, size, flags: data.getUint16(10) };
  }
  if (kind !== NBD_INFO_BLOCK_SIZE) return found;
  if (data.byteLength !== 14) return null;
  const [minBlock, preferredBlock] = [data.getUint32(2), data.getUint32(6)];
  const isPower = minBlock > 0 && (minBlock & (minBlock - 1)) === 0;
  return isPower ? { ...found, minBlock, preferredBlock, maxBlock: data.getUint32(10) } : null;
}

/** NBD_OPT_EXPORT_NAME, which a server answers by going on, or by hanging up. */
function* exportByName(
  socket: HostHandle,
  exportName: string,
  noZeroes: boolean,
): Co<Export | HandshakeFailure> {
  const option = optionOf(NBD_OPT_EXPORT_NAME, message(exportName));
  if ((yield* send(socket, option)) < 0) return LOST;
  const data = yield* readHeader(socket, noZeroes ? 10 : 134, SITE_REPLY);
  if (typeof data === "number") return { ...LOST, message: "Failed to read export length" };
  const size = get64(data, 0);
  if (size < 0) return wrong("The export is longer than anything");
  return { size, flags: data.getUint16(8), minBlock: 0, preferredBlock: 0, maxBlock: 0 };
}

const OPTION_NAMES: Readonly<Record<number, string>> = {
  [NBD_OPT_STARTTLS]: "starttls",
  [NBD_OPT_GO]: "go",
};

/** nbd_handle_reply_err (nbd/client.c:163), for an option that cannot be done without; the server is told that it is over. */
function* refusal(socket: HostHandle, { type }: OptionReply, option: number): Co<HandshakeFailure> {
  yield* abort(socket);
  const name = `option ${option} (${OPTION_NAMES[option]})`;
  switch (type) {
    case NBD_REP_ERR_POLICY:
      return wrong(`Denied by server for ${name}`);
    case NBD_REP_ERR_INVALID:
      return wrong(`Invalid parameters for ${name}`);
    case NBD_REP_ERR_PLATFORM:
      return wrong(`Server lacks support for ${name}`);
    case NBD_REP_ERR_TLS_REQD:
      return wrong(`TLS negotiation required before ${name}`);
    case NBD_REP_ERR_UNKNOWN:
      return wrong("Requested export not available");
    case NBD_REP_ERR_SHUTDOWN:
      return wrong(`Server shutting down before ${name}`);
    case NBD_REP_ERR_BLOCK_SIZE_REQD:
      return wrong(`Server requires INFO_BLOCK_SIZE for ${name}`);
    default:
      return wrong(`Unknown error code when asking for ${name}`);
  }
}

/** nbd_send_opt_abort: nobody waits for an answer. */
function* abort(socket: HostHandle): Co<void> {
  yield* send(socket, optionOf(NBD_OPT_ABORT, new Uint8Array(0)));
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function optionOf(option: number, body: Uint8Array): Uint8Array {
  const head = message([4, IHAVEOPT[0]], [4, IHAVEOPT[1]], [4, option], [4, body.length]);
  const all = new Uint8Array(head.length + body.length);
  all.set(head);
  all.set(body, head.length);
  return all;
}

/** Send an option; the first reply. */
function* ask(
  socket: HostHandle,
  option: number,
  body: Uint8Array,
): Co<OptionReply | HandshakeFailure> {
  if ((yield* send(socket, optionOf(option, body))) < 0) return LOST;
  return yield* receive(socket, option);
}

/** nbd_receive_option_reply (nbd/client.c:125). */
function* receive(socket: HostHandle, option: number): Co<OptionReply | HandshakeFailure> {
  const head = yield* readHeader(socket, 20, SITE_REPLY);
  if (typeof head === "number") return { ...LOST, message: "Failed to read option reply" };
  if (!isMagic(head, 0, NBD_REP_MAGIC)) return wrong("Unexpected option reply magic");
  if (head.getUint32(8) !== option) return wrong("Unexpected option type");
  const [type, length] = [head.getUint32(12), head.getUint32(16)];
  if (length > NBD_STRING_BYTES_MAX) return wrong("option reply is too long");
  if (length === 0) return { type, data: new DataView(new ArrayBuffer(0)) };
  const data = yield* readHeader(socket, length, SITE_REPLY);
  return typeof data === "number" ? LOST : { type, data };
}
