// Reads a trace file, chunk by chunk, so that memory does not grow with its length.
//
// A damaged file is not refused: the chunks before the damage are delivered, then `damage` says what is wrong and where.
// Only a file whose beginning cannot be used is refused, with one sentence.

import type { EventIndex } from "#core/base";
import { Ev, EventBatch } from "#core/probe";
import { type ByteSource, bytesSource } from "./byte-source.ts";
import { ChunkDecoder } from "./chunk-decoder.ts";
import { type ClockStamps, decodeStamps } from "./clock.ts";
import {
  type ChunkRecord,
  decodeChunk,
  decodeIndex,
  decodeTail,
  RECORD_TAGS,
  TAIL_BYTES,
  type TraceIndex,
} from "./envelope.ts";
import type { TraceHeader } from "./header.ts";
import { columnBytesMax, eventsPerChunkMax } from "./limits.ts";
import { isDamage, type OpenedTrace, openTrace, readIndex } from "./open.ts";
import type { FileKind } from "./predictors.ts";
import { canReadAhead, readAhead } from "./read-ahead.ts";
import { CutShort, RecordCursor } from "./record-cursor.ts";

/** What is wrong with a file, and where; all chunks before `chunk` were delivered. */
export interface TraceDamage {
  readonly kind: "truncated" | "corrupt";
  /** Number of the damaged or missing chunk, from 0; the number of chunks when the index is damaged. */
  readonly chunk: number;
  /** Byte offset in the file of the damaged or missing record. */
  readonly offset: number;
  /** One sentence. */
  readonly message: string;
}

/** Shorter files are read before a second thread has started. */
const AHEAD_BYTES_MIN = 1 << 20;

/** An opened trace; see the file comment. */
export class TraceReader {
  readonly header: TraceHeader;
  /** The kinds of event as the file describes them. */
  readonly kinds: readonly FileKind[];
  /** The string table as far as events were read; entry 0 is "". */
  readonly strings: string[] = [""];
  readonly #source: ByteSource;
  readonly #firstChunk: number;
  #damage: TraceDamage | null = null;
  #clock: ClockStamps | null = null;
  #firstEvent = 0;
  #events = 0;
  #ended = false;
  #index: TraceIndex | null | undefined;

  private constructor(source: ByteSource, opened: OpenedTrace) {
    this.#source = source;
    this.header = opened.header;
    this.kinds = opened.kinds;
    this.#firstChunk = opened.firstChunk;
  }

  /** Opens a trace; throws QuiesceError("input") with one sentence when nothing of it can be read. */
  static open(source: Uint8Array | ByteSource): TraceReader {
    const bytes = source instanceof Uint8Array ? bytesSource(source) : source;
    return new TraceReader(bytes, openTrace(bytes));
  }

  /** What is wrong with the file; final when `batches` has been read to its end. */
  get damage(): TraceDamage | null {
    return this.#damage;
  }

  /** Whether all of a run that came to its end was read, undamaged; final as `damage` is. */
  get complete(): boolean {
    return this.#ended && this.#damage === null && this.#firstEvent === 0;
  }

  /** Events read so far, with those of the batch that was yielded last. */
  get events(): number {
    return this.#events;
  }

  /** Position in the run of the first event in the file: above 0 when older ones were dropped (a ring). */
  get firstEvent(): EventIndex {
    return this.#firstEvent as EventIndex;
  }

  /** The wall clock stamps of the batch that was yielded last, or null when the recording has none. */
  get clock(): ClockStamps | null {
    return this.#clock;
  }

  /** Size of the file in bytes. */
  get bytes(): number {
    return this.#source.size;
  }

  /** The index at the end of the file, or null when there is none that can be trusted. Reads no events. */
  get index(): TraceIndex | null {
    if (this.#index === undefined) this.#index = readIndex(this.#source);
    return this.#index;
  }

  /**
   * The events, a chunk at a time; every call starts anew. The batch is reused: it is valid until the next one is asked
   * for.
   */
  *batches(): Generator<EventBatch, void, undefined> {
    // What does not wait yields batches alone.
    for (const batch of this.#chunks(false)) if (batch !== null) yield batch;
  }

  /** Like `batches`; a long file is decoded by a second thread, ahead of whoever asks (read-ahead.ts). */
  *batchesAhead(): Generator<EventBatch, void, undefined> {
    const { fd, size } = this.#source;
    if (fd === undefined || size < AHEAD_BYTES_MIN || !canReadAhead()) {
      yield* this.batches();
      return;
    }
    this.#rewind();
    const { damage } = yield* readAhead(fd, (chunk, batch) => {
      this.#firstEvent = chunk.firstEvent;
      this.#clock = chunk.clock;
      this.strings.push(...chunk.strings);
      this.#count(batch);
    });
    this.#damage = damage;
  }

  /**
   * The events of a file that is still being written: null where its next record is not there in full yet. Whoever reads
   * waits then, and asks again; when the writer is gone for good, they stop. The source's `size` must grow with the file.
   */
  follow(): Generator<EventBatch | null, void, undefined> {
    return this.#chunks(true);
  }

  *#chunks(isGrowing: boolean): Generator<EventBatch | null, void, undefined> {
    this.#rewind();
    const decoder = new ChunkDecoder(this.kinds);
    const records = new RecordCursor(this.#source, this.#firstChunk);
    let batch = new EventBatch(1);
    for (let chunk = 0; ; chunk++) {
      const offset = records.offset;
      try {
        const record = records.next();
        if (record.tag === RECORD_TAGS.index) {
          this.#checkEnd(decodeIndex(record.body), offset, records.offset);
          return;
        }
        if (record.tag !== RECORD_TAGS.chunk) throw new RangeError("it is of an unknown type");
        const header = this.#checkChunk(decodeChunk(record.body), chunk);
        if (batch.capacity < header.events) batch = new EventBatch(header.events);
        this.#decode(decoder, header, batch);
      } catch (error) {
        if (!isDamage(error)) throw error;
        if (isGrowing && error instanceof CutShort) {
          records.offset = offset;
          chunk--;
          yield null;
          continue;
        }
        this.#damage = this.#describe(error, chunk, offset);
        return;
      }
      yield batch;
    }
  }

  #rewind(): void {
    this.strings.length = 1;
    this.#damage = null;
    this.#clock = null;
    this.#events = 0;
    this.#ended = false;
  }

  #checkChunk(chunk: ChunkRecord, number: number): ChunkRecord {
    if (number === 0) this.#firstEvent = chunk.firstEvent;
    if (chunk.firstEvent !== this.#firstEvent + this.#events) {
      throw new RangeError("it does not follow the one before it");
    }
    if (chunk.events === 0) throw new RangeError("it holds no events");
    if (chunk.events > eventsPerChunkMax) throw new RangeError("it holds too many events");
    if (chunk.columnsBytes > columnBytesMax) throw new RangeError("its columns are too long");
    return chunk;
  }

  #decode(decoder: ChunkDecoder, chunk: ChunkRecord, batch: EventBatch): void {
    decoder.decode(chunk, batch);
    const hasClock = chunk.clock.length > 0;
    this.#clock = hasClock ? decodeStamps(chunk.clock, chunk.firstEvent, chunk.events) : null;
    this.strings.push(...chunk.strings);
    this.#count(batch);
  }

  #count(batch: EventBatch): void {
    this.#events += batch.count;
    this.#ended = batch.kind(batch.count - 1) === Ev.run_end;
  }

  #checkEnd(index: TraceIndex, indexOffset: number, tailOffset: number): void {
    if (index.events !== this.#events) throw new RangeError("its count of events is wrong");
    if (index.ended !== this.#ended) throw new RangeError("it is wrong about the run's end");
    const tail = new Uint8Array(TAIL_BYTES);
    if (this.#source.read(tailOffset, tail) < TAIL_BYTES) throw new CutShort();
    if (decodeTail(tail) !== indexOffset) throw new RangeError("what follows it is wrong");
    if (tailOffset + TAIL_BYTES !== this.bytes) throw new RangeError("more follows it");
  }

  #describe(error: Error, chunk: number, offset: number): TraceDamage {
    const readable = `the ${this.#events} events before it are readable`;
    // The file's end is where it should be, so nothing was cut off: a length is wrong.
    const isCut = error instanceof CutShort && this.index === null;
    if (isCut) {
      const where = `chunk ${chunk} (byte ${offset}) is missing or incomplete`;
      const message = `The trace was cut off: ${where}; ${readable}.`;
      return { kind: "truncated", chunk, offset, message };
    }
    const what = this.index?.chunks.length === chunk ? "the index" : `chunk ${chunk}`;
    const why = error instanceof CutShort ? "its length is wrong" : error.message;
    const where = `${what} (byte ${offset}) cannot be read (${why})`;
    const message = `The trace is damaged: ${where}; ${readable}.`;
    return { kind: "corrupt", chunk, offset, message };
  }
}
