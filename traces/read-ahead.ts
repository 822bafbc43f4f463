// Reads a trace in a second thread, a few chunks ahead of whoever asks, who therefore does not wait for the disk, checksums
// and decoding. It looks like reading in one's own thread: whoever asks is blocked until the next chunk is there.
//
//   thread    read ─ decode ─ into slot 0 ─ read ─ decode ─ into slot 1 ─ …   (stops when no slot is free)
//   caller    ····························· slot 0 in use ─────────────── slot 1 in use ─ …
//
// The two share the slots' memory and two counters; what is small comes as messages, each posted before its counter.

import { existsSync } from "node:fs";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { assert, QuiesceError } from "#core/base";
import { EventBatch, WORDS_PER_EVENT } from "#core/probe";
import type { ClockStamps } from "./clock.ts";
import type { TraceDamage } from "./reader.ts";

/** Chunks that are read before they are asked for. */
export const SLOTS = 4;
/** Indices of the counters: chunks (and the end) that are there, and that the caller has done with. */
export const PRODUCED = 0;
export const CONSUMED = 1;
/** A thread that is silent for so long is lost. */
const SILENCE_MAX_MS = 60_000;

/** Absent where this runs from sources, of which no thread can be made. Asked for by readers alone: a bundle has no such place. */
const thread = () => new URL("./read-ahead-thread.js", import.meta.url);

/** Whether there can be a second thread here. */
export function canReadAhead(): boolean {
  return existsSync(thread());
}

/** What the thread is given. */
export interface AheadOrder {
  readonly fd: number;
  readonly counters: SharedArrayBuffer;
}

/** A chunk that was read; its events are in the buffer, which is the slot's until it is replaced by a larger one. */
export interface AheadChunk {
  readonly what: "chunk";
  readonly buffer: SharedArrayBuffer;
  readonly count: number;
  readonly firstEvent: number;
  readonly strings: readonly string[];
  readonly clock: ClockStamps | null;
}

/** The end of the file, or of what can be read of it. */
export interface AheadEnd {
  readonly what: "end";
  readonly damage: TraceDamage | null;
}

/** The file could not be read. */
export interface AheadFailure {
  readonly what: "failure";
  readonly kind: QuiesceError["kind"];
  readonly message: string;
}

export type AheadMessage = AheadChunk | AheadEnd | AheadFailure;

/** Bytes of a slot that holds `events` events. */
export function slotBytes(events: number): number {
  return events * WORDS_PER_EVENT * 4;
}

/**
 * The events of the trace in the open file `fd`, a chunk at a time; `adopt` is told of each before it is yielded. The batch is
 * valid until the next one is asked for. Returns how it ended; throws QuiesceError("input") when the disk fails.
 */
export function* readAhead(
  fd: number,
  adopt: (chunk: AheadChunk, batch: EventBatch) => void,
): Generator<EventBatch, AheadEnd> {
  const counters = new Int32Array(new SharedArrayBuffer(8));
  const { port1, port2 } = new MessageChannel();
  const order: AheadOrder = { fd, counters: counters.buffer as SharedArrayBuffer };
  const worker = new Worker(thread(), {
    workerData: { order, port: port2 },
    transferList: [port2],
    // Flags of the process are not all allowed in a thread, and none is needed.
    execArgv: [],
  });
  const batches = new Map<SharedArrayBuffer, EventBatch>();
  try {
    for (let next = 0; ; next++) {
      if (Atomics.load(counters, PRODUCED) === next) {
        const waited = Atomics.wait(counters, PRODUCED, next, SILENCE_MAX_MS);
        assert(waited !== "timed-out", "the reading thread answers");
      }
      const message = receiveMessageOnPort(port1)?.message as AheadMessage;
      if (message.what === "failure") throw new QuiesceError(message.kind, message.message);
      if (message.what === "end") return message;
      const batch = batches.get(message.buffer) ?? EventBatch.over(message.buffer);
      batches.set(message.buffer, batch);
      batch.count = message.count;
      adopt(message, batch);
      yield batch;
      Atomics.add(counters, CONSUMED, 1);
      Atomics.notify(counters, CONSUMED);
    }
  } finally {
    port1.close();
    void worker.terminate();
  }
}
