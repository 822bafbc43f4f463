// A recording in memory, as the bytes of a trace file.

import type { EventBatch } from "#core/probe";
import { MemoryBytes, type TraceHeader, TraceWriter, type TraceWriterOptions } from "#traces";
import type { Sink } from "./sink.ts";

/** Keeps the trace file in memory; `bytes` is the whole of it once the recorder is closed. */
export class MemorySink implements Sink {
  readonly #memory = new MemoryBytes();
  readonly #writer: TraceWriter;

  constructor(header: TraceHeader, options: TraceWriterOptions = {}) {
    this.#writer = new TraceWriter(header, this.#memory, options);
  }

  write(batch: EventBatch, strings: readonly string[], stamps?: readonly number[]): void {
    this.#writer.writeBatch(batch, strings, stamps);
  }

  close(): void {
    this.#writer.finish();
  }

  /** The file as far as it was written. */
  bytes(): Uint8Array {
    return this.#memory.bytes();
  }
}
