// Where a recorder's batches go.

import type { EventBatch } from "#core/probe";

/** Takes batches. A sink that can no longer write drops them quietly and says so in `close`. */
export interface Sink {
  /**
   * `batch` is reused after the call; `strings` is the whole table so far. `stamps` are the clock's readings for those events
   * whose position in the run is a multiple of EVENTS_PER_STAMP; none when the recorder has no clock.
   */
  write(batch: EventBatch, strings: readonly string[], stamps?: readonly number[]): void;
  /** The batch to record into next, for a sink that keeps batches; by default the recorder uses one of its own. */
  nextBatch?(): EventBatch | undefined;
  /** Writes what is kept back, for a run that may be cut off at any moment. Missing: nothing is, or nothing is written. */
  flush?(): void;
  /** The last call. Throws QuiesceError("input") with one sentence when not everything could be written. */
  close(): void;
}
