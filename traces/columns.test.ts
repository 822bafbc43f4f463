import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventBatch, LAYOUTS } from "#core/probe";
import { ColumnDecoder } from "./column-decoder.ts";
import { ColumnEncoder } from "./column-encoder.ts";
import { CATALOGUE_KINDS } from "./predictors.ts";
import { anyBatch, madeUp, partOf, wordsOf } from "./test-support.ts";

/** Encodes and decodes chunk after chunk, as one file would. */
function roundTrip(chunks: readonly EventBatch[], restart: (chunk: number) => boolean) {
  const encoder = new ColumnEncoder();
  const decoder = new ColumnDecoder(CATALOGUE_KINDS);
  return chunks.map((batch, chunk) => {
    const columns = encoder.encode(batch, restart(chunk));
    const decoded = new EventBatch(batch.count);
    decoder.decode(columns, batch.count, restart(chunk), decoded);
    return decoded;
  });
}

describe("columns give back", () => {
  test("events of every kind, with any numbers, whatever came before", () => {
    fc.assert(
      fc.property(fc.array(anyBatch, { minLength: 1, maxLength: 4 }), (chunks) => {
        const decoded = roundTrip(chunks, (chunk) => chunk === 0);
        expect(decoded.map(wordsOf)).toEqual(chunks.map(wordsOf));
      }),
    );
  });

  test("every kind by itself, twice in a row", () => {
    for (const layout of LAYOUTS) {
      if (layout === undefined) continue;
      const batch = new EventBatch(2);
      for (let i = 0; i < 2; i++) {
        const slots = [0, 0, 0, 0, 0];
        for (const { slot } of layout.fields) slots[slot] = 3 + slot;
        const [a, b, c, d, x] = slots;
        batch.push(layout.id, 1, 2, a, b, c, d, x);
      }
      expect(wordsOf(roundTrip([batch], () => true)[0] as EventBatch)).toEqual(wordsOf(batch));
    }
  });

  test("a run, in chunks of which some predict from scratch", () => {
    const { batch } = madeUp(100);
    const chunks: EventBatch[] = [];
    for (let from = 0; from < batch.count; from += 97) {
      chunks.push(partOf(batch, from, Math.min(97, batch.count - from)));
    }
    const decoded = roundTrip(chunks, (chunk) => chunk % 3 === 0);
    expect(decoded.map(wordsOf)).toEqual(chunks.map(wordsOf));
  });
});

test("a regular run takes about a byte an event", () => {
  const { batch } = madeUp(2000);
  const columns = new ColumnEncoder().encode(batch, true);
  expect(columns.length / batch.count).toBeLessThan(1.3);
});

describe("columns are refused when", () => {
  const batch = madeUp(3).batch;
  const columns = new ColumnEncoder().encode(batch, true);
  const decode = (bytes: Uint8Array, events: number, kinds = CATALOGUE_KINDS) =>
    new ColumnDecoder(kinds).decode(bytes, events, true, new EventBatch(events));

  test.each([-1, 1])("the number of events is off by %i", (difference) => {
    expect(() => decode(columns, batch.count + difference)).toThrow(RangeError);
  });

  test("the file does not describe a kind", () => {
    const kinds = CATALOGUE_KINDS.filter((kind) => kind.name !== "co_yield");
    expect(() => decode(columns, batch.count, kinds)).toThrow(/kind of event is not described/);
  });

  test("they are any other bytes: an answer or a RangeError, at once", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          decode(bytes, 50);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});
