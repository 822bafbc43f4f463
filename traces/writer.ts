// Writes a trace file: header, chunks of columns, index.
//
// Invariant: the bytes are a pure function of header, events, strings, stamps and options. Chunks are cut after every
// `eventsPerChunk` events however the events arrive, and a chunk carries the strings that its own events need, not those
// that happened to be known by then; so a regenerated trace is byte-equal to the recorded one. Only `flush` cuts earlier: a
// trace that was flushed has the same events, in other chunks.

import { assert } from "#core/base";
import { Ev, EventBatch, WORDS_PER_EVENT } from "#core/probe";
import { ChunkList } from "./chunk-list.ts";
import { encodeStamps, stampsIn } from "./clock.ts";
import { ColumnEncoder } from "./column-encoder.ts";
import { type Codec, compress } from "./compression.ts";
import { encodeChunk, encodeIndex, MAGIC } from "./envelope.ts";
import { FORMAT_VERSION, type TraceHeader } from "./header.ts";
import { encodeHeader } from "./header-codec.ts";
import { eventsPerChunkDefault, eventsPerChunkMax } from "./limits.ts";
import { plainBytes } from "./plain-events.ts";
import { stringsEnd } from "./strings.ts";

/** Where the bytes of a file go; the bytes may be kept. May throw: the writer is then unusable. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
  close(): void;
}

/** How a trace is written. */
export interface TraceWriterOptions {
  readonly codec?: Codec;
  readonly eventsPerChunk?: number;
  /** Position in the run of the first event that is written: above 0 when earlier ones were dropped (a ring). */
  readonly firstEvent?: number;
}

/** What was written. */
export interface TraceStats {
  readonly events: number;
  readonly bytes: number;
}

/** Chunks from one that predicts from scratch to the next: every 65536 events, as relearning costs about a kilobyte. */
const CHUNKS_PER_RESTART = 8;

/** Writes one trace; see the file comment. */
export class TraceWriter {
  readonly #sink: ByteSink;
  readonly #codec: Codec;
  readonly #firstEvent: number;
  readonly #encoder = new ColumnEncoder();
  readonly #chunks = new ChunkList();
  readonly #pending: EventBatch;
  #strings: readonly string[] = [""];
  #stamps: number[] = [];
  #stringsWritten = 1;
  #events = 0;
  #bytes = 0;
  #lastKind = 0;
  #finished = false;

  constructor(header: TraceHeader, sink: ByteSink, options: TraceWriterOptions = {}) {
    const eventsPerChunk = options.eventsPerChunk ?? eventsPerChunkDefault;
    assert(eventsPerChunk <= eventsPerChunkMax, "chunks are within the limit");
    this.#sink = sink;
    this.#codec = options.codec ?? "deflate";
    this.#firstEvent = options.firstEvent ?? 0;
    this.#pending = new EventBatch(eventsPerChunk);
    this.#write(MAGIC);
    this.#write(encodeHeader({ ...header, formatVersion: FORMAT_VERSION }, this.#codec));
  }

  /** What has been written so far; events that wait for their chunk to fill are not counted. */
  get stats(): TraceStats {
    return { events: this.#events, bytes: this.#bytes };
  }

  /**
   * Appends the events of `batch`. `strings` is the whole string table so far; `stamps` are the clock's readings for those
   * events whose position in the run is a multiple of EVENTS_PER_STAMP, in all batches or in none.
   */
  writeBatch(batch: EventBatch, strings: readonly string[], stamps: readonly number[] = []): void {
    assert(!this.#finished, "a finished trace takes no events");
    this.#strings = strings;
    for (const stamp of stamps) this.#stamps.push(stamp);
    if (batch.count > 0) this.#lastKind = batch.kind(batch.count - 1);
    const pending = this.#pending;
    for (let from = 0; from < batch.count; ) {
      const whole = pending.count === 0 && from === 0 && batch.count === pending.capacity;
      if (whole) {
        this.#writeChunk(batch);
        return;
      }
      const count = Math.min(batch.count - from, pending.capacity - pending.count);
      const first = from * WORDS_PER_EVENT;
      const words = batch.ints.subarray(first, first + count * WORDS_PER_EVENT);
      pending.ints.set(words, pending.count * WORDS_PER_EVENT);
      pending.count += count;
      from += count;
      if (pending.count === pending.capacity) this.#writePending();
    }
  }

  /** Writes what is pending as a chunk of its own, so that a crash from now on does not lose it. */
  flush(): void {
    assert(!this.#finished, "a finished trace is whole");
    if (this.#pending.count > 0) this.#writePending();
  }

  /** Writes what is pending and the index, and closes the sink. */
  finish(): TraceStats {
    assert(!this.#finished, "a trace is finished once");
    this.#finished = true;
    if (this.#pending.count > 0) this.#writePending();
    const ended = this.#lastKind === Ev.run_end;
    const index = { chunks: this.#chunks, events: this.#events, ended };
    this.#write(encodeIndex(index, this.#bytes));
    this.#sink.close();
    return this.stats;
  }

  #writePending(): void {
    this.#writeChunk(this.#pending);
    this.#pending.count = 0;
  }

  #writeChunk(batch: EventBatch): void {
    const isPlain = this.#codec === "plain";
    const restart = isPlain || this.#chunks.length % CHUNKS_PER_RESTART === 0;
    const firstEvent = this.#firstEvent + this.#events;
    const columns = isPlain ? plainBytes(batch) : this.#encoder.encode(batch, restart);
    const strings = this.#newStrings(batch);
    const record = encodeChunk({
      firstEvent,
      events: batch.count,
      restart,
      strings,
      clock: encodeStamps(this.#takeStamps(firstEvent, batch.count)),
      codec: this.#codec,
      columnsBytes: columns.length,
      columns: compress(this.#codec, columns),
    });
    const entry = { offset: this.#bytes, events: batch.count, restart, strings: strings.length };
    this.#write(record);
    this.#chunks.push(entry);
    this.#events += batch.count;
  }

  /** The stamps of the next `count` events, none when the recording has no clock. */
  #takeStamps(firstEvent: number, count: number): readonly number[] {
    if (this.#stamps.length === 0) return [];
    const wanted = stampsIn(firstEvent, count);
    assert(this.#stamps.length >= wanted, "every 16th event has a stamp");
    return this.#stamps.splice(0, wanted);
  }

  /** The strings that the events of `batch` are the first to need, with those interned before them. */
  #newStrings(batch: EventBatch): readonly string[] {
    const end = stringsEnd(batch, this.#stringsWritten);
    assert(end <= this.#strings.length, "every string that an event names is in the table");
    const fresh = this.#strings.slice(this.#stringsWritten, end);
    this.#stringsWritten = end;
    return fresh;
  }

  #write(bytes: Uint8Array): void {
    this.#sink.write(bytes);
    this.#bytes += bytes.length;
  }
}
