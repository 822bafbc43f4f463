// What this folder's tests share: headers, drawn traces, random events.

import fc from "fast-check";
import { CTX_MAX, EventBatch, LAYOUTS, ProbeBase, WORDS_PER_EVENT } from "#core/probe";
import { FORMAT_VERSION, type TraceHeader } from "./header.ts";
import { traceBytes } from "./memory.ts";
import { parseText } from "./parse-text.ts";
import type { TraceReader } from "./reader.ts";
import { emitSyntheticRun, syntheticSites } from "./synthetic.ts";
import { formatBatch } from "./text.ts";
import type { TraceWriterOptions } from "./writer.ts";

/** A header with something in every field. */
export const headerForTests: TraceHeader = {
  formatVersion: FORMAT_VERSION,
  schedulerPolicy: 1,
  coreVersion: "0.1.0",
  scenario: { name: "drawn", params: { depth: "16", size: "1M" } },
  seed: 7,
  host: "simulated",
  level: "full",
  patchesOn: [2, 3, 4, 10, 11, 12],
  lock: "none",
  sites: [],
  provenance: { createdAt: "2026-01-01T00:00:00Z", host: "here", node: "20", quiesce: "0.1.0" },
};

/** The file of a trace that is drawn as text. */
export function drawn(text: string, options: TraceWriterOptions = {}): Uint8Array {
  const { batch, strings, sites } = parseText(text);
  return traceBytes({ ...headerForTests, sites }, batch, strings, options);
}

/** Everything that can be read of a file, as text. */
export function textOf(reader: TraceReader): string {
  const tables = { strings: reader.strings, sites: reader.header.sites };
  let text = "";
  for (const batch of reader.batches()) text += formatBatch(batch, tables);
  return text;
}

/** The made-up run of `requests` requests: its events and strings. */
export function madeUp(requests: number, seed = 1): Collected {
  const probe = new Collector();
  emitSyntheticRun(probe, { seed, requests });
  return { batch: batchOf(probe.words), strings: probe.strings };
}

/** The file of the made-up run. */
export function madeUpFile(requests: number, options: TraceWriterOptions = {}): Uint8Array {
  const { batch, strings } = madeUp(requests);
  return traceBytes({ ...headerForTests, sites: syntheticSites }, batch, strings, options);
}

/** Events with the string table that they refer to. */
export interface Collected {
  readonly batch: EventBatch;
  readonly strings: readonly string[];
}

/** A copy of the `count` events of `batch` from `from` on. */
export function partOf(batch: EventBatch, from: number, count: number): EventBatch {
  const part = new EventBatch(Math.max(1, count));
  const first = from * WORDS_PER_EVENT;
  part.ints.set(batch.ints.subarray(first, first + count * WORDS_PER_EVENT));
  part.count = count;
  return part;
}

/** The words of the events of `batch`. */
export function wordsOf(batch: EventBatch): Int32Array {
  return batch.ints.slice(0, batch.count * WORDS_PER_EVENT);
}

const anyInt = fc.oneof(
  { weight: 8, arbitrary: fc.nat(20) },
  { weight: 1, arbitrary: fc.integer() },
);
const anyWide = fc.oneof(fc.nat(1 << 20), fc.maxSafeInteger());

/** An event of any kind of the catalogue, with any numbers; it refers to strings below 20. */
export const anyEvent = fc
  .record({
    layout: fc.constantFrom(...LAYOUTS.filter((layout) => layout !== undefined)),
    ctx: fc.oneof(fc.nat(3), fc.nat(600), fc.nat(CTX_MAX)),
    task: fc.oneof(fc.nat(5), fc.nat()),
    ints: fc.tuple(anyInt, anyInt, anyInt, anyInt),
    wide: anyWide,
    string: fc.nat(19),
  })
  .map(({ layout, ctx, task, ints, wide, string }) => {
    const slots = [0, 0, 0, 0, 0];
    for (const { type, slot } of layout.fields) {
      slots[slot] = slot === 4 ? wide : type === "string" ? string : (ints[slot] ?? 0);
    }
    return { kind: layout.id as number, ctx, task, slots };
  });

/** Strings that `anyEvent` may refer to. */
export const stringsForTests: readonly string[] = Array.from({ length: 20 }, (_, i) =>
  i === 0 ? "" : `string ${i} "ä\n`,
);

/** A batch of such events. */
export const anyBatch = fc.array(anyEvent, { minLength: 1, maxLength: 200 }).map((events) => {
  const batch = new EventBatch(events.length);
  for (const { kind, ctx, task, slots } of events) {
    const [a, b, c, d, x] = slots;
    batch.push(kind, ctx, task, a, b, c, d, x);
  }
  return batch;
});

class Collector extends ProbeBase {
  readonly words: [number, number, number, number[]][] = [];

  override emit(kind: number, ...args: number[]): void {
    this.words.push([kind, this.ctx, this.task, args]);
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    this.words.push([kind, this.ctx, this.task, [a, b, c, d, wide]]);
  }
}

function batchOf(words: Collector["words"]): EventBatch {
  const batch = new EventBatch(words.length);
  for (const [kind, ctx, task, [a, b, c, d, x]] of words)
    batch.push(kind, ctx, task, a, b, c, d, x);
  return batch;
}
