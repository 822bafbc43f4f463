import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonStream, parseJson } from "./json-stream.ts";
import { JsonFloat, type JsonValue, jsonText, type Sendable } from "./json-value.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** What a stream makes of `text`, given in pieces: values as QEMU prints them, errors by their words. */
function read(text: string | Uint8Array, pieces = 1): string[] {
  const stream = new JsonStream();
  const bytes = typeof text === "string" ? bytesOf(text) : text;
  const parsed = [];
  for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / pieces))
    parsed.push(...stream.feed(bytes.subarray(at, at + Math.ceil(bytes.length / pieces))));
  parsed.push(...stream.end());
  return parsed.map((one) => (one.ok ? jsonText(one.value) : one.error));
}

/** Code points that Unicode keeps for nobody; QEMU's parser takes none of them. */
const NO_CHARACTER = /\p{Noncharacter_Code_Point}/u;

describe("a stream of JSON values", () => {
  it.each([
    ['{"execute": "quit"}', ['{"execute": "quit"}']],
    ['{"a":1}{"b":2}[3]\n4 ', ['{"a": 1}', '{"b": 2}', "[3]", "4"]],
    ["{'it\\'s': 'a \"quote\"'}", ['{"it\'s": "a \\"quote\\""}']],
    ["[true, false, null, -0, -7, 1.5e3]", ["[true, false, null, 0, -7, 1500]"]],
    [
      "[9223372036854775807, 18446744073709551615]",
      ["[9223372036854775807, 18446744073709551615]"],
    ],
    ['"\\u00e9\\ud83d\\ude00é"', ['"\\u00E9\\uD83D\\uDE00\\u00E9"']],
    ['{"__proto__": 1}', ['{"__proto__": 1}']],
  ])("reads %s however it is cut", (text, values) => {
    for (const pieces of [1, 2, 3, text.length]) expect(read(text, pieces)).toEqual(values);
  });

  it.each([
    ["{ 1: 2 }", "JSON parse error, key is not a string in object"],
    ['{ "a" 2 }', "JSON parse error, missing : in object pair"],
    ['{ "a": 1 "b" }', "JSON parse error, expected separator in dict"],
    ['{ "a": 1, "a": 2 }', "JSON parse error, duplicate key"],
    ["[1 2]", "JSON parse error, expected separator in list"],
    ["[1,]", "JSON parse error, expecting value"],
    ["nul", "JSON parse error, invalid keyword 'nul'"],
    ['"\\x"', "JSON parse error, invalid escape sequence in string"],
    ['"\\ud800"', "JSON parse error, \\ud800 is not a valid Unicode character"],
    ["[", "JSON parse error, premature EOI"],
    ["&", "JSON parse error, stray '&'"],
    ["01", "JSON parse error, stray '01'"],
    ["[0e5]", "JSON parse error, expected separator in list"],
    ["[1.]", "JSON parse error, stray '1.]'"],
    ["[1.e3]", "JSON parse error, stray '1.e'"],
    ["{,}", "JSON parse error, expecting value"],
    ['{"a": 1,}', "JSON parse error, expecting value"],
    ["{]", "JSON parse error, expecting value"],
    ['"\\uffff"', "JSON parse error, \\uffff is not a valid Unicode character"],
    ['"\\u12"', 'JSON parse error, \\u12" is not a valid Unicode character'],
    ['"a\nb"', "JSON parse error, stray '\"a\n'"],
  ])("says what is wrong with %s", (text, error) => {
    expect(read(text)[0]).toBe(error);
  });

  it("goes on after an error at the next structure or line", () => {
    expect(read('&&& {"a": 1}')).toEqual(["JSON parse error, stray '&'", '{"a": 1}']);
    expect(read('{"a": tru&\n{"b": 2}')).toEqual(["JSON parse error, stray '&'", '{"b": 2}']);
    expect(read(new Uint8Array([0x7b, 0xff, 0x5b, 0x5d]))).toEqual([
      "JSON parse error, stray '\ufffd'",
      "[]",
    ]);
  });

  it("refuses what nests too deeply, and lives", () => {
    expect(read("[".repeat(2000))[0]).toBe("JSON nesting depth limit exceeded");
  });

  it("takes no longer for each byte of a long number or string than of a short one", () => {
    const digits = "7".repeat(1_000_000);
    expect(read(`[${digits}, -${digits}, 0.${digits}]`, 7)).toEqual([
      `[inf, -inf, ${Number("0.77777777777777777777")}]`,
    ]);
    const text = "\u00e9\u{1f600}a".repeat(500_000);
    expect(parseJson(`"${text}"`)).toBe(text);
  }, 20_000);

  it("reads back whatever it prints", () => {
    const leaf: fc.Arbitrary<Sendable> = fc.oneof(
      fc
        .string({ unit: "binary" })
        .filter((text) => !text.includes("\0") && !NO_CHARACTER.test(text)),
      fc.boolean(),
      fc.constant(null),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
      fc.maxSafeInteger(),
    );
    const value = fc.letrec<{ tree: Sendable }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie("tree"), { maxLength: 4 }),
        fc
          .array(
            fc.tuple(
              fc.string().filter((key) => !key.includes("\0")),
              tie("tree"),
            ),
            {
              maxLength: 4,
            },
          )
          .map((entries) => new Map(entries as [string, JsonValue][])),
      ),
    })).tree;
    fc.assert(
      fc.property(value, (sent) => {
        expect(jsonText(parseJson(jsonText(sent)))).toBe(jsonText(sent));
      }),
      { numRuns: 30 },
    );
  });

  it("lets no bytes make it fail", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void read(bytes, 3)));
  });

  it("tells a float from an integer", () => {
    expect(parseJson("1.0")).toEqual(new JsonFloat(1));
    expect(parseJson("1")).toBe(1);
  });
});
