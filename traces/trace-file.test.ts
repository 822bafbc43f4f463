import { describe, expect, test } from "vitest";
import { formatBatch, headerWithLevel, MemoryBytes, parseText, stripToInputs } from "./index.ts";
import { TraceReader } from "./reader.ts";
import { drawn, headerForTests } from "./test-support.ts";
import { TraceWriter } from "./writer.ts";

const SMALL = `
  ctx0 - ctx_new id=ctx1 name="iothread1"
  ctx1 t1 list_read list=children owner=n3 site=bdrv_is_inserted
  world - io_complete op=op1 rank=0 ret=-EIO steps=3
  ctx0 - run_end status=ok steps=9
`;

describe("a trace file", () => {
  test("gives back header, events and strings", () => {
    const reader = TraceReader.open(drawn(SMALL));
    const { strings, sites } = parseText(SMALL);
    const lines = [...reader.batches()].map((batch) => formatBatch(batch, { strings, sites }));
    expect(lines.join("")).toBe(SMALL.replaceAll(/^\n|^ +/gm, ""));
    expect(reader.header).toEqual({ ...headerForTests, sites });
    expect(reader.strings).toEqual(["", "iothread1"]);
    expect(reader.complete).toBe(true);
    expect(reader.damage).toBeNull();
  });

  test("stripped to its inputs keeps these and says that the run ended", () => {
    const reader = TraceReader.open(drawn(SMALL));
    const sink = new MemoryBytes();
    stripToInputs(reader, new TraceWriter(headerWithLevel(reader.header, "inputs"), sink));
    const inputs = TraceReader.open(sink.bytes());
    const lines = [...inputs.batches()].map((batch) => formatBatch(batch, parseText(SMALL)));
    expect(lines.join("")).toBe(
      "world - io_complete op=op1 rank=0 ret=-EIO steps=3\nctx0 - run_end status=ok steps=9\n",
    );
    expect(inputs.complete).toBe(true);
  });
});
