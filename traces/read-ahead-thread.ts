// The thread of read-ahead.ts: reads the trace that it is given, a chunk into each free slot, until the end or the first damage.

import { type MessagePort, workerData } from "node:worker_threads";
import { QuiesceError } from "#core/base";
import { type EventBatch, WORDS_PER_EVENT } from "#core/probe";
import { fdSource } from "./byte-source.ts";
import {
  type AheadMessage,
  type AheadOrder,
  CONSUMED,
  PRODUCED,
  SLOTS,
  slotBytes,
} from "./read-ahead.ts";
import { TraceReader } from "./reader.ts";

const { order, port } = workerData as { readonly order: AheadOrder; readonly port: MessagePort };
const counters = new Int32Array(order.counters);
const slots: SharedArrayBuffer[] = [];

try {
  readAll(TraceReader.open(fdSource(order.fd)));
} catch (error) {
  if (!(error instanceof QuiesceError)) throw error;
  post({ what: "failure", kind: error.kind, message: error.message });
}

function readAll(reader: TraceReader): void {
  const { strings } = reader;
  let known = strings.length;
  let chunk = 0;
  for (const batch of reader.batches()) {
    const buffer = slotFor(chunk, batch);
    new Int32Array(buffer).set(batch.ints.subarray(0, batch.count * WORDS_PER_EVENT));
    post({
      what: "chunk",
      buffer,
      count: batch.count,
      firstEvent: reader.firstEvent,
      strings: strings.slice(known),
      clock: reader.clock,
    });
    known = strings.length;
    chunk++;
  }
  post({ what: "end", damage: reader.damage });
}

/** The slot of chunk number `chunk`, once the chunk that was in it has been used. */
function slotFor(chunk: number, { count }: EventBatch): SharedArrayBuffer {
  for (;;) {
    const consumed = Atomics.load(counters, CONSUMED);
    if (chunk - consumed < SLOTS) break;
    Atomics.wait(counters, CONSUMED, consumed);
  }
  const bytes = slotBytes(count);
  const slot = slots[chunk % SLOTS];
  if (slot !== undefined && slot.byteLength >= bytes) return slot;
  const larger = new SharedArrayBuffer(bytes);
  slots[chunk % SLOTS] = larger;
  return larger;
}

function post(message: AheadMessage): void {
  port.postMessage(message);
  Atomics.add(counters, PRODUCED, 1);
  Atomics.notify(counters, PRODUCED);
}
