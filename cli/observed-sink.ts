// A sink that looks at what goes by: how many events, their digest, and what the last ones were. What `record` and `replay`
// tell the user about a run comes from here.

import { EventBatch, type Site, WORDS_PER_EVENT } from "#core/probe";
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
  readonly #tail = new EventBatch(TAIL_MAX);
  #events = 0;
  #strings: readonly string[] = [""];

  constructor(options: ObservedSinkOptions) {
    this.#options = options;
  }

  write(...[batch, strings, ...rest]: Parameters<Sink["write"]>): void {
    const { inner, digest, onProgress } = this.#options;
    digest?.add(batch);
    inner?.write(batch, strings, ...rest);
    this.#events += batch.count;
    this.#strings = strings;
    this.#keepTail(batch);
    onProgress?.(this.#events);
  }

  close(): void {
    this.#options.inner?.close();
  }

  /** The digest of all events that went by; "" when none was asked for. */
  digest(): string {
    return this.#options.digest?.finish(this.#strings) ?? "";
  }

  /** The last events of the last batch, as text. */
  tail(): string[] {
    const tables = { strings: this.#strings, sites: this.#options.sites };
    return Array.from({ length: this.#tail.count }, (_, index) =>
      formatEvent(this.#tail, index, tables),
    );
  }

  /** The batch is the recorder's and is used again. */
  #keepTail(batch: EventBatch): void {
    const from = Math.max(0, batch.count - TAIL_MAX);
    this.#tail.ints.set(batch.ints.subarray(from * WORDS_PER_EVENT, batch.count * WORDS_PER_EVENT));
    this.#tail.count = batch.count - from;
  }
}
