import { describe, expect, test } from "vitest";
import { Ev, type EventBatch, IS_INPUT } from "#core/probe";
import {
  emitSyntheticRun,
  formatBatch,
  headerWithLevel,
  MemoryBytes,
  stripToInputs,
  TraceReader,
  TraceWriter,
} from "#traces";
import { MemorySink } from "./memory-sink.ts";
import { Recorder } from "./recorder.ts";
import { headerForTests } from "./test-support.ts";

/** The file of a made-up run. */
function record(options: { level?: "inputs" | "full"; batchEvents?: number } = {}): Uint8Array {
  const header = headerWithLevel(headerForTests, options.level ?? "full");
  const sink = new MemorySink(header);
  const recorder = new Recorder(sink, options);
  emitSyntheticRun(recorder, { seed: 5, requests: 300 });
  recorder.close();
  return sink.bytes();
}

/** Calls `use` with every batch of a file. */
function forEachBatch(bytes: Uint8Array, use: (batch: EventBatch, reader: TraceReader) => void) {
  const reader = TraceReader.open(bytes);
  for (const batch of reader.batches()) use(batch, reader);
  return reader;
}

describe("a recording", () => {
  test("holds what was emitted, with who ran", () => {
    const sink = new MemorySink(headerForTests);
    const recorder = new Recorder(sink);
    recorder.ctx = 0;
    recorder.emit(Ev.note, recorder.intern("hello"));
    recorder.ctx = 2;
    recorder.task = 7;
    recorder.emitWide(Ev.req_begin, 2 ** 40, 1, 2, 4096);
    recorder.emit(Ev.kick, 0);
    recorder.close();
    let text = "";
    forEachBatch(sink.bytes(), (batch, { strings }) => {
      text += formatBatch(batch, { strings, sites: [] });
    });
    expect(text).toBe(
      [
        'ctx0 - note text="hello"\n',
        "ctx2 t7 req_begin blk=blk1 type=write bytes=4096 offset=1099511627776\n",
        "ctx2 t7 kick waiters=0\n",
      ].join(""),
    );
    expect(recorder.events).toBe(3);
  });

  test("made twice is equal byte for byte", () => {
    expect(record()).toEqual(record());
  });

  test.each([1, 7, 1000, 8192])("does not depend on the size of its batches: %i", (batchEvents) => {
    expect(record({ batchEvents })).toEqual(record());
  });

  test("of inputs equals the full one stripped to its inputs", () => {
    const reader = TraceReader.open(record());
    const stripped = new MemoryBytes();
    stripToInputs(reader, new TraceWriter(headerWithLevel(reader.header, "inputs"), stripped));
    const inputs = record({ level: "inputs" });
    expect(inputs).toEqual(stripped.bytes());
    forEachBatch(inputs, (batch) => {
      for (let i = 0; i < batch.count; i++) expect(IS_INPUT[batch.kind(i)]).toBe(1);
    });
    expect(TraceReader.open(inputs).index?.events).toBe(301);
  });

  test("can be closed once", () => {
    const recorder = new Recorder(new MemorySink(headerForTests));
    recorder.close();
    expect(() => recorder.close()).toThrow("a recorder is closed once");
  });
});

describe("a clock", () => {
  test.each([
    ["a batch is a multiple of 16", 64],
    ["it is not", 50],
    ["batches are small", 5],
  ])("is read once for 16 events when %s", (_when, batchEvents) => {
    const sink = new MemorySink(headerForTests, { eventsPerChunk: 40 });
    let now = 0;
    const recorder = new Recorder(sink, { batchEvents, clock: () => ++now });
    for (let i = 0; i < 333; i++) recorder.emit(Ev.kick, i);
    recorder.close();
    const stamps: number[] = [];
    const reader = forEachBatch(sink.bytes(), (batch, { clock }) => {
      for (const [i, ns] of (clock?.ns ?? []).entries()) {
        expect(batch.arg((clock?.first ?? 0) + 16 * i, 0)).toBe((ns - 1) * 16);
        stamps.push(ns);
      }
    });
    expect(stamps).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
    expect(reader.damage).toBeNull();
  });
});
