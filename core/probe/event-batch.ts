// Events in memory: 32 bytes each, in one buffer seen as integers and as doubles. The recorder's ring, a trace chunk that
// was decoded and what the analyzer reads all have this layout, so that events are never copied into objects on a hot path.
//
//   int32 word:   0            1      2  3  4  5       6  7
//                 kind|ctx<<8  task   a  b  c  d       (one double: x)           kind: 8 bits, ctx: 24

import { assert } from "../base/index.ts";

export const WORDS_PER_EVENT = 8;
export const WORD_KIND = 0;
export const WORD_TASK = 1;
/** Word of integer slot 0; slots 1 to 3 follow. */
export const WORD_ARGS = 2;
/** Index of the wide slot of event i in `floats` is i * FLOATS_PER_EVENT + FLOAT_WIDE. */
export const FLOATS_PER_EVENT = 4;
export const FLOAT_WIDE = 3;

/** A run of events; `count` of `capacity` are valid. */
export class EventBatch {
  readonly ints: Int32Array;
  readonly floats: Float64Array;
  readonly capacity: number;
  count = 0;

  constructor(capacity: number, buffer: ArrayBufferLike = new ArrayBuffer(bytesOf(capacity))) {
    assert(capacity > 0, "a batch holds at least one event");
    this.ints = new Int32Array(buffer);
    this.floats = new Float64Array(buffer);
    this.capacity = capacity;
  }

  /** A batch in memory that it shares with another thread. */
  static over(buffer: SharedArrayBuffer): EventBatch {
    return new EventBatch(buffer.byteLength / bytesOf(1), buffer);
  }

  kind(index: number): number {
    return (this.ints[index * WORDS_PER_EVENT] as number) & 0xff;
  }

  ctx(index: number): number {
    return (this.ints[index * WORDS_PER_EVENT] as number) >>> 8;
  }

  task(index: number): number {
    return this.ints[index * WORDS_PER_EVENT + WORD_TASK] as number;
  }

  /** The number in `slot`: 0 to 3 are the integers, 4 (WIDE_SLOT) the wide one. */
  arg(index: number, slot: number): number {
    return slot === 4
      ? (this.floats[index * FLOATS_PER_EVENT + FLOAT_WIDE] as number)
      : (this.ints[index * WORDS_PER_EVENT + WORD_ARGS + slot] as number);
  }

  /** Append one event; the caller has made sure that there is room. */
  push(kind: number, ctx: number, task: number, a = 0, b = 0, c = 0, d = 0, x = 0): void {
    assert(this.count < this.capacity, "the batch has room");
    const base = this.count * WORDS_PER_EVENT;
    const ints = this.ints;
    ints[base] = kind | (ctx << 8);
    ints[base + 1] = task;
    ints[base + 2] = a;
    ints[base + 3] = b;
    ints[base + 4] = c;
    ints[base + 5] = d;
    this.floats[this.count * FLOATS_PER_EVENT + FLOAT_WIDE] = x;
    this.count++;
  }
}

function bytesOf(events: number): number {
  return events * WORDS_PER_EVENT * 4;
}
