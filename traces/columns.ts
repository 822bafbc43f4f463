// Events to columns and back.

import { type EventBatch, WORDS_PER_EVENT } from "#core/probe";
import type { FileKind } from "./predictors.ts";

/** Turns events into the columns of a chunk. */
export class ColumnEncoder {
  encode(batch: EventBatch, _restart: boolean): Uint8Array {
    const bytes = batch.count * WORDS_PER_EVENT * 4;
    return new Uint8Array(batch.ints.buffer as ArrayBuffer, 0, bytes).slice();
  }
}

/** Turns the columns of a chunk into events. */
export class ColumnDecoder {
  constructor(_kinds: readonly FileKind[]) {}

  decode(columns: Uint8Array, events: number, _restart: boolean, batch: EventBatch): void {
    if (columns.length !== events * WORDS_PER_EVENT * 4) throw new RangeError("column length");
    new Uint8Array(batch.ints.buffer as ArrayBuffer).set(columns);
    batch.count = events;
  }
}
