import { describe, expect, it } from "vitest";
import { MessageReader, MessageWriter } from "./channel.ts";

describe("messages", () => {
  it.each([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 2 ** 32, 2 ** 53 - 1])(
    "has %d as 64 bits, as an offset, a bigint and two words",
    (value) => {
      const expected = Buffer.alloc(8);
      expected.writeBigUInt64BE(BigInt(value));
      for (const message of [
        new MessageWriter(8).offset64(value).done(),
        new MessageWriter(8).u64(BigInt(value)).done(),
      ]) {
        expect(Buffer.from(message)).toEqual(expected);
        expect(new MessageReader(message).offset64()).toBe(value);
        expect(new MessageReader(message).u64()).toBe(BigInt(value));
        const word = new MessageReader(message).word64();
        expect(new MessageWriter(8).word64(word).done()).toEqual(message);
      }
    },
  );

  it("rounds offsets above 2^53 as a bigint is rounded", () => {
    for (const value of [2n ** 53n + 1n, 2n ** 63n + 1025n, 2n ** 64n - 1n]) {
      const message = new MessageWriter(8).u64(value).done();
      expect(new MessageReader(message).offset64()).toBe(Number(value));
    }
  });

  it("has every word that fits, and its end is known", () => {
    const message = new MessageWriter(6).u16(0xfffe).u32(0xdead_beef).done();
    expect([...message]).toEqual([0xff, 0xfe, 0xde, 0xad, 0xbe, 0xef]);
    const reader = new MessageReader(message);
    expect([reader.u16(), reader.left, reader.u32(), reader.left]).toEqual([
      0xfffe, 4, 0xdead_beef, 0,
    ]);
    expect(() => reader.u16()).toThrow("a message has the fields that are read");
    expect(() => new MessageWriter(1).u16(1)).toThrow("a message has room for its fields");
  });
});
