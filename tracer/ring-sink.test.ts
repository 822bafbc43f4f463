import { describe, expect, test } from "vitest";
import { Ev } from "#core/probe";
import { MemoryBytes, TraceReader } from "#traces";
import { Recorder } from "./recorder.ts";
import { RingSink } from "./ring-sink.ts";
import { headerForTests } from "./test-support.ts";

/** What a ring holds after `emitted` events: the number of the first and of the last. */
function held(ring: RingSink) {
  const bytes = new MemoryBytes();
  ring.dump(headerForTests, bytes);
  const reader = TraceReader.open(bytes.bytes());
  const numbers: number[] = [];
  for (const batch of reader.batches()) {
    for (let i = 0; i < batch.count; i++) numbers.push(batch.arg(i, 0));
  }
  expect(reader.damage).toBeNull();
  return { reader, numbers };
}

describe("a ring keeps", () => {
  test.each([
    [5, 100, 10],
    [100, 100, 10],
    [1234, 100, 10],
    [1234, 100, 33],
    [1234, 7, 100],
  ])("of %i events at least the last %i, in batches of %i", (emitted, size, batchEvents) => {
    const ring = new RingSink(size, batchEvents);
    const recorder = new Recorder(ring);
    for (let i = 0; i < emitted; i++) recorder.emit(Ev.kick, i);
    recorder.flush();
    const { numbers, reader } = held(ring);
    expect(numbers.at(-1)).toBe(emitted - 1);
    expect(numbers.length).toBeGreaterThanOrEqual(Math.min(size, emitted));
    expect(numbers.length).toBeLessThanOrEqual(size + 2 * batchEvents);
    expect(numbers).toEqual(numbers.map((_, i) => reader.firstEvent + i));
  });

  test.each([1, 2, 7, 100, 2000, 100_000])("of %i at most a quarter and one too many", (size) => {
    const ring = new RingSink(size);
    const recorder = new Recorder(ring);
    for (let i = 0; i < size * 3 + 17; i++) {
      recorder.emit(Ev.kick, i);
      if (i % Math.ceil(size / 10) === 0) recorder.flush();
      if (i % Math.ceil(size / 3) !== 0) continue;
      recorder.flush();
      const { length } = held(ring).numbers;
      expect(length).toBeGreaterThanOrEqual(Math.min(size, i + 1));
      expect(length).toBeLessThanOrEqual(size + Math.floor(size / 4) + 1);
    }
  });

  test("its size though it is dumped often", () => {
    const ring = new RingSink(100, 10);
    const recorder = new Recorder(ring);
    for (let i = 0; i < 1000; i++) {
      recorder.emit(Ev.kick, i);
      if (i % 7 === 0) recorder.flush();
    }
    recorder.flush();
    expect(held(ring).numbers.slice(-100)).toEqual(Array.from({ length: 100 }, (_, i) => 900 + i));
  });

  test("the clock's stamps and the strings", () => {
    const ring = new RingSink(64, 16);
    let now = 0;
    const recorder = new Recorder(ring, { clock: () => ++now });
    for (let i = 0; i < 160; i++) recorder.emit(Ev.note, recorder.intern(`note ${i}`));
    const { reader } = held(ring);
    const { strings } = reader;
    expect(reader.firstEvent).toBe(96);
    expect(reader.clock?.ns[0]).toBe(7);
    expect(strings[160]).toBe("note 159");
  });
});

test("a ring that has dropped events is not complete, however the run ended", () => {
  const ring = new RingSink(20, 10);
  const recorder = new Recorder(ring);
  for (let i = 0; i < 99; i++) recorder.emit(Ev.kick, i);
  recorder.emit(Ev.run_end, 1, 0);
  recorder.close();
  const { reader } = held(ring);
  expect(reader.firstEvent).toBe(80);
  expect(reader.complete).toBe(false);
});
