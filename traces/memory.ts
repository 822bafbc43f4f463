// Whole traces in memory: for tests, and for runs that are recorded only to be looked at.

import type { EventBatch } from "#core/probe";
import type { TraceHeader } from "./header.ts";
import { type ByteSink, TraceWriter, type TraceWriterOptions } from "./writer.ts";

/** A ByteSink that keeps what is written. */
export class MemoryBytes implements ByteSink {
  readonly #parts: Uint8Array[] = [];

  write(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  close(): void {}

  /** Everything that was written, as one array. */
  bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts));
  }
}

/** The file that holds `batch`. */
export function traceBytes(
  header: TraceHeader,
  batch: EventBatch,
  strings: readonly string[],
  options?: TraceWriterOptions,
): Uint8Array {
  const sink = new MemoryBytes();
  const writer = new TraceWriter(header, sink, options);
  writer.writeBatch(batch, strings);
  writer.finish();
  return sink.bytes();
}
