// A recording on disk: full batches are encoded and written to an open file as they come.

import { ftruncateSync, writeSync } from "node:fs";
import type { EventBatch } from "#core/probe";
import type { ByteSink, TraceHeader, TraceWriterOptions } from "#traces";
import type { Sink } from "./sink.ts";
import { TraceSink } from "./trace-sink.ts";

/** Writes a trace to the open file `fd`, which its owner closes afterwards. A full disk: see TraceSink. */
export class FileSink implements Sink {
  readonly #sink: TraceSink;

  constructor(fd: number, header: TraceHeader, options: TraceWriterOptions = {}) {
    this.#sink = new TraceSink(header, new FileBytes(fd), options);
  }

  /** True once writing has failed: nothing more is recorded. */
  get failed(): boolean {
    return this.#sink.failed;
  }

  write(batch: EventBatch, strings: readonly string[], stamps?: readonly number[]): void {
    this.#sink.write(batch, strings, stamps);
  }

  flush(): void {
    this.#sink.flush();
  }

  close(): void {
    this.#sink.close();
  }
}

/** Writes whole records to a file, from its start, or nothing of a record. */
class FileBytes implements ByteSink {
  readonly #fd: number;
  #size = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length; ) {
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
      // Not a file that can be cut, a device for instance: readers stop at the last whole chunk by themselves.
    }
  }
}
