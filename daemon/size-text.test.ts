import { describe, expect, it } from "vitest";
import { parseSize } from "./size-text.ts";

describe("a number of bytes, as qemu-io 7.2 reads it", () => {
  it.each<[string, number]>([
    ["0", 0],
    ["+5", 5],
    ["  7", 7],
    ["010", 10],
    ["1.", 1],
    ["1.k", 1024],
    ["1.5k", 1536],
    ["0.000001G", 1074],
    ["1.1k", 1126],
    ["1.3M", 1_363_149],
    ["1B", 1],
    ["0x10", 16],
    ["0x1e", 30],
    ["0x1b", 27],
    ["0x10k", 16_384],
    ["1P", 2 ** 50],
    ["1.e", 2 ** 60],
  ])("%s is %d", (text, bytes) => {
    expect(parseSize(text)).toMatchObject({ bytes: BigInt(bytes) });
  });

  it.each([
    "",
    "-1",
    ".5k",
    "1.5",
    "0.5b",
    "1e3",
    "1.5e3k",
    "0x",
    "0x1.8k",
    "1kk",
    "1 ",
    "k",
    "nan",
  ])("%j is none", (text) => {
    expect(parseSize(text)).toBe("invalid");
  });

  it("has 64 bits, and a hexadecimal one with a unit is told apart", () => {
    expect(parseSize("18446744073709551615")).toEqual({ bytes: 2n ** 64n - 1n, isOldForm: false });
    expect(parseSize("18446744073709551616")).toBe("range");
    expect(parseSize("16E")).toBe("range");
    expect(parseSize("0x1M")).toEqual({ bytes: 2n ** 20n, isOldForm: true });
  });
});
