// Events by hand: a growing list of batches with small ids, for drawn and random traces.

import { EventBatch } from "#core/probe";

const BATCH_EVENTS = 256;

export class BatchWriter {
  readonly batches: EventBatch[] = [];
  count = 0;

  push(kind: number, ctx: number, task: number, a = 0, b = 0, c = 0, d = 0, wide = 0): number {
    let batch = this.batches[this.batches.length - 1];
    if (batch === undefined || batch.count === batch.capacity) {
      batch = new EventBatch(BATCH_EVENTS);
      this.batches.push(batch);
    }
    batch.push(kind, ctx, task, a, b, c, d, wide);
    return this.count++;
  }
}
