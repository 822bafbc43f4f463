// The flight recorder: the last events only, in memory, to be written to a file when something has happened.
//
//     batches:   | 2 | 3 | 4 | 1 |        The recorder fills the ring's own batches, so that recording costs nothing more
//                              ^          than into a file that is never written; the oldest batch is filled next.
//                              next
//
// Such a trace lacks its beginning, so it can be looked at and analysed, but not replayed: `firstEvent` of its reader says
// how many events were dropped. The string table is whole, since it is small.

import { assert } from "#core/base";
import { EventBatch } from "#core/probe";
import {
  type ByteSink,
  eventsPerChunkDefault,
  type TraceHeader,
  type TraceStats,
  TraceWriter,
  type TraceWriterOptions,
} from "#traces";
import type { Sink } from "./sink.ts";

/** A batch that is full, with what belongs to it. */
interface Kept {
  readonly batch: EventBatch;
  readonly stamps: readonly number[];
  readonly firstEvent: number;
}

/**
 * Keeps at least the last `events` events that were handed over, and forgets older ones a batch at a time: by default so that there are
 * never more than a quarter and one event too many.
 */
export class RingSink implements Sink {
  readonly #events: number;
  readonly #batchEvents: number;
  readonly #kept: Kept[] = [];
  #strings: readonly string[] = [""];
  #eventsKept = 0;
  #eventsSeen = 0;

  constructor(
    events: number,
    batchEvents = Math.min(eventsPerChunkDefault, Math.ceil(events / 8)),
  ) {
    assert(events > 0, "a ring keeps at least one event");
    assert(batchEvents > 0, "a batch holds at least one event");
    this.#events = events;
    this.#batchEvents = Math.min(batchEvents, events);
  }

  /** One of the oldest batches when the others are enough, else a new one. */
  nextBatch(): EventBatch {
    let free: EventBatch | null = null;
    for (;;) {
      const oldest = this.#kept[0]?.batch;
      if (oldest === undefined || this.#eventsKept - oldest.count < this.#events) break;
      this.#kept.shift();
      this.#eventsKept -= oldest.count;
      oldest.count = 0;
      free = oldest;
    }
    return free ?? new EventBatch(this.#batchEvents);
  }

  write(batch: EventBatch, strings: readonly string[], stamps: readonly number[] = []): void {
    this.#kept.push({ batch, stamps: [...stamps], firstEvent: this.#eventsSeen });
    this.#strings = strings;
    this.#eventsKept += batch.count;
    this.#eventsSeen += batch.count;
  }

  close(): void {}

  /** Writes what is kept to `sink`; call `flush` of the recorder before, or its last events are missing. */
  dump(header: TraceHeader, sink: ByteSink, options: TraceWriterOptions = {}): TraceStats {
    const firstEvent = this.#kept[0]?.firstEvent ?? 0;
    const writer = new TraceWriter(header, sink, { ...options, firstEvent });
    for (const { batch, stamps } of this.#kept) writer.writeBatch(batch, this.#strings, stamps);
    return writer.finish();
  }
}
