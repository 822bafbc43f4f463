// Requests that are done at once in a run that nobody watches (core/io/now.ts): what is done in its place where somebody watches comes to
// the same inputs, results, numbers of tasks and operations, and bytes.

import { execFileSync } from "node:child_process";
import fs, { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
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
import { AioPolicy } from "./aio.ts";
import { LiveHost } from "./live-host.ts";
import { runLive } from "./run-live.ts";

const KIB = 1024;
const DISK_BYTES = 1024 * KIB;
const NO_SITE = 0 as SiteId;

const HAS_QEMU = existsSync("/usr/bin/qemu-img");

let folder: string;
/** Decides which reads and writes the calling thread does not do, one after the other. */
let late = new Prng(0);
let isLate = false;
const { arch } = process;

function decideNext(): void {
  isLate = late.chance(1, 5);
}

/** What takes its time takes one turn here, so that two runs are alike: flushes, what the host says it cannot do, the pool. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quiesce-now-"));
  vi.spyOn(fs, "fdatasync").mockImplementation((_fd, done) => {
    setImmediate(done, null);
  });
  for (const move of ["read", "write"] as const) {
    const sync = fs[`${move}Sync`] as (...range: unknown[]) => number;
    const later = (...args: unknown[]): void => {
      const done = args.pop() as (error: null, bytes: number) => void;
      setImmediate(() => done(null, sync(...args)));
    };
    vi.spyOn(fs, move).mockImplementation(later as never);
  }
  Object.defineProperty(process, "arch", { value: "none" });
  vi.spyOn(AioPolicy.prototype, "wouldBeInline").mockImplementation(() => {
    if (isLate) return false;
    decideNext();
    return true;
  });
  vi.spyOn(AioPolicy.prototype, "isInline").mockImplementation(() => {
    const isInline = !isLate;
    decideNext();
    return isInline;
  });
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
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

type Format =
  | "file"
  | "raw"
  | "blocks"
  | "window"
  | "qcow2"
  | "subclusters"
  | "overlay"
  | "small cache"
  | "snapshot";

const RAW: ReadonlySet<Format> = new Set<Format>(["file", "raw", "blocks", "window"]);

/** The node of a new image in `path`. Polls. */
function* makeNode(path: string, format: Format): Polls<BlockDriverState> {
  if (format === "snapshot") {
    makeSnapshot(path);
    return yield* qcow2Open({ nodeName: "", file: yield* fileOpen({ nodeName: "", path }) });
  }
  writeFileSync(path, new Uint8Array(RAW.has(format) ? DISK_BYTES : 0));
  const file = yield* fileOpen({ nodeName: "", path });
  if (format === "file") return file;
  if (format === "raw") return yield* rawOpen("", file);
  if (format === "blocks") {
    const bs = yield* rawOpen("", file);
    // What covers a block in part is widened, and alone in its blocks.
    bs.requestAlignment = 4096;
    return bs;
  }
  if (format === "window")
    return yield* rawOpen("", file, false, { offset: 4096, size: DISK_BYTES - 8192 });
  const more = format === "subclusters" ? { extendedL2: true, clusterBytes: 65_536 } : {};
  yield* qcow2Create({ file, size: DISK_BYTES, clusterBytes: 4096, ...more });
  // Too small for all tables: they are read again and again, with the lock held.
  const cache = { l2CacheBytes: 4 * 512, l2CacheEntryBytes: 512, refcountCacheBytes: 4 * 4096 };
  if (format === "small cache") return yield* qcow2Open({ nodeName: "", file, ...cache });
  if (format !== "overlay") return yield* qcow2Open({ nodeName: "", file });
  const below = yield* makeNode(`${path}.base`, "raw");
  return yield* qcow2Open({ nodeName: "", file, backing: below });
}

/** An image whose clusters a snapshot has, too: always the same one, since a snapshot knows when it was made. */
function makeSnapshot(path: string): void {
  const first = join(folder, "snapshot");
  if (!existsSync(first)) makeFirstSnapshot(first);
  fs.copyFileSync(first, path);
}

function makeFirstSnapshot(first: string): void {
  const disk = `${first}.raw`;
  writeFileSync(disk, new Uint8Array(DISK_BYTES).fill(1));
  const clusters = ["-o", "cluster_size=4k"];
  execFileSync("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", ...clusters, disk, first]);
  execFileSync("qemu-img", ["snapshot", "-c", "s", first]);
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
  const path = join(folder, `${format}-${watched}`);
  late = new Prng(seed, 1);
  isLate = false;
  const probe = new Inputs(watched);
  const host = new CountingHost({ aio: "auto" });
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
      if (format === "small cache") yield* inCoroutine(() => fill(blk));
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

/** All of the disk is one run of data, from one slice of the tables to the next. */
function* fill(blk: BlockBackend): Co<void> {
  const bytes = 64 * KIB;
  const qiov = { buffer: new GuestBuffer(bytes, new Uint8Array(bytes).fill(1)), start: 0 };
  for (let at = 0; at < DISK_BYTES; at += bytes) yield* blkCoPwritev(blk, at, bytes, qiov);
}

function* inCoroutine(body: () => Co<void>): Polls<void> {
  let isOver = false;
  aioCoEnter(
    machine.mainContext,
    qemuCoroutineCreate(function* (): Co<void> {
      yield* body();
      isOver = true;
    }),
  );
  while (!isOver) yield* aioPoll(machine.mainContext, true);
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
  // Short ones are in one cluster, long ones in several.
  const most = prng.pick([2000, 9000, 40_000]);
  const offset = prng.below(DISK_BYTES / unit) * unit;
  const bytes = Math.max(1, prng.below(Math.min(most, DISK_BYTES - offset) / unit) * unit);
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
  const formats: readonly Format[] = [
    ...([
      "file",
      "raw",
      "blocks",
      "window",
      "qcow2",
      "subclusters",
      "overlay",
      "small cache",
    ] as const),
    ...(HAS_QEMU ? (["snapshot"] as const) : []),
  ];
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
    for (const format of ["raw", "qcow2"] as const)
      for (const seed of [7, 8, 9]) await expectSame(format, seed, change);
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
