// Sockets through the door (design D4): listen, accept, connect, receive, send.
//
// A socket is a handle of the host, as a file is. What comes in is guest memory: a server reveals the headers that it obeys, and
// nothing of the payload gets into the trace. A peer's address stays out, too, as paths do.
//
// All of these are called in a coroutine. Closing a socket completes what is outstanding on it with -ECANCELED.

import { assert, type ByteCount, type ByteOffset, type HostHandle } from "../base/index.ts";
import type { Co } from "./colours.ts";
import type { GuestBuffer, HostOpType, SocketAddress } from "./host.ts";
import { hostCall, hostSubmit } from "./host-io.ts";

/** A socket that will listen at `address` (qio_channel_socket_listen_sync), or a negated errno. Common. */
export function socketListener(address: SocketAddress): HostHandle | number {
  return socketAt(address, true);
}

/** A socket that will be connected to `address` (qio_channel_socket_connect_sync), or a negated errno. Common. */
export function socketClient(address: SocketAddress): HostHandle | number {
  return socketAt(address, false);
}

function socketAt(address: SocketAddress, listens: boolean): HostHandle | number {
  const { ret, value } = hostCall({ call: "socket", address, listens });
  return ret < 0 ? ret : (value as HostHandle);
}

/** Wait until a client's socket is connected, or a listener listens; 0 (of TCP listeners: the port), or a negated errno. Common. */
export function socketConnect(socket: HostHandle): Co<number> {
  return submit("connect", socket, null, 0, 0, 0);
}

/** qio_channel_socket_accept: the next connection of a listener; a handle, or a negated errno. Common. */
export function socketAccept(listener: HostHandle): Co<number> {
  return submit("accept", listener, null, 0, 0, 0);
}

/** Where received bytes go, and how many: at least `least`, at most `most`. */
export interface SocketRange {
  readonly buffer: GuestBuffer;
  readonly start: number;
  readonly least: number;
  readonly most: number;
}

/** qio_channel_read: bytes received; fewer than `least` (or 0) only when the peer has sent its last; or a negated errno. Common. */
export function socketRecv(socket: HostHandle, range: SocketRange): Co<number> {
  const { buffer, start, least, most } = range;
  assert(least >= 1, "a receive waits for something");
  assert(least <= most, "no more is waited for than is taken");
  assert(start + most <= buffer.length, "what is received has room");
  return submit("recv", socket, buffer, start, least, most);
}

/** qio_channel_write_all: `bytes` of `buffer` from `start` on are handed to the system; 0, or a negated errno. Common. */
export function socketSend(
  socket: HostHandle,
  buffer: GuestBuffer,
  start: number,
  bytes: number,
): Co<number> {
  assert(start + bytes <= buffer.length, "what is sent is there");
  return submit("send", socket, buffer, start, 0, bytes);
}

/** qio_channel_close: after what was handed over has been sent. Common. */
export function socketClose(socket: HostHandle): void {
  hostCall({ call: "close", handle: socket });
}

function submit(
  type: HostOpType,
  socket: HostHandle,
  buffer: GuestBuffer | null,
  start: number,
  least: number,
  bytes: number,
): Co<number> {
  return hostSubmit(type, socket, least as ByteOffset, bytes as ByteCount, buffer, start);
}
