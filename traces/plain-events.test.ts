import { describe, expect, test } from "vitest";
import { Ev, EventBatch } from "#core/probe";
import { PLAIN_EVENT_BYTES, PlainReader, plainBytes } from "./plain-events.ts";
import { CATALOGUE_KINDS } from "./predictors.ts";
import { madeUp, wordsOf } from "./test-support.ts";

describe("plain events", () => {
  test("are the words of the batch", () => {
    const { batch } = madeUp(100);
    const bytes = plainBytes(batch);
    expect(bytes.length).toBe(batch.count * PLAIN_EVENT_BYTES);
    const read = new EventBatch(batch.count);
    new PlainReader(CATALOGUE_KINDS).read(bytes, batch.count, read);
    expect(wordsOf(read)).toEqual(wordsOf(batch));
  });

  test("hold nothing where their kind has no field", () => {
    const batch = new EventBatch(2);
    batch.push(Ev.kick, 300, 4, 1, 2, 3, 4, 5);
    batch.push(Ev.clock_read, 1, 0, 7, 2, 3, 4, 1e12);
    const words = new Int32Array(plainBytes(batch).buffer);
    expect([...words.subarray(0, 8)]).toEqual([Ev.kick | (300 << 8), 4, 1, 0, 0, 0, 0, 0]);
    expect([...words.subarray(8, 14)]).toEqual([Ev.clock_read | 256, 0, 7, 0, 0, 0]);
    expect(new Float64Array(words.buffer)[7]).toBe(1e12);
  });

  test("are refused when their length or a kind is wrong", () => {
    const { batch } = madeUp(2);
    const bytes = plainBytes(batch);
    const reader = new PlainReader(CATALOGUE_KINDS);
    const into = new EventBatch(batch.count + 1);
    expect(() => reader.read(bytes, batch.count + 1, into)).toThrow(/length/);
    bytes[PLAIN_EVENT_BYTES] = 250;
    expect(() => reader.read(bytes, batch.count, into)).toThrow(/not described/);
  });
});
