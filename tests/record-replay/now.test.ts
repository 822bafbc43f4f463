// Requests that are done at once in a run that nobody watches (core/io/now.ts): what is done in its place where somebody watches comes to
// the same inputs, results, numbers of tasks and operations, and bytes.

import fs, { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type BlockBackend,
  blkCoBlockStatusAbove,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkNewWithBs,
  blkNowIsData,
  blkUnref,
} from "#core/backend";
import { assert, Prng, type SiteId } from "#core/base";
import { bdrvCreateDirtyBitmap } from "#core/bitmaps";
import { fileOpen, qcow2Create, qcow2Open, rawOpen } from "#core/drivers";
import { type BlockDriverState, bdrvUnref } from "#core/graph";
import {
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvEnableCopyOnRead,
  bdrvWriteThresholdSet,
  writeThresholdListeners,
} from "#core/io";
import { IS_INPUT, ProbeBase } from "#core/probe";
import {
  aioCoEnter,
  aioPoll,
  type Co,
  type FileAccess,
  GuestBuffer,
  Machine,
  machine,
  type Polls,
  qemuCoroutineCreate,
  seriesWithout,
} from "#core/sched";
import { LiveHost, runLive } from "#daemon";
import { scratchFolder } from "../qcow2/test-support.ts";

const KIB = 1024;
const DISK_BYTES = 1024 * KIB;
const NO_SITE = 0 as SiteId;

let folder: ReturnType<typeof scratchFolder>;
const { arch } = process;
beforeEach(() => {
  folder = scratchFolder();
  // What takes its time takes one turn here, so that two runs are alike: flushes, and what the host says it cannot do.
  vi.spyOn(fs, "fdatasync").mockImplementation((_fd, done) => {
    setImmediate(done, null);
  });
  Object.defineProperty(process, "arch", { value: "none" });
});
afterEach(() => {
  folder.remove();
  vi.restoreAllMocks();
  Object.defineProperty(process, "arch", { value: arch });
});

/** The inputs, with who had them; the rest is asked for or not. */
class Inputs extends ProbeBase {
  readonly seen: string[] = [];

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    if (IS_INPUT[kind] === 1) this.seen.push([kind, this.ctx, this.task, a, b, c, d].join(" "));
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    if (IS_INPUT[kind] === 1)
      this.seen.push([kind, this.ctx, this.task, wide, a, b, c, d].join(" "));
  }
}

/** A live host that counts what it did at once without being asked twice. */
class CountingHost extends LiveHost {
  nows = 0;
  override now(access: FileAccess): number | null {
    const ret = super.now(access);
    if (ret !== null) this.nows++;
    return ret;
  }
}

type Format = "file" | "raw" | "window" | "qcow2" | "subclusters" | "overlay";

/** The node of a new image in `path`. Polls. */
function* makeNode(path: string, format: Format): Polls<BlockDriverState> {
  writeFileSync(path, new Uint8Array(format.length < 7 && format !== "qcow2" ? DISK_BYTES : 0));
  const file = yield* fileOpen({ nodeName: "", path });
  if (format === "file") return file;
  if (format === "raw") return yield* rawOpen("", file);
  if (format === "window")
    return yield* rawOpen("", file, false, { offset: 4096, size: DISK_BYTES - 8192 });
  const more = format === "subclusters" ? { extendedL2: true, clusterBytes: 65_536 } : {};
  yield* qcow2Create({ file, size: DISK_BYTES, clusterBytes: 4096, ...more });
  if (format !== "overlay") return yield* qcow2Open({ nodeName: "", file });
  const below = yield* makeNode(`${path}.base`, "raw");
  return yield* qcow2Open({ nodeName: "", file, backing: below });
}

/** What a run was, and whether anything was done at once. */
interface Outcome {
  readonly inputs: readonly string[];
  readonly results: readonly string[];
  readonly numbers: readonly number[];
  readonly nows: number;
  readonly image: Buffer;
}

/** Something that happens to the image before its second half of requests. */
type Change = (bs: BlockDriverState, blk: BlockBackend) => Polls<unknown>;

async function run(format: Format, seed: number, watched: boolean, change: Change) {
  const path = join(folder.path, `${format}-${watched}`);
  const probe = new Inputs(watched);
  const host = new CountingHost({ aio: "inline" });
  const results: string[] = [];
  const owner = new Machine({
    ...{ host, probe, series: seriesWithout(), lock: "none" },
    scheduler: { pick: (_runnable, byDefault) => byDefault },
  });
  owner.start(
    (function* (): Polls<void> {
      const bs = yield* makeNode(path, format);
      const blk = yield* blkNewWithBs(bs);
      writeThresholdListeners().push(({ amountExceeded }) => {
        results.push(`${amountExceeded} behind the threshold`);
        return undefined;
      });
      const prng = new Prng(seed);
      for (let i = 0; i < 40; i++) {
        if (i === 20) results.push(`${yield* change(bs, blk)}`);
        yield* together(bs, blk, prng, results);
      }
      results.push(`${bs.writeGen} ${bs.writeThresholdOffset} ${bs.totalBytes}`);
      for (const { bitmap } of bs.dirtyBitmaps) results.push(`dirty ${bitmap.dirtyBytes}`);
      yield* blkUnref(blk);
      yield* bdrvUnref(bs);
    })(),
  );
  expect(await runLive(owner)).toBe("ok");
  const { co, task, op } = owner.last;
  const image = readFileSync(path);
  const outcome: Outcome = {
    ...{ inputs: probe.seen, results, numbers: [co, task, op], nows: host.nows, image },
  };
  return outcome;
}

/** Some requests at the same time, at times while the node is drained at first. Polls. */
function* together(
  bs: BlockDriverState,
  blk: BlockBackend,
  prng: Prng,
  results: string[],
): Polls<void> {
  const isDrained = prng.chance(1, 6);
  if (isDrained) yield* bdrvDrainedBegin(bs, NO_SITE);
  let left = 1 + prng.below(5);
  for (let i = left; i > 0; i--) {
    const request = drawn(blk, prng);
    aioCoEnter(
      machine.mainContext,
      qemuCoroutineCreate(function* (): Co<void> {
        results.push(yield* request());
        left--;
      }),
    );
  }
  if (isDrained) yield* bdrvDrainedEnd(bs, NO_SITE);
  while (left > 0) yield* aioPoll(machine.mainContext, true);
}

/** A request, and what it comes to as text. Now and then one that leaves the image. */
function drawn(blk: BlockBackend, prng: Prng): () => Co<string> {
  const unit = prng.pick([1, 512, 4096]);
  const offset = prng.below(DISK_BYTES / unit) * unit;
  const bytes = Math.max(1, prng.below(Math.min(40_000, DISK_BYTES - offset) / unit) * unit);
  const byte = prng.below(256);
  const qiov = { buffer: new GuestBuffer(bytes, new Uint8Array(bytes).fill(byte)), start: 0 };
  switch (prng.below(8)) {
    case 0:
      return function* (): Co<string> {
        return `zeroes ${yield* blkCoPwriteZeroes(blk, offset, bytes)}`;
      };
    case 1:
      return function* (): Co<string> {
        // As the NBD server asks.
        if (blkNowIsData(blk, offset, bytes)) return "status data";
        const { ret, pnum } = yield* blkCoBlockStatusAbove(blk, offset, bytes);
        return pnum === bytes && (ret & 3) === 1 ? "status data" : `status ${ret} ${pnum}`;
      };
    case 2:
    case 3:
    case 4:
      return function* (): Co<string> {
        return `write ${yield* blkCoPwritev(blk, offset, bytes, qiov)}`;
      };
    default:
      return function* (): Co<string> {
        const ret = yield* blkCoPreadv(blk, offset, bytes, qiov);
        const { data } = qiov.buffer;
        assert(data !== null, "live memory has contents");
        return `read ${ret} ${data.reduce((sum, one, at) => (sum * 31 + one + at) % 1e9, 7)}`;
      };
  }
}

/** Both ways; whether the short one was ever gone. */
async function expectSame(format: Format, seed: number, change: Change): Promise<number> {
  const [short, long] = [
    await run(format, seed, false, change),
    await run(format, seed, true, change),
  ];
  expect(short.results).toEqual(long.results);
  expect(short.inputs).toEqual(long.inputs);
  expect(short.numbers).toEqual(long.numbers);
  expect(short.image.equals(long.image)).toBe(true);
  expect(long.nows).toBe(0);
  return short.nows;
}

function* nothing(): Polls<string> {
  return "nothing";
}

describe("requests that nobody watches", () => {
  const formats: readonly Format[] = ["file", "raw", "window", "qcow2", "subclusters", "overlay"];
  it.each(formats.flatMap((format) => [1, 2, 3].map((seed) => [format, seed] as const)))(
    "%s, seed %i: have the inputs and results of those that somebody watches",
    async (format, seed) => {
      expect(await expectSame(format, seed, nothing)).toBeGreaterThan(0);
    },
  );

  const changes: readonly (readonly [string, Change])[] = [
    ["a write threshold", thresholdAt(300 * KIB)],
    ["a dirty bitmap", dirtyBitmap],
    ["zeroes that are looked for", detectZeroes],
    ["reads that copy", copyOnRead],
    ["writes that are flushed", writeThrough],
  ];
  it.each(changes)("%s is heeded", async (_what, change) => {
    for (const format of ["raw", "qcow2"] as const) await expectSame(format, 7, change);
  });
});

function thresholdAt(offset: number): Change {
  return function* (bs): Polls<string> {
    bdrvWriteThresholdSet(bs, offset);
    return "threshold";
  };
}

function* dirtyBitmap(bs: BlockDriverState): Polls<string> {
  bdrvCreateDirtyBitmap(bs, 4096, "b");
  return "bitmap";
}

function* detectZeroes(bs: BlockDriverState): Polls<string> {
  bs.detectZeroes = "on";
  return "detect";
}

function* copyOnRead(bs: BlockDriverState): Polls<string> {
  bdrvEnableCopyOnRead(bs);
  return "copies";
}

function* writeThrough(_bs: BlockDriverState, blk: BlockBackend): Polls<string> {
  blk.enableWriteCache = false;
  return "through";
}
