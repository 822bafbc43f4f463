// No guest data in a trace (design D6): a guest writes a pattern that is easy to find, on every path that moves data, to images
// whose names are the pattern, too; then the uncompressed traces, full and inputs only, are searched for any piece of it.

import { describe, expect, it } from "vitest";
import { blkCoCopyRange, blkCoPreadv, blkCoPwritev, blkNewWithBs, blkUnref } from "#core/backend";
import { assert, type SiteId } from "#core/base";
import { fileOpen, overlayOpen, rawOpen } from "#core/drivers";
import { type BlockDriverState, bdrvUnref } from "#core/graph";
import { WORDS_PER_EVENT } from "#core/probe";
import { type Co, type GuestBuffer, hostAllocate, hostDecide, type Polls } from "#core/sched";
import { headerOf, runScenario, type Scenario, type World, worldBuilder } from "#explorer";
import { replayTrace } from "#replay";
import { MemorySink, Recorder } from "#tracer";
import { bytesSource, FORMAT_VERSION, TraceReader } from "#traces";

/** Sixteen bytes that nothing else writes. */
const PATTERN = "s3cr3tGuestBytes";
const PIECE_BYTES = 8;
const IMAGE_BYTES = 256 * 1024;
const LEVELS = ["full", "inputs"] as const;

const scenario: Scenario = {
  name: "guest-data",
  title: "A guest moves recognisable bytes over every path.",
  disk: { alignment: 512 },
  main,
};

function* main(world: World): Polls<void> {
  const ctx = world.iothread("io0");
  const openImage = function* (nodeName: string): Polls<BlockDriverState> {
    const path = world.imagePath(`${PATTERN}-${nodeName}`);
    return yield* rawOpen("", yield* fileOpen({ nodeName, path, ctx, create: true }));
  };
  const base = yield* openImage("base");
  const top = yield* overlayOpen({ nodeName: "top", size: IMAGE_BYTES, backing: base });
  const other = yield* openImage("other");
  const above = yield* blkNewWithBs(top);
  const beside = yield* blkNewWithBs(other, { allowWriteBeyondEof: true });
  world.guest(ctx, function* (): Co<void> {
    const buffer = { buffer: filled(hostAllocate(16_384)), start: 0 };
    for (const blk of [beside, above]) {
      // Aligned, and unaligned: read, change, write back; in the overlay, copy on write.
      assert((yield* blkCoPwritev(blk, 0, 16_384, buffer)) === 0, "the aligned write is good");
      assert((yield* blkCoPwritev(blk, 70_001, 777, buffer)) === 0, "the unaligned one is, too");
      assert((yield* blkCoPreadv(blk, 3, 8_000, buffer)) === 0, "the unaligned read is good");
    }
    assert((yield* blkCoCopyRange(beside, 0, beside, 32_768, 8_192)) === 0, "the copy is good");
    hostDecide(0 as SiteId, () => (buffer.buffer.data?.[0] === 0 ? 0 : 1));
  });
  yield* world.joinGuests();
  for (const blk of [above, beside]) yield* blkUnref(blk);
  for (const bs of [top, other]) yield* bdrvUnref(bs);
  yield* world.stopIothreads();
}

function filled(buffer: GuestBuffer): GuestBuffer {
  const { data } = buffer;
  if (data !== null) Buffer.from(data.buffer).fill(PATTERN);
  return buffer;
}

function record(level: "full" | "inputs") {
  const options = { seed: 1, imagesDir: `/${PATTERN}` };
  const header = headerOf(scenario, options, {
    host: "simulated",
    level,
    coreVersion: "",
    formatVersion: FORMAT_VERSION,
    provenance: { createdAt: "", host: "", node: "", quiesce: "" },
  });
  const sink = new MemorySink(header, { codec: "none" });
  const recorder = new Recorder(sink, { level });
  const run = runScenario(scenario, { ...options, probe: recorder });
  recorder.close();
  return { ...run, bytes: sink.bytes() };
}

/** The pieces of the pattern, at each of its bytes, found in `bytes`. */
function piecesIn(bytes: Uint8Array): string[] {
  const twice = PATTERN + PATTERN;
  const pieces = [...PATTERN].map((_, at) => twice.slice(at, at + PIECE_BYTES));
  return pieces.filter((piece) => Buffer.from(bytes).includes(piece));
}

describe.each(LEVELS)("a %s recording", (level) => {
  const run = record(level);
  const reader = TraceReader.open(bytesSource(run.bytes));

  it("is of a run in which the guest's bytes went to the disk", () => {
    expect(run.outcome).toBe("ok");
    const files = [...run.host.disk.files.values()];
    expect(files.map(({ path }) => path.includes(PATTERN))).toEqual([true, true]);
    const there = new Uint8Array(48);
    files[1]?.read(32_768, there);
    expect(piecesIn(there)).toHaveLength(PATTERN.length);
  });

  it("holds no eight bytes of it: neither in the file nor in its events, strings and header", () => {
    expect(piecesIn(run.bytes)).toEqual([]);
    for (const { ints, count } of reader.batches()) {
      const words = ints.subarray(0, count * WORDS_PER_EVENT);
      expect(piecesIn(new Uint8Array(words.buffer, words.byteOffset, words.byteLength))).toEqual(
        [],
      );
    }
    const tables = JSON.stringify([reader.header, reader.strings]);
    expect(piecesIn(Buffer.from(tables))).toEqual([]);
  });

  it("is enough to replay the run, which sees no guest memory", () => {
    const report = replayTrace(reader, { buildWorld: worldBuilder(() => scenario) });
    expect(report).toMatchObject({ identical: true, complete: true });
  });
});
