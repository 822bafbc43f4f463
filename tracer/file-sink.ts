// A recording on disk: full batches are encoded and written to an open file.
//
// When the disk is full, or writing fails otherwise, recording stops; what was written stays readable, because a trace
// that was cut off opens up to its last whole chunk. The program that is recorded goes on, and learns of it in `close`.

import { ftruncateSync, writeSync } from "node:fs";
import { QuiesceError } from "#core/base";
import type { EventBatch } from "#core/probe";
import { type ByteSink, type TraceHeader, TraceWriter, type TraceWriterOptions } from "#traces";
import type { Sink } from "./sink.ts";

/** Writes a trace to the open file `fd`, which its owner closes afterwards. */
export class FileSink implements Sink {
  readonly #writer: TraceWriter | null;
  #failure: unknown = null;

  constructor(fd: number, header: TraceHeader, options: TraceWriterOptions = {}) {
    let writer: TraceWriter | null = null;
    try {
      writer = new TraceWriter(header, new FdBytes(fd), options);
    } catch (error) {
      this.#failure = error;
    }
    this.#writer = writer;
  }

  /** True once writing has failed: nothing more is recorded. */
  get failed(): boolean {
    return this.#failure !== null;
  }

  write(batch: EventBatch, strings: readonly string[]): void {
    if (this.#writer === null || this.failed) return;
    try {
      this.#writer.writeBatch(batch, strings);
    } catch (error) {
      this.#failure = error;
    }
  }

  close(): void {
    if (this.#writer !== null && !this.failed) {
      try {
        this.#writer.finish();
      } catch (error) {
        this.#failure = error;
      }
    }
    if (this.#failure === null) return;
    const events = this.#writer?.stats.events ?? 0;
    throw new QuiesceError("input", stopped(this.#failure, events));
  }
}

function stopped(failure: unknown, events: number): string {
  if (!(failure instanceof Error) || !("code" in failure)) throw failure;
  const why =
    failure.code === "ENOSPC" ? "the disk is full" : `it cannot be written (${failure.code})`;
  return `Recording stopped early because ${why}: the trace holds the first ${events} events.`;
}

/** Writes whole records to a file, or leaves no trace of them. */
class FdBytes implements ByteSink {
  readonly #fd: number;
  #size = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array): void {
    let done = 0;
    try {
      while (done < bytes.length) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#size + done);
      }
    } catch (error) {
      this.#dropPartialRecord();
      throw error;
    }
    this.#size += bytes.length;
  }

  close(): void {}

  #dropPartialRecord(): void {
    try {
      ftruncateSync(this.#fd, this.#size);
    } catch {
      // Not a file that can be cut, a device for instance: the reader stops at the last whole chunk by itself.
    }
  }
}
