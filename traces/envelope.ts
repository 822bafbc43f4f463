// The envelope of a trace file: the records of schema/trace.proto, each framed as a protobuf field with its own CRC.
//
//   record:  tag  length (varint)  0x0d  CRC-32 (4 bytes)  the other fields of the message
//            `-- in the CRC ----'                          `-------- in the CRC --------'

import { crc32 } from "node:zlib";
import { CODECS, type Codec } from "./compression.ts";
import { MessageFields, MessageWriter } from "./wire.ts";

/** The first nine bytes of every trace: the tag of `Trace.magic` and its value. */
export const MAGIC: Uint8Array = new TextEncoder().encode("\tquiesce\n");
/** Bytes after the index: `Trace.index_offset` and `Trace.end_magic`. */
export const TAIL_BYTES = 18;
/** Tags of the records of `Trace`. */
export const RECORD_TAGS = { header: 0x12, chunk: 0x1a, index: 0x22, tail: 0x29 } as const;

const CRC_TAG = 0x0d;
/** A record's CRC field: its tag and four bytes. */
const CRC_FIELD_BYTES = 5;

/** A chunk as it is in the file: `columns` are still compressed. */
export interface ChunkRecord {
  readonly firstEvent: number;
  readonly events: number;
  readonly restart: boolean;
  readonly strings: readonly string[];
  readonly clock: Uint8Array;
  readonly codec: Codec;
  readonly columnsBytes: number;
  readonly columns: Uint8Array;
}

/** Where a chunk is, and what a reader must know to start at it. */
export interface IndexEntry {
  readonly offset: number;
  readonly events: number;
  readonly restart: boolean;
  readonly strings: number;
}

/** The index of a whole trace. `ended`: the run came to its end and all of it was recorded. */
export interface TraceIndex {
  readonly chunks: readonly IndexEntry[];
  readonly events: number;
  readonly ended: boolean;
}

/** A record with its frame. `body` is the message without its CRC field. */
export function frameRecord(tag: number, body: Uint8Array): Uint8Array {
  const head: number[] = [tag];
  for (let rest = CRC_FIELD_BYTES + body.length; ; rest >>>= 7) {
    head.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  const record = new Uint8Array(head.length + CRC_FIELD_BYTES + body.length);
  record.set(head);
  record[head.length] = CRC_TAG;
  record.set(body, head.length + CRC_FIELD_BYTES);
  const crc = crc32(body, crc32(record.subarray(0, head.length)));
  new DataView(record.buffer).setUint32(head.length + 1, crc, true);
  return record;
}

/** The message without its CRC field, or null when the CRC does not match. `head` is its frame's tag and length. */
export function unframeRecord(head: Uint8Array, message: Uint8Array): Uint8Array | null {
  if (message.length < CRC_FIELD_BYTES) return null;
  if (message[0] !== CRC_TAG) return null;
  const body = message.subarray(CRC_FIELD_BYTES);
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  return view.getUint32(1, true) === crc32(body, crc32(head)) ? body : null;
}

/** The codec with this number in the file. */
export function codecOf(number: number): Codec {
  const codec = CODECS[number];
  if (codec === undefined) throw new RangeError("a codec that this version does not know");
  return codec;
}

/** The record of a chunk. */
export function encodeChunk(chunk: ChunkRecord): Uint8Array {
  const writer = new MessageWriter()
    .uint(2, chunk.firstEvent)
    .uint(3, chunk.events)
    .bool(4, chunk.restart);
  for (const text of chunk.strings) writer.string(5, text);
  if (chunk.clock.length > 0) writer.bytes(6, chunk.clock);
  writer.uint(7, CODECS.indexOf(chunk.codec)).uint(8, chunk.columnsBytes).bytes(9, chunk.columns);
  return frameRecord(RECORD_TAGS.chunk, writer.finish());
}

/** The inverse of `encodeChunk`, without the frame; throws RangeError when it cannot be one. */
export function decodeChunk(body: Uint8Array): ChunkRecord {
  const fields = new MessageFields(body);
  return {
    firstEvent: fields.uint(2),
    events: fields.uint(3),
    restart: fields.bool(4),
    strings: fields.texts(5),
    clock: fields.bytes(6),
    codec: codecOf(fields.uint(7)),
    columnsBytes: fields.uint(8),
    columns: fields.bytes(9),
  };
}

/** The record of the index and the tail behind it. */
export function encodeIndex(
  index: Omit<TraceIndex, "chunks"> & { readonly chunks: Iterable<IndexEntry> },
  indexOffset: number,
): Uint8Array {
  const writer = new MessageWriter();
  for (const { offset, events, restart, strings } of index.chunks) {
    writer.message(2, (entry) =>
      entry.uint(1, offset).uint(2, events).bool(3, restart).uint(4, strings),
    );
  }
  const body = writer.uint(3, index.events).bool(4, index.ended).finish();
  const record = frameRecord(RECORD_TAGS.index, body);
  const bytes = new Uint8Array(record.length + TAIL_BYTES);
  bytes.set(record);
  const tail = new DataView(bytes.buffer, record.length);
  tail.setUint8(0, RECORD_TAGS.tail);
  tail.setBigUint64(1, BigInt(indexOffset), true);
  tail.setUint8(9, (6 << 3) | 1);
  bytes.set(MAGIC.subarray(1), record.length + 10);
  return bytes;
}

/** The inverse of `encodeIndex`, without the frame. */
export function decodeIndex(body: Uint8Array): TraceIndex {
  const fields = new MessageFields(body);
  const chunks = fields.messages(2).map((entry) => ({
    offset: entry.uint(1),
    events: entry.uint(2),
    restart: entry.bool(3),
    strings: entry.uint(4),
  }));
  return { chunks, events: fields.uint(3), ended: fields.bool(4) };
}

/** The offset of the index that the last TAIL_BYTES of a file give, or null when they are not a tail. */
export function decodeTail(tail: Uint8Array): number | null {
  if (tail.length !== TAIL_BYTES) return null;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  if (view.getUint8(0) !== RECORD_TAGS.tail) return null;
  if (view.getUint8(9) !== ((6 << 3) | 1)) return null;
  for (let i = 1; i < MAGIC.length; i++) if (tail[9 + i] !== MAGIC[i]) return null;
  return Number(view.getBigUint64(1, true));
}
