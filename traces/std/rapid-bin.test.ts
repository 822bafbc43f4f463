import { describe, expect, test } from "vitest";
import { bytesSource } from "../byte-source.ts";
import { collect } from "./abstract-trace.ts";
import { RapidBinReader, rapidBinEvents, rapidBinHeader } from "./rapid-bin.ts";
import { StdReader } from "./std-reader.ts";
import { stdLines } from "./std-writer.ts";

const std = (text: string) => collect(new StdReader(bytesSource(Buffer.from(text))));

function binary(text: string): Buffer {
  const { names, events } = std(text);
  return Buffer.concat([rapidBinHeader(names, events.count), rapidBinEvents(events)]);
}

function textOf(bytes: Uint8Array): string {
  const { names, events } = collect(new RapidBinReader(bytesSource(bytes)));
  return Buffer.from(stdLines(events, names)).toString();
}

describe("a RapidBin trace", () => {
  test("says the same as its text", () => {
    const text = [
      ..."T0|fork(T1)|1 T1|acq(L0)|2 T1|w(V0)|32767 T1|r(V1)|0 T1|rel(L0)|5 T0|join(T1)|6".split(
        " ",
      ),
      ..."T0|begin|7 T0|end|8".split(" "),
    ];
    expect(textOf(binary(`${text.join("\n")}\n`))).toBe(`${text.join("\n")}\n`);
  });

  test("has the bytes of the published description", () => {
    // "thread 0 writes variable 200 at location 912" in the description's own layout.
    const event = (912n << 48n) | (200n << 14n) | (3n << 10n);
    const bytes = Buffer.alloc(18 + 8 * 2);
    bytes.writeInt16BE(1, 0);
    bytes.writeBigInt64BE(2n, 10);
    bytes.writeBigInt64BE(event, 18);
    // A request for a lock is no event.
    bytes.writeBigInt64BE((912n << 48n) | (8n << 10n), 26);
    expect(textOf(bytes)).toBe("T0|w(V200)|912\n");
  });

  test("numbers of variables may have gaps, up to 2^34", () => {
    const bytes = Buffer.alloc(26);
    bytes.writeBigInt64BE(1n, 10);
    bytes.writeBigInt64BE((1n << 48n) | (((1n << 34n) - 1n) << 14n) | (2n << 10n) | 1023n, 18);
    expect(textOf(bytes)).toBe("T1023|r(V17179869183)|1\n");
  });

  test.each([
    ["no header", Buffer.alloc(17), "The RapidBin trace has no header of 18 bytes."],
    [
      "events missing",
      binary("T0|w(V0)|1\nT0|w(V0)|1\n").subarray(0, -3),
      "The RapidBin trace ends after 1 of its 2 events.",
    ],
    [
      "a count below zero",
      Buffer.alloc(18, 0xff),
      "The RapidBin trace has no number of events in its header.",
    ],
  ])("%s is refused", (_, bytes, sentence) => {
    expect(() => textOf(bytes)).toThrow(sentence);
  });

  test("an unknown operation is refused by its number", () => {
    const bytes = binary("T0|w(V0)|1\n");
    bytes[24] = 0xff;
    expect(() => textOf(bytes)).toThrow(
      "The RapidBin trace has no event with a known operation at number 0.",
    );
  });

  test("what does not fit is refused", () => {
    expect(() => binary("T0|w(V0)|32768\n")).toThrow(
      "RapidBin ends at 32767 and this trace has location 32768; write STD instead.",
    );
  });
});
