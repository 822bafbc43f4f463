// A sink that looks at what goes by: how many events, their digest, and what the last ones were. What `record` and `replay`
// tell the user about a run comes from here.

import type { EventBatch, Site } from "#core/probe";
import type { Sink } from "#tracer";
import { formatEvent, type TraceDigest } from "#traces";

/** What to do with the events beside looking at them. */
export interface ObservedSinkOptions {
  /** Where they go; nowhere if absent. */
  readonly inner?: Sink;
  readonly digest?: TraceDigest;
  /** Called with the number of events so far. */
  readonly onProgress?: ((events: number) => void) | undefined;
  readonly sites: readonly Site[];
}

const TAIL_MAX = 20;

export class ObservedSink implements Sink {
  readonly #options: ObservedSinkOptions;
  #events = 0;
  #last: EventBatch | null = null;
  #strings: readonly string[] = [""];

  constructor(options: ObservedSinkOptions) {
    this.#options = options;
  }

  write(batch: EventBatch, strings: readonly string[]): void {
    const { inner, digest, onProgress } = this.#options;
    digest?.add(batch);
    inner?.write(batch, strings);
    this.#events += batch.count;
    this.#last = batch;
    this.#strings = strings;
    onProgress?.(this.#events);
  }

  close(): void {
    this.#options.inner?.close();
  }

  /** The digest of all events that went by; "" when none was asked for. */
  digest(): string {
    return this.#options.digest?.finish(this.#strings) ?? "";
  }

  /** The last events of the last batch, as text. Only while the recorder does not write on. */
  tail(): string[] {
    const batch = this.#last;
    if (batch === null) return [];
    const tables = { strings: this.#strings, sites: this.#options.sites };
    const from = Math.max(0, batch.count - TAIL_MAX);
    return Array.from({ length: batch.count - from }, (_, index) =>
      formatEvent(batch, from + index, tables),
    );
  }
}
