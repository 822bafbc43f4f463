// A recording as a trace file, wherever its bytes go.
//
// When they can no longer be written (a full disk, above all), recording stops: what was written stays readable, since a
// trace that was cut off opens up to its last whole chunk. The program that is being recorded goes on, and learns of it
// in `close`.

import { QuiesceError } from "#core/base";
import type { EventBatch } from "#core/probe";
import { type ByteSink, type TraceHeader, TraceWriter, type TraceWriterOptions } from "#traces";
import type { Sink } from "./sink.ts";

/** Writes a trace to `bytes`; see the file comment. */
export class TraceSink implements Sink {
  #writer: TraceWriter | null = null;
  #failure: SystemError | null = null;
  #eventsWritten = 0;

  constructor(header: TraceHeader, bytes: ByteSink, options: TraceWriterOptions = {}) {
    this.#attempt(() => {
      this.#writer = new TraceWriter(header, bytes, options);
    });
  }

  /** True once writing has failed: nothing more is recorded. */
  get failed(): boolean {
    return this.#failure !== null;
  }

  write(batch: EventBatch, strings: readonly string[], stamps?: readonly number[]): void {
    this.#attempt(() => this.#writer?.writeBatch(batch, strings, stamps));
  }

  flush(): void {
    this.#attempt(() => this.#writer?.flush());
  }

  close(): void {
    this.#attempt(() => this.#writer?.finish());
    if (this.#failure !== null) throw stoppedEarly(this.#failure, this.#eventsWritten);
  }

  #attempt(write: () => void): void {
    if (this.failed) return;
    try {
      write();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#failure = error;
    }
    this.#eventsWritten = this.#writer?.stats.events ?? 0;
  }
}

interface SystemError extends Error {
  readonly code: string;
}

/** Whether the operating system refused, rather than that we have a bug. */
function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "syscall" in error && "code" in error;
}

function stoppedEarly(failure: SystemError, events: number): QuiesceError {
  const why = failure.code === "ENOSPC" ? "the disk is full" : `writing failed (${failure.code})`;
  const kept = `the trace holds the first ${events} events`;
  return new QuiesceError("input", `Recording stopped early because ${why}: ${kept}.`);
}
