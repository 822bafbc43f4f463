// The recorder: the probe that writes what the core emits into a batch of 32-byte records.
//
// Hot path, and the one place where beauty yields: numbers into a preallocated array, no objects, no closures, no strings,
// and one comparison for all that happens now and then. Budget (bench/recording.ts): 3 ns an event with logical time, 8 ns
// with a clock reading for every 16 events. A full batch goes to the sink, which encodes it off this path.
//
//     emit ->  | 0 | 1 | 2 | ... | 16 | ... | capacity - 1 |      at #pauseAt, after an event: read the clock if its
//                ^ stamp           ^ stamp                  ^      position is a multiple of 16; flush when full

import { assert } from "#core/base";
import { EventBatch, IS_INPUT, ProbeBase } from "#core/probe";
import { EVENTS_PER_STAMP, eventsPerChunkDefault } from "#traces";
import type { Sink } from "./sink.ts";

/** How a Recorder records. */
export interface RecorderOptions {
  /** `inputs` keeps only what replay needs; default `full`. */
  readonly level?: "inputs" | "full";
  /** Events that are kept back until they go to the sink, unless the sink provides the batches. */
  readonly batchEvents?: number;
  /** Nanoseconds of a wall clock, as a safe integer: read once for 16 events. Without it there are no stamps. */
  readonly clock?: () => number;
}

/** Records into a Sink; see the file comment. */
export class Recorder extends ProbeBase {
  readonly #sink: Sink;
  readonly #clock: (() => number) | null;
  readonly #inputsOnly: boolean;
  readonly #stamps: number[] = [];
  #batch: EventBatch;
  #ints: Int32Array;
  #floats: Float64Array;
  #count = 0;
  /** The `#count` at which `#pause` is called. */
  #pauseAt = 0;
  /** Events in the batches before this one. */
  #eventsBefore = 0;
  #closed = false;

  constructor(sink: Sink, options: RecorderOptions = {}) {
    super(options.level !== "inputs");
    this.#sink = sink;
    this.#clock = options.clock ?? null;
    this.#inputsOnly = options.level === "inputs";
    const events = options.batchEvents ?? eventsPerChunkDefault;
    this.#batch = sink.nextBatch?.() ?? new EventBatch(events);
    this.#ints = this.#batch.ints;
    this.#floats = this.#batch.floats;
    this.#takeBatch(this.#batch);
  }

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    if (this.#inputsOnly && IS_INPUT[kind] === 0) return;
    const count = this.#count;
    const ints = this.#ints;
    const base = count << 3;
    ints[base] = kind | (this.ctx << 8);
    ints[base + 1] = this.task;
    ints[base + 2] = a;
    ints[base + 3] = b;
    // Few kinds have more; not storing the zeros saves a fifth, since a batch is all zeros when it begins.
    if (c !== 0) ints[base + 4] = c;
    if (d !== 0) ints[base + 5] = d;
    this.#count = count + 1;
    if (count + 1 === this.#pauseAt) this.#pause();
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    if (this.#inputsOnly && IS_INPUT[kind] === 0) return;
    const count = this.#count;
    const ints = this.#ints;
    const base = count << 3;
    ints[base] = kind | (this.ctx << 8);
    ints[base + 1] = this.task;
    ints[base + 2] = a;
    ints[base + 3] = b;
    if (c !== 0) ints[base + 4] = c;
    if (d !== 0) ints[base + 5] = d;
    this.#floats[(count << 2) + 3] = wide;
    this.#count = count + 1;
    if (count + 1 === this.#pauseAt) this.#pause();
  }

  /** Events recorded so far. */
  get events(): number {
    return this.#eventsBefore + this.#count;
  }

  /** Hands what is kept back to the sink, and has it written. */
  sync(): void {
    this.flush();
    this.#sink.flush?.();
  }

  /** Hands what is kept back to the sink. */
  flush(): void {
    if (this.#count === 0) return;
    this.#batch.count = this.#count;
    this.#sink.write(this.#batch, this.strings, this.#stamps);
    this.#eventsBefore += this.#count;
    this.#count = 0;
    this.#stamps.length = 0;
    this.#takeBatch(this.#sink.nextBatch?.() ?? this.#batch);
  }

  /** Hands over what is left and closes the sink; throws QuiesceError("input") when recording had to stop early. */
  close(): void {
    assert(!this.#closed, "a recorder is closed once");
    this.#closed = true;
    this.flush();
    this.#sink.close();
  }

  #takeBatch(batch: EventBatch): void {
    this.#batch = batch;
    this.#ints = batch.ints.fill(0);
    this.#floats = batch.floats;
    this.#pauseAt = this.#nextPause();
  }

  #pause(): void {
    const clock = this.#clock;
    if (clock !== null && (this.events - 1) % EVENTS_PER_STAMP === 0) this.#stamps.push(clock());
    if (this.#count === this.#batch.capacity) this.flush();
    else this.#pauseAt = this.#nextPause();
  }

  /** The next count after which there is something to do. */
  #nextPause(): number {
    const capacity = this.#batch.capacity;
    if (this.#clock === null) return capacity;
    const toStamp = Math.ceil(this.events / EVENTS_PER_STAMP) * EVENTS_PER_STAMP - this.events;
    return Math.min(capacity, this.#count + toStamp + 1);
  }
}
