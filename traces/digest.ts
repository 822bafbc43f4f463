// The digest of a trace: equal for two recordings of the same run, whatever their codec, chunks, provenance and clocks.
//
// SHA-256 over the comparable header, the events as 32-byte records, and the strings; the first 32 hex digits of it.

import { createHash } from "node:crypto";
import { type EventBatch, WORDS_PER_EVENT } from "#core/probe";
import { comparableHeader, type TraceHeader } from "./header.ts";
import type { TraceReader } from "./reader.ts";
import { stringsEnd } from "./strings.ts";

/** Computes a digest from batches as they pass. Unused words of every event must be 0, as they are in every batch. */
export class TraceDigest {
  readonly #hash = createHash("sha256");
  #stringsEnd = 1;

  constructor(header: TraceHeader) {
    this.#hash.update(`${comparableHeader(header)}\n`);
  }

  add(batch: EventBatch): void {
    this.#stringsEnd = stringsEnd(batch, this.#stringsEnd);
    const bytes = batch.count * WORDS_PER_EVENT * 4;
    this.#hash.update(new Uint8Array(batch.ints.buffer as ArrayBuffer, 0, bytes));
  }

  /** The digest; `strings` is the string table, of which only what the events need counts. */
  finish(strings: readonly string[]): string {
    return this.#hash
      .update(JSON.stringify(strings.slice(0, this.#stringsEnd)))
      .digest("hex")
      .slice(0, 32);
  }
}

/** The digest of what can be read of a trace; look at `damage` afterwards. */
export function traceDigest(reader: TraceReader): string {
  const digest = new TraceDigest(reader.header);
  for (const batch of reader.batches()) digest.add(batch);
  return digest.finish(reader.strings);
}
