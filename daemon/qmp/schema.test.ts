import { describe, expect, it } from "vitest";
import { parseJson } from "./json-stream.ts";
import {
  alternate,
  any,
  bool,
  enumOf,
  type InputKind,
  int,
  jsonNull,
  lazy,
  list,
  optional,
  type QapiType,
  QmpError,
  size,
  str,
  struct,
  uint32,
  union,
} from "./schema.ts";

/** What comes out of `json`, or the words of the refusal. */
function read<T>(type: QapiType<T>, json: string, kind: InputKind = "json"): unknown {
  try {
    return type.read(parseJson(json), "", kind);
  } catch (error) {
    if (error instanceof QmpError) return error.message;
    throw error;
  }
}

const node: QapiType<unknown> = lazy(() =>
  union({ driver: enumOf("file", "raw"), "read-only": optional(bool) }, "driver", {
    file: { filename: str },
    raw: { file: alternate("BlockdevRef", str, node), size: optional(size) },
  }),
);

describe("a QAPI type", () => {
  it("reads a union that nests", () => {
    const text = '{"driver": "raw", "size": 512, "file": {"driver": "file", "filename": "a"}}';
    const file = { driver: "file", filename: "a" };
    expect(read(node, text)).toEqual({ driver: "raw", size: 512, file });
    expect(read(node, '{"driver": "raw", "file": "disk0"}')).toEqual({
      driver: "raw",
      file: "disk0",
    });
  });

  it.each([
    ["{}", "Parameter 'driver' is missing"],
    ['{"driver": 1}', "Invalid parameter type for 'driver', expected: string"],
    ['{"driver": "vmdk"}', "Parameter 'driver' does not accept value 'vmdk'"],
    ['{"driver": "file"}', "Parameter 'filename' is missing"],
    ['{"driver": "file", "filename": "a", "x": 1}', "Parameter 'x' is unexpected"],
    ['{"driver": "raw", "file": {"driver": "file"}}', "Parameter 'file.filename' is missing"],
    ['{"driver": "raw", "file": 1}', "Invalid parameter type for 'file', expected: BlockdevRef"],
    [
      '{"driver": "raw", "read-only": "on"}',
      "Invalid parameter type for 'read-only', expected: boolean",
    ],
    ['{"driver": "raw", "file": "a", "size": -1}', "Parameter 'size' expects uint64"],
    ["[]", "Invalid parameter type for 'null', expected: object"],
  ])("refuses %s with QEMU's words", (text, words) => {
    expect(read(node, text)).toBe(words);
  });

  it.each([
    [bool, '"on"', true],
    [bool, '"yes"', true],
    [bool, '"n"', false],
    [bool, '"On"', "Parameter '' expects 'on' or 'off'"],
    [size, '"4k"', 4096],
    [size, '"1.5M"', 1_572_864],
    [size, '"x"', "Parameter '' expects size"],
    [int(), '"-0x10"', "Parameter '' expects integer"],
    [int(), '"-16"', -16],
    [uint32, '"4294967296"', "Parameter '' expects uint32_t"],
    [str, "[]", "Parameters '.*' are unexpected"],
  ] as [QapiType<unknown>, string, unknown][])(
    "reads text of a command line",
    (type, text, value) => {
      expect(read(type, text, "keyval")).toEqual(value);
    },
  );

  it("reads lists, null and anything", () => {
    const type = struct({ many: list(int()), none: alternate("StrOrNull", jsonNull, str), any });
    expect(read(type, '{"many": [1, 2], "none": null, "any": [1.5]}')).toMatchObject({
      many: [1, 2],
      none: null,
    });
    expect(read(type, '{"many": [1, "2"], "none": null, "any": 1}')).toBe(
      "Invalid parameter type for 'many[1]', expected: integer",
    );
  });
});
