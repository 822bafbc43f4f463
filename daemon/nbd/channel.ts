// One end of a connection as NBD sees it: exact reads of headers, which are revealed, and of payloads, which are not.
//
// A read that finds the connection over, broken or closed by us returns null: who asked then ends. Nothing is thrown, since a peer
// that goes away is no mistake.

import { assert, type HostHandle, type SiteId } from "#core/base";
import {
  type Co,
  coThen,
  GuestBuffer,
  hostAllocate,
  hostReveal,
  settled,
  socketClose,
  socketRecv,
  socketSend,
} from "#core/sched";

/** Bytes of skipped payload that are read at a time. */
const SKIP_BYTES = 65_536;

/** A connected socket; written by the coroutines of its client. */
export class NbdChannel {
  readonly socket: HostHandle;
  isClosed = false;
  /** Where headers are received before they are revealed; grows with the longest option. */
  header: GuestBuffer;

  constructor(socket: HostHandle) {
    this.socket = socket;
    this.header = hostAllocate(512);
  }
}

/** nbd_read: exactly `bytes` bytes of a header, in `into` if that is given; null when the connection is over. Common. */
export function channelReadHeader(
  channel: NbdChannel,
  bytes: number,
  siteId: SiteId,
  into?: Uint8Array<ArrayBuffer>,
): Co<Uint8Array<ArrayBuffer> | null> {
  if (bytes === 0) return settled(new Uint8Array(0));
  if (channel.header.length < bytes) channel.header = hostAllocate(bytes);
  if (channel.isClosed) return settled(null);
  const range = { buffer: channel.header, start: 0, least: bytes, most: bytes };
  return coThen(socketRecv(channel.socket, range), (ret) =>
    ret === bytes ? hostReveal(siteId, channel.header, 0, bytes, into) : null,
  );
}

/** Exactly `bytes` bytes of payload into `buffer`; false when the connection is over. Common. */
export function channelReadInto(
  channel: NbdChannel,
  buffer: GuestBuffer,
  start: number,
  bytes: number,
): Co<boolean> {
  assert(bytes >= 0, "byte counts are not negative");
  if (channel.isClosed) return settled(false);
  if (bytes === 0) return settled(true);
  const range = { buffer, start, least: bytes, most: bytes };
  return coThen(socketRecv(channel.socket, range), (ret) => ret === bytes);
}

/** nbd_drop: read `bytes` bytes and forget them; false when the connection is over. Common. */
export function* channelSkip(channel: NbdChannel, bytes: number): Co<boolean> {
  if (bytes === 0) return true;
  const buffer = hostAllocate(Math.min(bytes, SKIP_BYTES));
  for (let left = bytes; left > 0; left -= Math.min(left, SKIP_BYTES)) {
    if (!(yield* channelReadInto(channel, buffer, 0, Math.min(left, SKIP_BYTES)))) return false;
  }
  return true;
}

/** nbd_write: send what this program wrote; false when the connection is over. Common. */
export function channelWrite(channel: NbdChannel, bytes: Uint8Array): Co<boolean> {
  return channelSend(channel, new GuestBuffer(bytes.length, bytes), 0, bytes.length);
}

/** Send `bytes` bytes of `buffer`, a header and its payload at once; false when the connection is over. Common. */
export function channelSend(
  channel: NbdChannel,
  buffer: GuestBuffer,
  start: number,
  bytes: number,
): Co<boolean> {
  if (channel.isClosed) return settled(false);
  return coThen(socketSend(channel.socket, buffer, start, bytes), (ret) => ret === 0);
}

/** A header of `length` bytes in front of the payload in `buffer`. In replay there is nothing that it would be in. Common. */
export function headerIn(buffer: GuestBuffer, start: number, length: number): MessageWriter {
  assert(start >= 0 && start + length <= buffer.length, "a header lies inside its buffer");
  if (buffer.data === null) return new MessageWriter(length);
  return new MessageWriter(length, buffer.data, start);
}

/** Close it, once; whoever waits for its bytes learns that it is over. Common. */
export function channelClose(channel: NbdChannel): void {
  if (channel.isClosed) return;
  channel.isClosed = true;
  socketClose(channel.socket);
}

/** 64 bits that nobody counts with: one allocation less than a bigint costs, and no view of the message. */
export interface Word64 {
  readonly high: number;
  readonly low: number;
}

/** Fields of a message, in order and big-endian. Byte by byte: a DataView of each message costs more than all else about it. */
export class MessageReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u16(): number {
    return this.#unsigned(2);
  }

  u32(): number {
    return this.#unsigned(4);
  }

  u64(): bigint {
    return (BigInt(this.#unsigned(4)) << 32n) | BigInt(this.#unsigned(4));
  }

  /** 64 bits as a number: exact up to 2^53; what is larger is rounded, and behind the end of everything. */
  offset64(): number {
    const high = this.#unsigned(4);
    return high * 2 ** 32 + this.#unsigned(4);
  }

  word64(): Word64 {
    const high = this.#unsigned(4);
    return { high, low: this.#unsigned(4) };
  }

  /** `bytes` bytes as UTF-8; null when they are none. */
  text(bytes: number): string | null {
    const piece = this.#bytes.subarray(this.#at, this.#at + bytes);
    this.#at += bytes;
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(piece);
    } catch {
      return null;
    }
  }

  #unsigned(bytes: number): number {
    assert(bytes <= this.left, "a message has the fields that are read");
    let value = 0;
    for (const end = this.#at + bytes; this.#at < end; this.#at++)
      value = value * 256 + (this.#bytes[this.#at] as number);
    return value;
  }
}

/** A message of fixed fields, built in order and big-endian. */
export class MessageWriter {
  readonly #bytes: Uint8Array;
  #at: number;
  readonly #end: number;

  /** A message of `length` bytes, in memory of its own or at `start` of `bytes`. */
  constructor(length: number, bytes: Uint8Array = new Uint8Array(length), start = 0) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = start + length;
  }

  u16(value: number): this {
    return this.#unsigned(value, 2);
  }

  u32(value: number): this {
    return this.#unsigned(value, 4);
  }

  u64(value: bigint): this {
    return this.#unsigned(Number(value >> 32n), 4).#unsigned(Number(value & 0xffff_ffffn), 4);
  }

  offset64(value: number): this {
    return this.#unsigned(Math.floor(value / 2 ** 32), 4).#unsigned(value % 2 ** 32, 4);
  }

  word64({ high, low }: Word64): this {
    return this.#unsigned(high, 4).#unsigned(low, 4);
  }

  raw(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  /** The memory with the message, of which every byte was written. */
  done(): Uint8Array {
    assert(this.#at === this.#end, "a message is as long as its fields");
    return this.#bytes;
  }

  #unsigned(value: number, bytes: number): this {
    assert(this.#at + bytes <= this.#end, "a message has room for its fields");
    for (let shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
      this.#bytes[this.#at++] = value >>> shift;
    return this;
  }
}

/** The bytes of `text`, which is short. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
