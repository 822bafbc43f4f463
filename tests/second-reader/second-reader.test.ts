// docs/trace-format.md suffices to read a trace: a reader in Python that was written from it reads what ours reads.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { CTX_MAX, EventBatch, LAYOUTS, WORLD_CTX } from "#core/probe";
import { MemorySink, Recorder } from "#tracer";
import {
  comparableHeader,
  emitSyntheticRun,
  eventToJson,
  FORMAT_VERSION,
  syntheticSites,
  type TraceHeader,
  TraceReader,
  traceBytes,
  traceDigest,
} from "#traces";

const python = ["python3", "python"].find(
  (command) =>
    spawnSync(command, ["-c", "import sys; sys.exit(sys.version_info < (3, 8))"]).status === 0,
);
const title =
  python === undefined
    ? "the second reader (skipped: there is no Python 3.8)"
    : "the second reader";

const folder = mkdtempSync(join(tmpdir(), "quiesce-second-reader-"));
afterAll(() => rmSync(folder, { recursive: true }));

const header: TraceHeader = {
  formatVersion: FORMAT_VERSION,
  schedulerPolicy: 1,
  coreVersion: "0.1.0",
  scenario: { name: "made-up", file: "./ü.ts", params: { b: "2", a: "1" } },
  seed: 2 ** 40,
  host: "live",
  level: "full",
  patchesOn: [2, 3],
  lock: "aio",
  sites: syntheticSites,
  provenance: { createdAt: "now", host: "here", node: "20", quiesce: "0.1.0" },
};

/** What the second reader prints for `bytes`. */
function secondReading(bytes: Uint8Array): unknown[] {
  const path = join(folder, "trace");
  writeFileSync(path, bytes);
  const program = join(import.meta.dirname, "read_trace.py");
  const options = { encoding: "utf8", maxBuffer: 1 << 28 } as const;
  const { stdout, stderr } = spawnSync(python ?? "", [program, path], options);
  expect(stderr).toBe("");
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** What ours reads, in the form of the second reader. */
function ourReading(bytes: Uint8Array): unknown[] {
  const reader = TraceReader.open(bytes);
  const lines: unknown[] = [JSON.parse(comparableHeader(reader.header))];
  let position = 0;
  for (const batch of reader.batches()) {
    const tables = { strings: reader.strings, sites: reader.header.sites };
    for (let i = 0; i < batch.count; i++) {
      const { index, ctx, task, event } = eventToJson(batch, i, tables, position++);
      lines.push([index, ctx, task, event, namedFields(batch, i, reader.strings)]);
    }
  }
  if (reader.damage !== null) return lines;
  const digest = traceDigest(reader);
  lines.push({ events: reader.events, ended: reader.complete, digest });
  return lines;
}

function namedFields(batch: EventBatch, index: number, strings: readonly string[]) {
  const fields = LAYOUTS[batch.kind(index)]?.fields ?? [];
  return Object.fromEntries(
    fields.map(({ name, type, slot }) => {
      const value = batch.arg(index, slot);
      if (type === "string") return [name, strings[value]];
      if (type === "site") return [name, syntheticSites[value - 1]?.name ?? null];
      return [name, value];
    }),
  );
}

function madeUp(codec: "none" | "deflate" | "plain", eventsPerChunk: number): Uint8Array {
  const sink = new MemorySink(header, { codec, eventsPerChunk });
  const recorder = new Recorder(sink, { clock: () => 1 });
  emitSyntheticRun(recorder, { seed: 3, requests: 100 });
  recorder.close();
  return sink.bytes();
}

describe.skipIf(python === undefined)(title, () => {
  test.each([
    ["none", 8192],
    ["deflate", 8192],
    ["deflate", 100],
    ["plain", 100],
  ] as const)("reads a run as ours does, codec %s, %i events a chunk", (codec, eventsPerChunk) => {
    const bytes = madeUp(codec, eventsPerChunk);
    expect(secondReading(bytes)).toEqual(ourReading(bytes));
  });

  test("reads events of every kind with any numbers", () => {
    const events = fc.sample(anyEvent, { numRuns: 5000, seed: 11 });
    const batch = new EventBatch(events.length);
    for (const { kind, ctx, task, slots } of events) {
      const [a, b, c, d, x] = slots;
      batch.push(kind, ctx, task, a, b, c, d, x);
    }
    const bytes = traceBytes(header, batch, ["", "one", "two ä \n"], { eventsPerChunk: 512 });
    expect(secondReading(bytes)).toEqual(ourReading(bytes));
  });

  test("stops where a file is damaged, with the same events", () => {
    const bytes = madeUp("deflate", 1000);
    bytes[bytes.length - 2000] = (bytes[bytes.length - 2000] ?? 0) ^ 4;
    const second = secondReading(bytes);
    expect(second.pop()).toEqual({ damage: "checksum" });
    expect(second.length).toBeGreaterThan(1000);
    expect(second).toEqual(ourReading(bytes));
  });

  test("stops where a file was cut off, with the same events", () => {
    const bytes = madeUp("deflate", 1000);
    const cut = bytes.slice(0, bytes.length - 2000);
    const second = secondReading(cut);
    expect(second.pop()).toEqual({ damage: "cut off" });
    expect(second).toEqual(ourReading(cut));
  });
});

/** An event of any kind: small numbers, as real ones are, and any others. */
const anyEvent = fc
  .record({
    layout: fc.constantFrom(...LAYOUTS.filter((layout) => layout !== undefined)),
    ctx: fc.oneof(fc.nat(3), fc.constant(WORLD_CTX), fc.nat(600), fc.nat(CTX_MAX)),
    task: fc.oneof(fc.nat(5), fc.nat()),
    ints: fc.array(fc.oneof(fc.nat(5), fc.integer()), { minLength: 4, maxLength: 4 }),
    wide: fc.oneof(fc.nat(), fc.maxSafeInteger()),
  })
  .map(({ layout, ctx, task, ints, wide }) => {
    const slots = [0, 0, 0, 0, 0];
    for (const { type, slot } of layout.fields) {
      const int = ints[slot] ?? 0;
      if (slot === 4) slots[slot] = wide;
      else if (type === "string") slots[slot] = Math.abs(int) % 3;
      else if (type === "site") slots[slot] = Math.abs(int) % (syntheticSites.length + 1);
      else slots[slot] = int;
    }
    return { kind: layout.id, ctx, task, slots };
  });
