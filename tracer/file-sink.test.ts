import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { afterAll, describe, expect, test } from "vitest";
import { emitSyntheticRun, fdSource, MemoryBytes, TraceReader } from "#traces";
import { FileSink } from "./file-sink.ts";
import { MemorySink } from "./memory-sink.ts";
import { Recorder } from "./recorder.ts";
import type { Sink } from "./sink.ts";
import { headerForTests } from "./test-support.ts";
import { TraceSink } from "./trace-sink.ts";

const folder = mkdtempSync(join(tmpdir(), "quiesce-sink-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Records a made-up run of some 33,000 events. */
function record(sink: Sink): Recorder {
  const recorder = new Recorder(sink);
  emitSyntheticRun(recorder, { seed: 5, requests: 1000 });
  return recorder;
}

const whole = (() => {
  const sink = new MemorySink(headerForTests);
  record(sink).close();
  return sink.bytes();
})();

/** Takes so many bytes, then fails as a full disk does, having written a part of what it was given. */
class FailingBytes extends MemoryBytes {
  #left: number;

  constructor(bytes: number) {
    super();
    this.#left = bytes;
  }

  override write(bytes: Uint8Array): void {
    super.write(bytes.subarray(0, Math.max(0, this.#left)));
    this.#left -= bytes.length;
    if (this.#left >= 0) return;
    throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC", syscall: "write" });
  }
}

describe("a file sink", () => {
  test("writes the file that a memory sink makes", () => {
    const path = join(folder, "whole");
    const fd = openSync(path, "w+");
    record(new FileSink(fd, headerForTests)).close();
    expect(new Uint8Array(readFileSync(path))).toEqual(whole);
    const reader = TraceReader.open(fdSource(fd));
    for (const batch of reader.batches()) expect(batch.count).toBeGreaterThan(0);
    expect(reader.complete).toBe(true);
    closeSync(fd);
  });

  test.skipIf(!existsSync("/dev/full"))("says that a disk was full from the start", () => {
    const fd = openSync("/dev/full", "w");
    const sink = new FileSink(fd, headerForTests);
    expect(sink.failed).toBe(true);
    const recorder = record(sink);
    expect(() => recorder.close()).toThrow(
      "Recording stopped early because the disk is full: the trace holds the first 0 events.",
    );
    closeSync(fd);
  });
});

describe("when writing fails", () => {
  test("at any record, what was written stays readable and one sentence says so", () => {
    const chunks = TraceReader.open(whole).index?.chunks ?? [];
    expect(chunks.length).toBeGreaterThan(3);
    for (const [number, { offset }] of chunks.entries()) {
      const bytes = new FailingBytes(offset + 100);
      const recorder = record(new TraceSink(headerForTests, bytes));
      const events = number * 8192;
      expect(() => recorder.close()).toThrow(
        expect.objectContaining({
          name: "QuiesceError",
          kind: "input",
          message: `Recording stopped early because the disk is full: the trace holds the first ${events} events.`,
        }),
      );
      const reader = TraceReader.open(bytes.bytes());
      for (const batch of reader.batches()) expect(batch.count).toBe(8192);
      expect(reader.events).toBe(events);
      expect(reader.damage).toMatchObject({ kind: "truncated", chunk: number });
    }
  });

  test("for a reason of ours, the error is not taken for a full disk", () => {
    const broken = {
      write: () => {
        throw new TypeError("ours");
      },
      close: () => {},
    };
    expect(() => new TraceSink(headerForTests, broken)).toThrow("ours");
  });
});

test.skipIf(process.platform === "win32")("a file that may not grow holds whole chunks", () => {
  // A process of its own under `ulimit -f`, in blocks of 512 or 1024 bytes; the write beyond it fails with EFBIG.
  const program = join(folder, "record.cjs");
  const source = join(folder, "record.ts");
  writeFileSync(source, recordingProgram());
  buildSync({
    entryPoints: [source],
    bundle: true,
    platform: "node",
    format: "cjs",
    conditions: ["source"],
    // import.meta is empty in such a bundle, which matters to readers of files alone.
    logLevel: "error",
    outfile: program,
  });
  const path = join(folder, "limited");
  const script = `trap '' XFSZ; ulimit -f 16; exec "$0" "$1" "$2"`;
  const shell = ["-c", script, process.execPath, program, path];
  const { stdout, stderr } = spawnSync("bash", shell, { encoding: "utf8" });
  expect(stderr).toBe("");
  const [, events] = /writing failed \(EFBIG\): the trace holds the first (\d+) events\./.exec(
    stdout,
  ) ?? ["", "none"];
  const reader = TraceReader.open(new Uint8Array(readFileSync(path)));
  for (const batch of reader.batches()) expect(batch.count).toBe(8192);
  expect(reader.events).toBe(Number(events));
  expect(reader.events).toBeGreaterThan(0);
  // The part of a chunk that still fitted was dropped: the file ends where the missing chunk would begin.
  expect(reader.damage?.offset).toBe(reader.bytes);
});

/** A program that records a made-up run to the file of its first argument and prints what `close` says. */
function recordingProgram(): string {
  const here = import.meta.dirname;
  return `
    import { openSync } from "node:fs";
    import { emitSyntheticRun } from ${JSON.stringify(join(here, "../traces/index.ts"))};
    import { FileSink, Recorder } from ${JSON.stringify(join(here, "index.ts"))};
    const header = ${JSON.stringify(headerForTests)};
    const sink = new FileSink(openSync(process.argv[2], "w+"), header);
    const recorder = new Recorder(sink);
    emitSyntheticRun(recorder, { seed: 5, requests: 5000 });
    try {
      recorder.close();
    } catch (error) {
      console.log(error.message);
    }
  `;
}
