// Stored recordings open for ever and read the same.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { traceDigest } from "./digest.ts";
import { FORMAT_VERSION } from "./header.ts";
import { TraceReader } from "./reader.ts";
import { textOf } from "./test-support.ts";

const stored = [
  {
    file: "format-1.trace",
    version: 1,
    digest: "5edc863b846f467f20312de924bbbbbc",
    events: 3045,
    excerpt: [
      'ctx0 - bs_new node=n2 name="raw1" driver="raw"',
      "ctx1 t1 gate_read blk=blk1 value=0 queuing=1",
      "ctx1 t1 list_read list=blk_root owner=blk1 site=blk_bs/root",
      "world - io_complete op=op1 rank=0 ret=0 steps=32",
      "ctx0 - drain_begin section=s1 node=n4 kind=subtree site=bdrv_insert_node",
    ],
  },
];

function open(file: string): TraceReader {
  return TraceReader.open(readFileSync(join(import.meta.dirname, "corpus", file)));
}

test.each(stored)("$file reads as it did when it was stored", (entry) => {
  const reader = open(entry.file);
  expect(reader.header.formatVersion).toBe(entry.version);
  expect(traceDigest(reader)).toBe(entry.digest);
  expect(reader.events).toBe(entry.events);
  expect(reader.complete).toBe(true);
  const lines = textOf(reader).split("\n");
  for (const line of entry.excerpt) expect(lines).toContain(line);
});

test("every version of the format has a stored recording", () => {
  const versions = Array.from({ length: FORMAT_VERSION }, (_, index) => index + 1);
  expect(stored.map(({ version }) => version)).toEqual(expect.arrayContaining(versions));
});
