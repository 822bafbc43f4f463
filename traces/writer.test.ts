import { describe, expect, test } from "vitest";
import type { EventBatch } from "#core/probe";
import { CODECS } from "./compression.ts";
import { traceDigest } from "./digest.ts";
import { headerWithLevel } from "./header.ts";
import { MemoryBytes, traceBytes } from "./memory.ts";
import { TraceReader } from "./reader.ts";
import { stripToInputs } from "./strip.ts";
import { syntheticSites } from "./synthetic.ts";
import { headerForTests, madeUp, madeUpFile, partOf, wordsOf } from "./test-support.ts";
import { TraceWriter, type TraceWriterOptions } from "./writer.ts";

const header = { ...headerForTests, sites: syntheticSites };
const { batch, strings } = madeUp(200);

/** The file that comes of writing `batch` in parts of `size` events. */
function inParts(events: EventBatch, size: number, options: TraceWriterOptions): Uint8Array {
  const sink = new MemoryBytes();
  const writer = new TraceWriter(header, sink, options);
  for (let from = 0; from < events.count; from += size) {
    const part = partOf(events, from, Math.min(size, events.count - from));
    // The table is as long as it can be at that point of a run, or whole: neither may show.
    writer.writeBatch(part, strings);
  }
  writer.finish();
  return sink.bytes();
}

/** The file that comes of reading `bytes` and writing what was read. */
function rewritten(bytes: Uint8Array, options: TraceWriterOptions): Uint8Array {
  const reader = TraceReader.open(bytes);
  const sink = new MemoryBytes();
  const writer = new TraceWriter(reader.header, sink, options);
  for (const read of reader.batches()) writer.writeBatch(read, reader.strings, reader.clock?.ns);
  writer.finish();
  return sink.bytes();
}

describe("what is written", () => {
  test.each([
    [1, 100],
    [99, 100],
    [100, 100],
    [250, 100],
    [5000, 100],
    [100, 8192],
  ])("does not depend on batches: %i events a batch, %i a chunk", (size, eventsPerChunk) => {
    const whole = traceBytes(header, batch, strings, { eventsPerChunk });
    expect(inParts(batch, size, { eventsPerChunk })).toEqual(whole);
  });

  test.each(CODECS)("is the same when it was read and is written again, codec %s", (codec) => {
    const bytes = madeUpFile(200, { codec, eventsPerChunk: 512 });
    expect(rewritten(bytes, { codec, eventsPerChunk: 512 })).toEqual(bytes);
  });

  test.each(CODECS)("is read as it was, codec %s", (codec) => {
    const reader = TraceReader.open(madeUpFile(200, { codec }));
    const words: number[] = [];
    for (const read of reader.batches()) words.push(...wordsOf(read));
    expect(words).toEqual([...wordsOf(batch)]);
    expect(reader.strings).toEqual(strings);
    expect(reader.complete).toBe(true);
  });

  test("is the same whether its events are plain or columns", () => {
    const digests = CODECS.map((codec) =>
      traceDigest(TraceReader.open(madeUpFile(200, { codec }))),
    );
    expect(new Set(digests).size).toBe(1);
  });

  test("is counted", () => {
    const sink = new MemoryBytes();
    const writer = new TraceWriter(header, sink);
    writer.writeBatch(batch, strings);
    expect(writer.finish()).toEqual({ events: batch.count, bytes: sink.bytes().length });
  });

  test("takes about a byte an event with the default codec", () => {
    const { batch: long, strings: longStrings } = madeUp(4000);
    const bytes = traceBytes(header, long, longStrings);
    expect(bytes.length / long.count).toBeLessThan(1);
  });
});

describe("a string", () => {
  test("that no event needs is not stored, or bytes would depend on when batches were handed over", () => {
    const more = [...strings, "not used"];
    expect(traceBytes(header, batch, more)).toEqual(traceBytes(header, batch, strings));
  });

  test("is stored with the chunk that first needs it", () => {
    const reader = TraceReader.open(madeUpFile(200, { eventsPerChunk: 8 }));
    const seen: number[] = [];
    for (const read of reader.batches()) if (read.count > 0) seen.push(reader.strings.length);
    expect(seen[0]).toBe(11);
    expect(seen.at(-1)).toBe(strings.length);
    expect(strings.length).toBeGreaterThan(11);
  });
});

describe("the digest", () => {
  const digest = (bytes: Uint8Array) => traceDigest(TraceReader.open(bytes));
  const reference = digest(madeUpFile(50));

  test("is the same for other codecs, chunks, provenance and clocks", () => {
    const { batch: small, strings: few } = madeUp(50);
    const elsewhere = { ...header, provenance: { ...header.provenance, host: "elsewhere" } };
    const sink = new MemoryBytes();
    const writer = new TraceWriter(header, sink);
    const stamps = Array.from({ length: Math.ceil(small.count / 16) }, (_, i) => i * 1000);
    writer.writeBatch(small, few, stamps);
    writer.finish();
    const digests = [
      digest(madeUpFile(50, { codec: "none" })),
      digest(madeUpFile(50, { eventsPerChunk: 7 })),
      digest(traceBytes(elsewhere, small, few)),
      digest(sink.bytes()),
    ];
    expect(digests).toEqual(digests.map(() => reference));
  });

  test.each([
    ["an event", header, (copy: EventBatch) => copy.ints.fill(3, 2, 3)],
    ["the number of events", header, (copy: EventBatch) => copy.count--],
    ["the seed", { ...header, seed: 8 }, () => {}],
    ["a patch", { ...header, patchesOn: [2] }, () => {}],
  ])("differs with %s", (_what, other, change) => {
    const { batch: small, strings: few } = madeUp(50);
    change(small);
    expect(digest(traceBytes(other, small, few))).not.toBe(reference);
  });

  test("differs with a string", () => {
    const { batch: small, strings: few } = madeUp(50);
    const renamed = few.map((text) => (text === "raw1" ? "raw9" : text));
    expect(digest(traceBytes(header, small, renamed))).not.toBe(reference);
  });
});

test("clock stamps belong to every 16th event of the run, however it is cut", () => {
  const stamps = Array.from({ length: Math.ceil(batch.count / 16) }, (_, i) => 5000 + i * 7);
  const sink = new MemoryBytes();
  const writer = new TraceWriter(header, sink, { eventsPerChunk: 100 });
  writer.writeBatch(batch, strings, stamps);
  writer.finish();
  const reader = TraceReader.open(sink.bytes());
  const read: number[] = [];
  let start = 0;
  for (const part of reader.batches()) {
    expect((start + (reader.clock?.first ?? 0)) % 16).toBe(0);
    read.push(...(reader.clock?.ns ?? []));
    start += part.count;
  }
  expect(read).toEqual(stamps);
  expect(rewritten(sink.bytes(), { eventsPerChunk: 100 })).toEqual(sink.bytes());
});

test("stripping keeps the inputs, and an inputs trace strips to itself", () => {
  const strip = (bytes: Uint8Array) => {
    const reader = TraceReader.open(bytes);
    const sink = new MemoryBytes();
    stripToInputs(reader, new TraceWriter(headerWithLevel(reader.header, "inputs"), sink));
    return sink.bytes();
  };
  const inputs = strip(madeUpFile(200));
  const reader = TraceReader.open(inputs);
  for (const part of reader.batches()) {
    for (let i = 0; i < part.count; i++) expect([2, 144]).toContain(part.kind(i));
  }
  expect(reader.events).toBe(201);
  expect(reader.complete).toBe(true);
  expect(strip(inputs)).toEqual(inputs);
});
