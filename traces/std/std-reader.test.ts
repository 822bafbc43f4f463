import { describe, expect, test } from "vitest";
import { type ByteSource, bytesSource } from "../byte-source.ts";
import { type AbstractTrace, collect, STD_WORDS, sourceOf } from "./abstract-trace.ts";
import { StdReader } from "./std-reader.ts";

const read = (text: string): AbstractTrace =>
  collect(new StdReader(bytesSource(Buffer.from(text))));

/** The events as numbers: `r 0 0 12`. */
function numbers({ events }: AbstractTrace): string[] {
  return Array.from({ length: events.count }, (_, i) =>
    [STD_WORDS[events.ops[i]!], events.threads[i], events.operands[i], events.locations[i]].join(
      " ",
    ),
  );
}

describe("an STD trace", () => {
  test("has one event a line; threads, variables and locks are numbered as they come", () => {
    const trace = read(
      "T0|fork(T1)|1\nT1|acq(L)|2\nT1|w(V1.x)|-3\nT1|r(V2)|4\nT1|rel(L)|5\nT0|join(T1)|6\nT0|r(V1.x)|2147483647\n",
    );
    expect(numbers(trace)).toEqual([
      "fork 0 1 1",
      "acq 1 0 2",
      "w 1 0 -3",
      "r 1 1 4",
      "rel 1 0 5",
      "join 0 1 6",
      "r 0 0 2147483647",
    ]);
    const { threads, variables, locks } = trace.names;
    expect([threads.count, variables.count, locks.count]).toEqual([2, 2, 1]);
    expect([threads.name(1), variables.name(0), locks.name(0)]).toEqual(["T1", "V1.x", "L"]);
  });

  test("blocks that ought to be atomic begin and end, with or without brackets", () => {
    expect(numbers(read("T0|begin|7\nT0|end|8\nT0|begin(m)|+7\nT0|end()|08\n"))).toEqual([
      "begin 0 -1 7",
      "end 0 -1 8",
      "begin 0 -1 7",
      "end 0 -1 8",
    ]);
  });

  test("names may have brackets, and letters of any script", () => {
    const { variables, threads } = read("main thread|w(a.b(c)[0])|1\nT|r(größe)|2").names;
    expect([threads.name(0), variables.name(0), variables.name(1)]).toEqual([
      "main thread",
      "a.b(c)[0]",
      "größe",
    ]);
  });

  test("lines may end as on Windows, the last one not at all; an empty file is an empty trace", () => {
    expect(numbers(read("T0|w(x)|1\r\nT1|w(x)|2"))).toEqual(["w 0 0 1", "w 1 0 2"]);
    expect(numbers(read(""))).toEqual([]);
  });

  test.each([
    ["", "Line 2 has no thread before a `|`"],
    ["|w(x)|1", "Line 2 has no thread before a `|`"],
    ["T0 w(x) 1", "Line 2 has no thread before a `|`"],
    ["T0|sync(x)|1", "Line 2 has no known operation"],
    ["T0|re(x)|1", "Line 2 has no known operation"],
    ["T0|w|1", "Line 2 has no known operation"],
    ["T0|", "Line 2 has no known operation"],
    ["T0|w()|1", "Line 2 has no operand in brackets"],
    ["T0|w(x|1", "Line 2 has no operand in brackets"],
    ["T0|w(a b)|1", "Line 2 has no operand in brackets"],
    ["T0|w(x)", "Line 2 has no location behind a second `|`"],
    ["T0|begin", "Line 2 has no location behind a second `|`"],
    ["T0|w(x)|", "Line 2 has no 32-bit integer as its location"],
    ["T0|w(x)|Main.java:3", "Line 2 has no 32-bit integer as its location"],
    ["T0|w(x)|2147483648", "Line 2 has no 32-bit integer as its location"],
    ["T0|w(x)|1|2", "Line 2 has no 32-bit integer as its location"],
  ])("%s is refused: %s", (line, what) => {
    const quoted = JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}...` : line);
    expect(() => read(`T0|w(x)|1\n${line}\nT0|w(x)|2\n`)).toThrow(
      `${what}: ${quoted}; an event looks like T0|w(V1)|12.`,
    );
  });

  test("a line that is too long is refused, whether or not it fits into what was read", () => {
    const what = /^Line 1 is too long: "T0\|w\(x{75}\.\.\."; an event looks like/;
    expect(() => read(`T0|w(${"x".repeat(70_000)})|1\n`)).toThrow(what);
    expect(() => read(`T0|w(${"x".repeat(5_000_000)}`)).toThrow(what);
  });

  test("comes out the same however it is cut into reads, and however many blocks it fills", () => {
    const lines = Array.from(
      { length: 40_000 },
      (_, i) => `T${i % 7}|${i % 3 === 0 ? "w" : "r"}(V${(i * i) % 1013})|${i}\n`,
    );
    const bytes = Buffer.from(lines.join(""));
    const expected = numbers(read(lines.join("")));
    expect(expected).toHaveLength(40_000);
    for (const step of [1009, 4096, 65_521]) {
      const stingy: ByteSource = {
        size: bytes.length,
        read: (offset, target) => bytesSource(bytes).read(offset, target.subarray(0, step)),
      };
      expect(numbers(collect(new StdReader(stingy)))).toEqual(expected);
    }
  });

  test("a trace in memory is a source of its one block", () => {
    const trace = read("T0|w(x)|1\n");
    expect(numbers(collect(sourceOf(trace)))).toEqual(["w 0 0 1"]);
    expect([...sourceOf(read("")).blocks()]).toEqual([]);
  });
});
