// The hand-written envelope against its schema: protobufjs' reflection reads the whole file as one `Trace` message.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import protobuf from "protobufjs";
import { expect, test } from "vitest";
import { parseText } from "./parse-text.ts";
import { CATALOGUE_KINDS } from "./predictors.ts";
import { TraceReader } from "./reader.ts";
import { drawn, headerForTests } from "./test-support.ts";

const schema = readFileSync(join(import.meta.dirname, "schema", "trace.proto"), "utf8");
const root = protobuf.parse(schema).root;

/** `bytes` as a plain object, by the schema. */
function decode(type: string, bytes: Uint8Array) {
  const message = root.lookupType(`quiesce.trace.${type}`);
  const options = { longs: Number, arrays: true, defaults: true, enums: String } as const;
  return message.toObject(message.decode(bytes), options);
}

const TEXT = `
  ctx1 t1 list_read list=children owner=n3 site=bdrv_is_inserted
  ctx0 - note text="one"
  ctx0 - run_end status=ok steps=9
`;

test("a trace file is one Trace message of the schema", () => {
  const bytes = drawn(TEXT, { eventsPerChunk: 2 });
  const trace = decode("Trace", bytes);
  const { chunks: entries = [] } = TraceReader.open(bytes).index ?? {};
  expect(trace).toMatchObject({
    header: { formatVersion: 1, codec: "DEFLATE" },
    chunks: [
      { firstEvent: 0, events: 2, restart: true, strings: ["one"], codec: "DEFLATE" },
      { firstEvent: 2, events: 1, restart: false, strings: [], codec: "DEFLATE" },
    ],
    index: { chunks: entries, events: 3, ended: true },
  });
  expect(bytes[trace.indexOffset]).toBe(0x22);
});

test("the header's body is a HeaderBody of the schema", () => {
  const { header } = decode("Trace", drawn(TEXT));
  const body = inflateRawSync(header.body);
  expect(body.length).toBe(header.bodyBytes);
  expect(decode("HeaderBody", body)).toEqual({
    schedulerPolicy: headerForTests.schedulerPolicy,
    coreVersion: headerForTests.coreVersion,
    scenario: {
      name: "drawn",
      params: [
        { name: "depth", value: "16" },
        { name: "size", value: "1M" },
      ],
    },
    seed: headerForTests.seed,
    host: "simulated",
    level: "full",
    patchesOn: headerForTests.patchesOn,
    lock: "none",
    sites: parseText(TEXT).sites,
    provenance: headerForTests.provenance,
    kinds: CATALOGUE_KINDS,
  });
});

test("the columns are a Columns of the schema", () => {
  const [chunk] = decode("Trace", drawn(TEXT, { codec: "none" })).chunks;
  expect(chunk.columns.length).toBe(chunk.columnsBytes);
  const columns = decode("Columns", chunk.columns);
  expect(Object.keys(columns)).toEqual(["masks", "contexts", "tasks", "kinds", "values", "wides"]);
  expect([...columns.contexts]).toEqual([1, 0]);
});
