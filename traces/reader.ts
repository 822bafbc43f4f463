// Reads a trace file, chunk by chunk, so that memory does not grow with its length.
//
// A damaged file is not refused: the chunks before the damage are delivered, then `damage` says what is wrong and where.
// Only a file whose header cannot be used is refused, with one sentence.

import { type EventIndex, QuiesceError } from "#core/base";
import { Ev, EventBatch } from "#core/probe";
import { type ByteSource, bytesSource } from "./byte-source.ts";
import { ColumnDecoder } from "./column-decoder.ts";
import { decompress } from "./compression.ts";
import {
  type ChunkRecord,
  decodeChunk,
  decodeIndex,
  decodeTail,
  MAGIC,
  RECORD_TAGS,
  TAIL_BYTES,
  type TraceIndex,
  unframeRecord,
} from "./envelope.ts";
import { FORMAT_VERSION, type TraceHeader } from "./header.ts";
import { decodeFormatVersion, decodeHeader } from "./header-codec.ts";
import { columnBytesMax, eventsPerChunkMax, recordBytesMax } from "./limits.ts";
import type { FileKind } from "./predictors.ts";

/** What is wrong with a file, and where; the chunks before `chunk` are good. */
export interface TraceDamage {
  readonly kind: "truncated" | "corrupt";
  /** Number of the damaged or missing chunk, from 0. */
  readonly chunk: number;
  /** Byte offset in the file of the damaged or missing record. */
  readonly offset: number;
  /** One sentence. */
  readonly message: string;
}

/** An opened trace; see the file comment. */
export class TraceReader {
  readonly header: TraceHeader;
  /** The kinds of event as the file describes them. */
  readonly kinds: readonly FileKind[];
  /** The string table as far as events were read; entry 0 is "". */
  readonly strings: string[] = [""];
  readonly #source: ByteSource;
  readonly #firstChunkOffset: number;
  #damage: TraceDamage | null = null;
  #firstEvent = 0;
  #events = 0;
  #ended = false;
  #index: TraceIndex | null | undefined;

  private constructor(source: ByteSource, opened: OpenedHeader) {
    this.#source = source;
    this.header = opened.header;
    this.kinds = opened.kinds;
    this.#firstChunkOffset = opened.end;
  }

  /** Opens a trace; throws QuiesceError("input") with one sentence when it cannot be used at all. */
  static open(source: Uint8Array | ByteSource): TraceReader {
    const bytes = source instanceof Uint8Array ? bytesSource(source) : source;
    return new TraceReader(bytes, openHeader(bytes));
  }

  /** What was found to be wrong so far; final when `batches` has been read to its end. */
  get damage(): TraceDamage | null {
    return this.#damage;
  }

  /** True when all of a run that came to its end was read and nothing is damaged. */
  get complete(): boolean {
    return this.#ended && this.#damage === null && this.#firstEvent === 0;
  }

  /** Events read so far. */
  get events(): number {
    return this.#events;
  }

  /** Position in the run of the first event read: above 0 for a ring that had dropped older ones. */
  get firstEvent(): EventIndex {
    return this.#firstEvent as EventIndex;
  }

  /** Size of the file in bytes. */
  get bytes(): number {
    return this.#source.size;
  }

  /** The index at the end of the file, or null when there is none that can be trusted. */
  get index(): TraceIndex | null {
    if (this.#index === undefined) this.#index = readIndex(this.#source);
    return this.#index;
  }

  /**
   * The events, a chunk at a time, from the start; every call starts anew. The batch that is yielded is reused: it is
   * valid until the next one is asked for.
   */
  *batches(): Generator<EventBatch, void, undefined> {
    this.#restart();
    const decoder = new ColumnDecoder(this.kinds);
    const records = new RecordCursor(this.#source, this.#firstChunkOffset);
    let batch = new EventBatch(1);
    for (let chunk = 0; ; chunk++) {
      const offset = records.offset;
      try {
        const record = records.next();
        if (record.tag === RECORD_TAGS.index) {
          this.#checkEnd(decodeIndex(record.body), records);
          return;
        }
        if (record.tag !== RECORD_TAGS.chunk) throw new RangeError("it is of an unknown type");
        const header = this.#checkChunk(decodeChunk(record.body), chunk);
        if (batch.capacity < header.events) batch = new EventBatch(header.events);
        const columns = decompress(header.codec, header.columns, header.columnsBytes);
        decoder.decode(columns, header.events, header.restart, batch);
        this.strings.push(...header.strings);
        this.#events += header.events;
        this.#ended = batch.kind(batch.count - 1) === Ev.run_end;
      } catch (error) {
        this.#damage = this.#describe(error, chunk, offset);
        return;
      }
      yield batch;
    }
  }

  #restart(): void {
    this.strings.length = 1;
    this.#damage = null;
    this.#events = 0;
    this.#ended = false;
  }

  #checkChunk(chunk: ChunkRecord, number: number): ChunkRecord {
    if (number === 0) this.#firstEvent = chunk.firstEvent;
    if (chunk.firstEvent !== this.#firstEvent + this.#events) {
      throw new RangeError("its number does not follow");
    }
    if (chunk.events === 0) throw new RangeError("it holds no events");
    if (chunk.events > eventsPerChunkMax) throw new RangeError("it holds too many events");
    if (chunk.columnsBytes > columnBytesMax) throw new RangeError("its columns are too long");
    if (number === 0 && !chunk.restart) throw new RangeError("it depends on a chunk before it");
    return chunk;
  }

  #checkEnd(index: TraceIndex, records: RecordCursor): void {
    if (index.ended !== this.#ended) throw new RangeError("whether the run ended is wrong");
    if (index.events !== this.#events) throw new RangeError("its count of events is wrong");
    const tail = new Uint8Array(TAIL_BYTES);
    const count = this.#source.read(records.offset, tail);
    if (count < TAIL_BYTES) throw new CutShort();
    if (decodeTail(tail) !== records.previousOffset)
      throw new RangeError("the file's end is wrong");
    if (records.offset + TAIL_BYTES !== this.#source.size) {
      throw new RangeError("something follows the file's end");
    }
  }

  #describe(error: unknown, chunk: number, offset: number): TraceDamage {
    const readable = `${this.#events} events before it are readable`;
    const where = `chunk ${chunk} (byte ${offset})`;
    if (error instanceof CutShort && this.index === null) {
      const message = `The trace ends in the middle: ${where} is missing or incomplete; ${readable}.`;
      return { kind: "truncated", chunk, offset, message };
    }
    if (!(error instanceof Error)) throw error;
    if (error.name === "AssertionError") throw error;
    const detail = error instanceof CutShort ? "its length is wrong" : error.message;
    const message = `The trace is damaged: ${where} cannot be read (${detail}); ${readable}.`;
    return { kind: "corrupt", chunk, offset, message };
  }
}

/** Thrown where the file ends too early. */
class CutShort extends Error {}

/** A record as it is framed; `body` is valid until the next one is read. */
interface FramedRecord {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** Walks over the records of a file. */
class RecordCursor {
  readonly #source: ByteSource;
  #buffer = new Uint8Array(1 << 16);
  offset: number;
  /** Where the record that was read last begins. */
  previousOffset: number;

  constructor(source: ByteSource, offset: number) {
    this.#source = source;
    this.offset = offset;
    this.previousOffset = offset;
  }

  /** The next record; throws CutShort where the file ends too early and RangeError when the record is damaged. */
  next(): FramedRecord {
    const head = this.#read(this.offset, 6);
    const tag = head[0];
    if (tag === undefined) throw new CutShort();
    let length = 0;
    let headBytes = 1;
    for (let shift = 0; ; shift += 7) {
      const byte = head[headBytes++];
      if (byte === undefined) {
        if (headBytes > 6) throw new RangeError("its length is wrong");
        throw new CutShort();
      }
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    if (length > recordBytesMax) throw new RangeError("its length is wrong");
    const bytes = this.#read(this.offset, headBytes + length);
    if (bytes.length < headBytes + length) throw new CutShort();
    const body = unframeRecord(bytes.subarray(0, headBytes), bytes.subarray(headBytes));
    if (body === null) throw new RangeError("its checksum is wrong");
    this.previousOffset = this.offset;
    this.offset += bytes.length;
    return { tag, body };
  }

  #read(offset: number, length: number): Uint8Array {
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length * 2);
    const target = this.#buffer.subarray(0, length);
    return target.subarray(0, this.#source.read(offset, target));
  }
}

interface OpenedHeader {
  readonly header: TraceHeader;
  readonly kinds: readonly FileKind[];
  readonly end: number;
}

function openHeader(source: ByteSource): OpenedHeader {
  if (source.size === 0) throw new QuiesceError("input", "The file is empty: it is not a trace.");
  const magic = new Uint8Array(MAGIC.length);
  const count = source.read(0, magic);
  if (!magic.subarray(0, count).every((byte, i) => byte === MAGIC[i])) {
    throw new QuiesceError("input", "This is not a trace: it does not begin as one.");
  }
  const records = new RecordCursor(source, MAGIC.length);
  let version = FORMAT_VERSION;
  try {
    const record = records.next();
    if (record.tag !== RECORD_TAGS.header) throw new RangeError("no header");
    version = decodeFormatVersion(record.body);
    if (version === FORMAT_VERSION) return { ...decodeHeader(record.body), end: records.offset };
  } catch (error) {
    throw headerError(error);
  }
  const versions = `format version ${version}, newer than ${FORMAT_VERSION}`;
  const advice = "use the version of quiesce that recorded it, or a newer one.";
  throw new QuiesceError("input", `The trace has ${versions}, the newest that is known: ${advice}`);
}

function headerError(error: unknown): unknown {
  if (error instanceof CutShort) {
    return new QuiesceError("input", "The trace ends within its header: there is nothing to read.");
  }
  if (error instanceof RangeError || error instanceof Error) {
    return new QuiesceError("input", "The header of the trace is damaged: nothing can be read.");
  }
  return error;
}

function readIndex(source: ByteSource): TraceIndex | null {
  const tail = new Uint8Array(TAIL_BYTES);
  if (source.size < TAIL_BYTES) return null;
  if (source.read(source.size - TAIL_BYTES, tail) < TAIL_BYTES) return null;
  const offset = decodeTail(tail);
  if (offset === null || offset >= source.size) return null;
  try {
    const record = new RecordCursor(source, offset).next();
    return record.tag === RECORD_TAGS.index ? decodeIndex(record.body) : null;
  } catch {
    return null;
  }
}
