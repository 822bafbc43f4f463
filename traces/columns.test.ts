import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CTX_MAX, Ev, EventBatch, LAYOUTS, WORLD_CTX } from "#core/probe";
import { ColumnDecoder } from "./column-decoder.ts";
import { ColumnEncoder } from "./column-encoder.ts";
import { CATALOGUE_KINDS } from "./predictors.ts";
import { anyBatch, madeUp, partOf, wordsOf } from "./test-support.ts";
import { MessageFields, MessageWriter } from "./wire.ts";

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

describe("contexts", () => {
  const batchOf = (contexts: readonly number[]): EventBatch => {
    const batch = new EventBatch(contexts.length);
    for (const ctx of contexts) batch.push(Ev.kick, ctx, 0, 1);
    return batch;
  };
  const columnOf = (contexts: readonly number[]): Uint8Array =>
    new MessageFields(new ColumnEncoder().encode(batchOf(contexts), true)).bytes(2);

  test("take a byte each up to the 254th, and the world too; later ones say that a number follows", () => {
    expect([...columnOf([1, 253, WORLD_CTX])]).toEqual([1, 253, 255]);
    expect([...columnOf([254])]).toEqual([254, 0xfe, 0x01]);
    expect([...columnOf([256])]).toEqual([254, 0x80, 0x02]);
    expect([...columnOf([CTX_MAX])]).toEqual([254, 0xff, 0xff, 0xff, 0x07]);
  });

  test("come back as they were, by themselves and mixed", () => {
    const contexts = [0, 253, 254, WORLD_CTX, 256, 511, 512, 1000, 65_536, CTX_MAX, 0, 767];
    const [decoded] = roundTrip([batchOf(contexts)], () => true);
    expect(contexts.map((_, i) => decoded?.ctx(i))).toEqual(contexts);
    expect(contexts.map((_, i) => decoded?.kind(i))).toEqual(contexts.map(() => Ev.kick));
  });

  test.each([
    ["too high", [254, 0x80, 0x80, 0x80, 0x08], /too high/],
    ["longer than they need to be", [254, 3], /more length/],
    ["the world, at length", [254, 0xff, 0x01], /more length/],
  ])("are refused when they are %s", (_, bytes, message) => {
    const columns = new ColumnEncoder().encode(batchOf([1]), true);
    const fields = new MessageFields(columns);
    const forged = new MessageWriter();
    for (let field = 1; field <= 6; field++)
      forged.bytes(field, field === 2 ? Uint8Array.from(bytes) : fields.bytes(field));
    expect(() =>
      new ColumnDecoder(CATALOGUE_KINDS).decode(forged.finish(), 1, true, new EventBatch(1)),
    ).toThrow(message);
  });
});
