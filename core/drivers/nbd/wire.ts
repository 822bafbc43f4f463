// Reading and writing on a client's socket. Headers are revealed, as what they say decides what happens; payload is not.

import { assert, EIO, type HostHandle, type SiteId } from "../../base/index.ts";
import type { Qiov } from "../../graph/state.ts";
import { guestCopy, qiovOf } from "../../io/guest-copy.ts";
import {
  type Co,
  GuestBuffer,
  hostAllocate,
  hostReveal,
  socketRecv,
  socketSend,
} from "../../sched/index.ts";

/** nbd_read: exactly `bytes` bytes of a header, or -EIO. Common. */
export function* readHeader(
  socket: HostHandle,
  bytes: number,
  siteId: SiteId,
): Co<DataView<ArrayBuffer> | number> {
  assert(bytes > 0, "a header has bytes");
  const buffer = hostAllocate(bytes);
  const ret = yield* readPayload(socket, qiovOf(buffer), bytes);
  if (ret < 0) return ret;
  return new DataView(hostReveal(siteId, buffer, 0, bytes).buffer, 0, bytes);
}

/** Exactly `bytes` bytes into `qiov`; 0 or -EIO. Common. */
export function* readPayload(socket: HostHandle, qiov: Qiov, bytes: number): Co<number> {
  if (bytes === 0) return 0;
  const range = { buffer: qiov.buffer, start: qiov.start, least: bytes, most: bytes };
  const got = yield* socketRecv(socket, range);
  return got === bytes ? 0 : -EIO;
}

/** Send a header and, if there is one, the payload behind it, at once; 0 or -EIO. Common. */
export function* send(
  socket: HostHandle,
  header: Uint8Array,
  payload: Qiov | null = null,
  payloadBytes = 0,
): Co<number> {
  const bytes = header.length + payloadBytes;
  const own = new GuestBuffer(header.length, header);
  let message = own;
  if (payload !== null) {
    message = hostAllocate(bytes);
    guestCopy(qiovOf(message), qiovOf(own), header.length);
    guestCopy(qiovOf(message, header.length), payload, payloadBytes);
  }
  return (yield* socketSend(socket, message, 0, bytes)) < 0 ? -EIO : 0;
}

/** A number of 64 bits; -1 for one that is no safe integer. Common. */
export function get64(view: DataView, at: number): number {
  const value = view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
  return Number.isSafeInteger(value) ? value : -1;
}

/** Whether these eight bytes are `magic`. Common. */
export function isMagic(view: DataView, at: number, magic: readonly [number, number]): boolean {
  return view.getUint32(at) === magic[0] && view.getUint32(at + 4) === magic[1];
}

/** Fields one after the other, big-endian; a text has no length in front. Common. */
export function message(
  ...fields: readonly (readonly [bytes: 2 | 4 | 8, value: number] | string)[]
): Uint8Array {
  const parts = fields.map((field) => {
    if (typeof field === "string") return new TextEncoder().encode(field);
    const [bytes, value] = field;
    const view = new DataView(new ArrayBuffer(bytes));
    if (bytes === 2) view.setUint16(0, value);
    else if (bytes === 4) view.setUint32(0, value);
    else {
      view.setUint32(0, Math.floor(value / 2 ** 32));
      view.setUint32(4, value % 2 ** 32);
    }
    return new Uint8Array(view.buffer);
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
