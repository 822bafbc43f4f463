import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { buildSync } from "esbuild";
import { afterEach, describe, expect, test } from "vitest";
import type { EventBatch } from "#core/probe";
import { parseText } from "#traces";
import { MemorySink } from "../memory-sink.ts";
import type { Sink } from "../sink.ts";
import { headerForTests } from "../test-support.ts";

const { BasicTracerProvider, InMemorySpanExporter, OtelSink, SimpleSpanProcessor, trace } =
  loadBundled();

/**
 * The bridge with a real SDK. Workaround: vitest runs with the condition `module`, under which the OpenTelemetry packages
 * resolve to files that Node cannot load; a bundle needs no resolving.
 */
function loadBundled(): typeof import("./test-support.ts") {
  const folder = mkdtempSync(join(tmpdir(), "quiesce-otel-"));
  const outfile = join(folder, "bundle.cjs");
  buildSync({
    entryPoints: [join(import.meta.dirname, "test-support.ts")],
    bundle: true,
    platform: "node",
    format: "cjs",
    conditions: ["source"],
    // import.meta is empty in such a bundle, which matters to readers of files alone.
    logLevel: "error",
    outfile,
  });
  const loaded = createRequire(import.meta.url)(outfile);
  rmSync(folder, { recursive: true });
  return loaded;
}

/** An insertion, drained, while a request of another context fails. */
const RUN = `
  ctx1 t1 req_begin blk=blk1 type=write bytes=4096 offset=8192
  ctx0 - graph_op_begin site=bdrv_insert_node
  ctx0 - drain_begin section=s1 node=n2 kind=subtree site=bdrv_insert_node
  ctx1 t1 req_end blk=blk1 type=write ret=-EIO
  ctx0 - drain_poll_end section=s1
  ctx0 - graph_op_begin site=bdrv_replace_node
  ctx0 - graph_op_end site=bdrv_replace_node
  ctx0 - drain_ended section=s1
  ctx0 - graph_op_end site=bdrv_insert_node
  ctx1 t2 req_begin blk=blk1 type=flush bytes=0 offset=0
`;

const exporter = new InMemorySpanExporter();

function registerSdk(): void {
  const spanProcessors = [new SimpleSpanProcessor(exporter)];
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }));
}

/** Takes the run through the bridge; a stamp for each event would need 16 events between two. */
function bridge(inner: Sink, stamps: readonly number[] = []): void {
  const { batch, strings, sites } = parseText(RUN);
  const sink = new OtelSink(inner, { sites, clockOriginMs: 1_700_000_000_000 });
  sink.write(batch, strings, stamps);
  sink.close();
}

function spanNamed(name: string): ReadableSpan {
  const found = exporter.getFinishedSpans().filter((span) => span.name === name);
  expect(found.length).toBe(1);
  return found[0] as ReadableSpan;
}

const nowhere: Sink = { write: () => {}, close: () => {} };

afterEach(() => {
  exporter.reset();
  trace.disable();
});

describe("with an SDK registered", () => {
  test("requests, sections and operations become spans", () => {
    registerSdk();
    bridge(nowhere);
    expect(
      exporter
        .getFinishedSpans()
        .map(({ name }) => name)
        .sort(),
    ).toEqual([
      "bdrv_insert_node",
      "bdrv_replace_node",
      "block flush",
      "block write",
      "drained section",
    ]);
    const write = spanNamed("block write");
    expect(write.attributes).toEqual({
      "quiesce.ctx": 1,
      "quiesce.task": 1,
      "quiesce.blk": 1,
      "quiesce.bytes": 4096,
      "quiesce.offset": 8192,
      "quiesce.ret": -5,
    });
    expect(write.status).toEqual({ code: 2, message: "EIO" });
    expect(write.parentSpanContext).toBeUndefined();
  });

  test("what was begun within something is its child", () => {
    registerSdk();
    bridge(nowhere);
    const [insert, section] = [spanNamed("bdrv_insert_node"), spanNamed("drained section")];
    expect(section.parentSpanContext?.spanId).toBe(insert.spanContext().spanId);
    expect(section.attributes).toMatchObject({ "quiesce.drain": "subtree", "quiesce.section": 1 });
    expect(section.events.map(({ name }) => name)).toEqual(["poll phase ended"]);
    const replace = spanNamed("bdrv_replace_node");
    expect(replace.parentSpanContext?.spanId).toBe(section.spanContext().spanId);
  });

  test("what the run left unfinished says so", () => {
    registerSdk();
    bridge(nowhere);
    expect(spanNamed("block flush").attributes["quiesce.unfinished"]).toBe(true);
    expect(spanNamed("block write").attributes["quiesce.unfinished"]).toBeUndefined();
  });

  test("times are those of the recorder's clock", () => {
    registerSdk();
    const { batch, strings, sites } = parseText(RUN.trim().split("\n", 1)[0] ?? "");
    const end = parseText("ctx1 t1 req_end blk=blk1 type=write ret=0").batch;
    const filler = parseText("ctx1 t1 kick waiters=0\n".repeat(31)).batch;
    const sink = new OtelSink(nowhere, { sites, clockOriginMs: 1_700_000_000_500 });
    sink.write(batch, strings, [1_000_000]);
    sink.write(filler, strings, [9_000_000]);
    sink.write(end, strings, [701_000_000]);
    sink.close();
    const span = spanNamed("block write");
    expect(span.startTime).toEqual([1_700_000_000, 501_000_000]);
    expect(span.endTime).toEqual([1_700_000_001, 201_000_000]);
  });
});

describe("without an SDK", () => {
  test("batches are passed on and looked at by nobody", () => {
    const looked = { kind: 0 };
    const inner: Sink & { batches: EventBatch[] } = {
      batches: [],
      write: (batch) => {
        inner.batches.push(batch);
      },
      close: () => {},
    };
    const { batch, strings, sites } = parseText(RUN);
    batch.kind = () => looked.kind++;
    const sink = new OtelSink(inner, { sites });
    sink.write(batch, strings);
    sink.close();
    expect(inner.batches).toEqual([batch]);
    expect(looked.kind).toBe(0);
  });

  test("an SDK that is registered later sees what begins from then on", () => {
    const { batch, strings, sites } = parseText(RUN);
    const late = parseText("ctx1 t2 req_end blk=blk1 type=flush ret=0\nctx1 t3 req_begin blk=blk1");
    const sink = new OtelSink(nowhere, { sites });
    sink.write(batch, strings);
    registerSdk();
    sink.write(late.batch, strings);
    sink.close();
    expect(exporter.getFinishedSpans().map(({ attributes }) => attributes["quiesce.task"])).toEqual(
      [3],
    );
  });
});

test("the recording is the same with the bridge as without it", () => {
  registerSdk();
  const [bridged, plain] = [new MemorySink(headerForTests), new MemorySink(headerForTests)];
  bridge(bridged);
  const { batch, strings } = parseText(RUN);
  plain.write(batch, strings);
  plain.close();
  expect(bridged.bytes()).toEqual(plain.bytes());
});
