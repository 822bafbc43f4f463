import { describe, expect, test } from "vitest";
import type { EventBatch } from "#core/probe";
import { bytesSource } from "./byte-source.ts";
import { frameRecord, MAGIC, RECORD_TAGS } from "./envelope.ts";
import { TraceReader } from "./reader.ts";
import { drawn, madeUpFile, textOf } from "./test-support.ts";
import { MessageWriter } from "./wire.ts";

/** Six events in three chunks of two. */
const SMALL = `
  ctx0 - ctx_new id=ctx1 name="iothread1"
  ctx0 - note text="one"
  ctx1 t1 list_read list=children owner=n3 site=bdrv_is_inserted
  world - io_complete op=op1 rank=0 ret=-EIO steps=3
  ctx0 - note text="two"
  ctx0 - run_end status=ok steps=9
`;
const file = drawn(SMALL, { eventsPerChunk: 2 });
const lines = textOf(TraceReader.open(file)).split(/(?<=\n)/);
const chunkOffsets = (TraceReader.open(file).index?.chunks ?? []).map((chunk) => chunk.offset);
const firstChunk = chunkOffsets[0] ?? 0;

/** Where the chunks end, which is where the next record begins. */
const indexOffset = Number(new DataView(file.buffer).getBigUint64(file.length - 17, true));
const chunkEnds = [...chunkOffsets.slice(1), indexOffset];

function read(bytes: Uint8Array) {
  const reader = TraceReader.open(bytes);
  return { text: textOf(reader), reader };
}

describe("a file that was cut off", () => {
  test("opens at every byte up to its last whole chunk", () => {
    for (let size = firstChunk; size < file.length; size++) {
      const { text, reader } = read(file.slice(0, size));
      const whole = chunkEnds.filter((end) => end <= size).length;
      expect(text).toBe(lines.slice(0, whole * 2).join(""));
      expect(reader.complete).toBe(false);
      const offset = [firstChunk, ...chunkEnds][whole];
      expect(reader.damage).toMatchObject({ kind: "truncated", chunk: whole, offset });
    }
  });

  test("is refused with one sentence when it ends within its header", () => {
    for (let size = MAGIC.length; size < firstChunk; size++) {
      expect(() => TraceReader.open(file.slice(0, size))).toThrow(
        "The trace ends within its header: there is nothing in it that can be read.",
      );
    }
  });

  test("says what is missing and what is readable", () => {
    const { reader } = read(file.slice(0, indexOffset - 1));
    expect(reader.damage?.message).toBe(
      `The trace was cut off: chunk 2 (byte ${chunkOffsets[2]}) is missing or incomplete; the 4 events before it are readable.`,
    );
  });
});

describe("a flipped bit", () => {
  test("is reported with its chunk and offset, and nothing wrong is delivered", () => {
    for (let byte = firstChunk; byte < file.length; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = file.slice();
        flipped[byte] = (flipped[byte] ?? 0) ^ (1 << bit);
        const { text, reader } = read(flipped);
        const chunk = chunkEnds.filter((end) => end <= byte).length;
        expect(text).toBe(lines.slice(0, chunk * 2).join(""));
        expect(reader.complete).toBe(false);
        const offset = [firstChunk, ...chunkEnds][chunk];
        expect(reader.damage).toMatchObject({ chunk, offset });
        if (byte < indexOffset) expect(reader.damage?.kind).toBe("corrupt");
      }
    }
  });

  test("in the beginning is answered with one sentence", () => {
    for (let byte = 0; byte < firstChunk; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = file.slice();
        flipped[byte] = (flipped[byte] ?? 0) ^ (1 << bit);
        expect(() => TraceReader.open(flipped)).toThrow(/^The (file|header|trace) [^.]*\.$/);
      }
    }
  });

  test("in a large file leaves all chunks before it readable", () => {
    const large = madeUpFile(1000, { eventsPerChunk: 1024 });
    const { offset = 0 } = TraceReader.open(large).index?.chunks[20] ?? {};
    large[offset + 100] = (large[offset + 100] ?? 0) ^ 1;
    const { reader } = read(large);
    expect(reader.events).toBe(20 * 1024);
    expect(reader.damage?.message).toBe(
      `The trace is damaged: chunk 20 (byte ${offset}) cannot be read (its checksum is wrong); the 20480 events before it are readable.`,
    );
  });
});

describe("what is not a trace", () => {
  const newer = new Uint8Array([
    ...MAGIC,
    ...frameRecord(RECORD_TAGS.header, new MessageWriter().uint(2, 3).uint(9, 1).finish()),
  ]);

  test.each([
    ["an empty file", new Uint8Array(), "The file is empty: it is not a trace."],
    [
      "another file",
      new TextEncoder().encode("#!/bin/sh\necho hello\n"),
      "The file is not a trace of quiesce: it does not begin like one.",
    ],
    [
      "a file of three bytes",
      new Uint8Array([1, 2, 3]),
      "The file is not a trace of quiesce: it does not begin like one.",
    ],
    [
      "a newer version",
      newer,
      "The trace has format version 3, but this version of quiesce reads format version 1; use a newer quiesce.",
    ],
  ])("%s is refused", (_what, bytes, sentence) => {
    expect(() => TraceReader.open(bytes)).toThrow(
      expect.objectContaining({ name: "QuiesceError", kind: "input", message: sentence }),
    );
  });
});

describe("kinds of event", () => {
  /** A file's header that describes one kind. */
  const describing = (id: number, name: string) => {
    const field = new MessageWriter().string(1, "node").string(2, "node");
    const kind = new MessageWriter().uint(1, id).string(2, name).bytes(4, field.finish());
    const body = new MessageWriter()
      .string(5, "live")
      .string(6, "full")
      .string(8, "none")
      .bytes(11, kind.finish())
      .finish();
    const header = new MessageWriter().uint(2, 1).uint(4, body.length).bytes(5, body).finish();
    return new Uint8Array([...MAGIC, ...frameRecord(RECORD_TAGS.header, header)]);
  };

  test("that are newer than this version are fine", () => {
    const { kinds } = TraceReader.open(describing(158, "bs_paint"));
    expect(kinds.map(({ name }) => name)).toEqual(["bs_paint"]);
  });

  test("that a file describes otherwise than this version are refused", () => {
    expect(() => TraceReader.open(describing(95, "list_read"))).toThrow(
      "The trace was made by another line of development: its event list_read is not the one that is known.",
    );
  });
});

test("a long file is read piece by piece", () => {
  const long = madeUpFile(2000, { codec: "none" });
  const source = bytesSource(long);
  let longest = 0;
  const watched = {
    size: source.size,
    read: (offset: number, target: Uint8Array) => {
      longest = Math.max(longest, target.length);
      return source.read(offset, target);
    },
  };
  const reader = TraceReader.open(watched);
  const batches = new Set<EventBatch>();
  for (const batch of reader.batches()) batches.add(batch);
  const [first] = reader.index?.chunks ?? [];
  expect(reader.index?.chunks.length).toBeGreaterThan(7);
  expect(longest).toBeLessThan(2 * ((long.length - (first?.offset ?? 0)) / 8));
  expect(batches.size).toBe(1);
});

test("something behind the end of a trace is reported", () => {
  const { text, reader } = read(new Uint8Array([...file, 0]));
  expect(text).toBe(lines.join(""));
  expect(reader.damage?.kind).toBe("corrupt");
});

test("an error of the disk is not taken for damage", () => {
  const source = bytesSource(file);
  const failing = {
    size: source.size,
    read: (offset: number, target: Uint8Array) => {
      if (offset > firstChunk) throw new TypeError("the disk is on fire");
      return source.read(offset, target);
    },
  };
  const reader = TraceReader.open(failing);
  expect(() => [...reader.batches()]).toThrow("the disk is on fire");
});
