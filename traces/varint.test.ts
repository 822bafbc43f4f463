import fc from "fast-check";
import { expect, test } from "vitest";
import { ColumnReader, ColumnWriter } from "./varint.ts";

test.each([
  [0, [0]],
  [127, [127]],
  [128, [0x80, 1]],
  [2 ** 32 - 1, [0xff, 0xff, 0xff, 0xff, 0x0f]],
])("uint %i is written as %j", (value, bytes) => {
  const writer = new ColumnWriter();
  writer.uint(value);
  expect([...writer.bytes()]).toEqual(bytes);
});

test("every number comes back, and the column is at its end", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer(), anySafe, anySafe)), (rows) => {
      const writer = new ColumnWriter();
      for (const [int, value, predicted] of rows) {
        writer.sint(int);
        writer.uint(int >>> 0);
        writer.byte(int & 0xff);
        writer.wide(value, predicted);
      }
      const reader = new ColumnReader(writer.bytes());
      for (const [int, value, predicted] of rows) {
        expect(reader.sint()).toBe(int);
        expect(reader.uint()).toBe(int >>> 0);
        expect(reader.byte()).toBe(int & 0xff);
        expect(reader.wide(predicted)).toBe(value);
      }
      expect(reader.atEnd).toBe(true);
    }),
  );
});

test.each([
  [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  [2 ** 32, 2 ** 32 - 1],
  [2 ** 32 - 1, 2 ** 32],
  [-1, 0],
])("the difference of %d and %d survives", (value, predicted) => {
  const writer = new ColumnWriter();
  writer.wide(value, predicted);
  expect(new ColumnReader(writer.bytes()).wide(predicted)).toBe(value);
});

test("past its end a column reads zeros and is not at its end", () => {
  const reader = new ColumnReader(new Uint8Array([5]));
  expect([reader.uint(), reader.uint(), reader.wide(7), reader.byte()]).toEqual([5, 0, 7, 0]);
  expect(reader.atEnd).toBe(false);
});

const anySafe = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer(),
  fc.nat(3).map((n) => Number.MAX_SAFE_INTEGER - n),
  fc.nat(3).map((n) => Number.MIN_SAFE_INTEGER + n),
);
