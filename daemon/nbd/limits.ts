// What a client may take of the server.

import { assert } from "#core/base";
import { NBD_BUFFER_BYTES_MAX } from "./protocol.ts";

/** Requests of one client under way (C: MAX_NBD_REQUESTS). Further ones wait in the socket. */
export const NBD_CLIENT_REQUESTS_MAX = 16;
/** So few of them must be left before a client that had as many as it may is received from again: several at a time. */
export const NBD_CLIENT_REQUESTS_LOW = 12;
/** Where the answered one was as long as this there is one at a time: while it is sent the next is read, and the client need not wait. */
export const NBD_LONG_BYTES = 64 * 1024;
/** Bytes of those requests' buffers: with more under way, the next request waits. */
export const NBD_CLIENT_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of the buffers of all clients of an export: with more under way, who has a request already waits with the next one. */
export const NBD_EXPORT_BYTES_MAX = 256 * 1024 * 1024;
/** How long a client may take until it asks for an export, in ns. */
export const NBD_HANDSHAKE_NS_MAX = 10_000_000_000;
/** Options that a client may send before it asks for an export: each costs it a few bytes, and the server an answer. */
export const NBD_OPTIONS_MAX = 1024;
/** Contexts that one client can select or list queries for. */
export const NBD_META_QUERIES_MAX = 4096;
/** Extents in one answer to a block status request (C: NBD_MAX_BLOCK_STATUS_EXTENTS). */
export const NBD_EXTENTS_MAX = 128 * 1024;

/** Longer buffers are not kept for the next request: what nbdcopy asks for is half of it. */
export const NBD_SPARE_BYTES_MAX = 512 * 1024 + 64;
/** Bytes of the buffers that an export keeps: those of four clients that copy. */
export const NBD_SPARE_TOTAL_MAX = 32 * 1024 * 1024;

assert(NBD_CLIENT_REQUESTS_LOW < NBD_CLIENT_REQUESTS_MAX, "who waits for room is woken");
assert(NBD_BUFFER_BYTES_MAX <= NBD_CLIENT_BYTES_MAX, "the largest request fits");
assert(NBD_CLIENT_BYTES_MAX <= NBD_EXPORT_BYTES_MAX, "one client alone is not held up");
