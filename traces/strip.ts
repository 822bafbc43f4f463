// From a full trace to its inputs: what replay needs, and nothing that replay regenerates (design D5).

import { assert } from "#core/base";
import { EventBatch, IS_INPUT, WORDS_PER_EVENT } from "#core/probe";
import type { TraceReader } from "./reader.ts";
import type { TraceStats, TraceWriter } from "./writer.ts";

/** Copies the inputs of `reader` to `writer`, whose header is `headerWithLevel(reader.header, "inputs")`, and finishes it. */
export function stripToInputs(reader: TraceReader, writer: TraceWriter): TraceStats {
  let inputs = new EventBatch(1);
  for (const batch of reader.batches()) {
    assert(reader.firstEvent === 0, "a trace without its beginning has no use as inputs");
    if (inputs.capacity < batch.count) inputs = new EventBatch(batch.count);
    copyInputs(batch, inputs);
    writer.writeBatch(inputs, reader.strings);
  }
  return writer.finish();
}

function copyInputs(from: EventBatch, to: EventBatch): void {
  to.count = 0;
  for (let i = 0; i < from.count; i++) {
    if (IS_INPUT[from.kind(i)] !== 1) continue;
    const first = i * WORDS_PER_EVENT;
    to.ints.set(from.ints.subarray(first, first + WORDS_PER_EVENT), to.count * WORDS_PER_EVENT);
    to.count++;
  }
}
