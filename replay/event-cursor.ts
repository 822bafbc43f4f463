// Walks the events of a recording, one at a time, by position in a batch that it does not copy.

import { type EventBatch, IS_INPUT } from "#core/probe";
import type { RecordedTrace } from "./recorded-trace.ts";

/** A place in the recording. `batch` and `at` are valid while `done` is false. */
export class EventCursor {
  readonly #batches: Iterator<EventBatch>;
  readonly #inputsOnly: boolean;
  batch: EventBatch | null = null;
  at = 0;
  /** Events passed so far, of those that this cursor visits. */
  passed = 0;
  done = false;

  /** `inputsOnly` skips observations. */
  constructor(trace: RecordedTrace, inputsOnly: boolean) {
    this.#batches = trace.batches()[Symbol.iterator]();
    this.#inputsOnly = inputsOnly;
    this.#settle();
  }

  /** Go to the next event. */
  advance(): void {
    this.at++;
    this.passed++;
    this.#settle();
  }

  #settle(): void {
    for (;;) {
      const batch = this.batch;
      if (batch !== null) {
        if (this.#inputsOnly) {
          while (this.at < batch.count && IS_INPUT[batch.kind(this.at)] !== 1) this.at++;
        }
        if (this.at < batch.count) return;
      }
      const next = this.#batches.next();
      if (next.done === true) {
        this.done = true;
        return;
      }
      this.batch = next.value;
      this.at = 0;
    }
  }
}
