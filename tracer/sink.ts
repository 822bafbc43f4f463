// Where a recorder's full batches go.

import type { EventBatch } from "#core/probe";

/** Takes batches. A sink that can no longer write drops them quietly and says so in `close`. */
export interface Sink {
  /** `batch` is reused after the call; `strings` is the whole table so far. */
  write(batch: EventBatch, strings: readonly string[]): void;
  /** The last call. Throws QuiesceError("input") with one sentence when not everything could be written. */
  close(): void;
}
