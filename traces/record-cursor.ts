// Walks over the records of a trace file and checks their frames.

import type { ByteSource } from "./byte-source.ts";
import { unframeRecord } from "./envelope.ts";
import { recordBytesMax } from "./limits.ts";

/** Thrown where a file ends too early. */
export class CutShort extends Error {
  override readonly name = "CutShort";
}

/** A record as it is framed; `body` is its message without the checksum, valid until the next record is read. */
export interface FramedRecord {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** A tag and a length of at most `recordBytesMax`, which takes four bytes as a varint. */
const HEAD_BYTES_MAX = 5;

/** Reads record after record from `offset` on. */
export class RecordCursor {
  readonly #source: ByteSource;
  #buffer = new Uint8Array(1 << 16);
  /** Where the next record begins. */
  offset: number;

  constructor(source: ByteSource, offset: number) {
    this.#source = source;
    this.offset = offset;
  }

  /** The next record; throws CutShort where the file ends too early and RangeError when the record is damaged. */
  next(): FramedRecord {
    const head = this.#read(HEAD_BYTES_MAX);
    const tag = head[0];
    if (tag === undefined) throw new CutShort();
    const { length, headBytes } = readLength(head);
    if (length > recordBytesMax) throw new RangeError("its length is wrong");
    const bytes = this.#read(headBytes + length);
    if (bytes.length < headBytes + length) throw new CutShort();
    const body = unframeRecord(bytes.subarray(0, headBytes), bytes.subarray(headBytes));
    if (body === null) throw new RangeError("its checksum is wrong");
    this.offset += bytes.length;
    return { tag, body };
  }

  #read(length: number): Uint8Array {
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length * 2);
    const target = this.#buffer.subarray(0, length);
    return target.subarray(0, this.#source.read(this.offset, target));
  }
}

function readLength(head: Uint8Array): { length: number; headBytes: number } {
  let length = 0;
  for (let headBytes = 1; headBytes < HEAD_BYTES_MAX; headBytes++) {
    const byte = head[headBytes];
    if (byte === undefined) throw new CutShort();
    length |= (byte & 0x7f) << (7 * (headBytes - 1));
    if (byte < 0x80) return { length, headBytes: headBytes + 1 };
  }
  throw new RangeError("its length is wrong");
}
