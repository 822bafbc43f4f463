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
  blkIoLimitsEnable,
  blkNewWithBs,
  blkNowIsData,
  blkSetIoLimits,
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
import { Ev, IS_INPUT, ProbeBase } from "#core/probe";
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
import { throttleConfigInit, throttleLimitsToConfig } from "#core/throttle";
import { AioPolicy } from "./aio.ts";
import { LiveHost } from "./live-host.ts";
import { runLive } from "./run-live.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const DISK_BYTES = MIB;
const NO_SITE = 0 as SiteId;

const HAS_QEMU = existsSync("/usr/bin/qemu-img");

let folder: string;
/** Decides which reads and writes the calling thread does not do, one after the other. */
let late = new Prng(0);
let isLate = false;
let lateInTen = 2;
const { arch } = process;

function decideNext(): void {
  isLate = late.chance(lateInTen, 10);
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
    if (IS_INPUT[kind] !== 1) return;
    // Of two runs, one is later.
    const value = kind === Ev.clock_read ? 0 : wide;
    this.seen.push([kind, this.ctx, this.task, value, a, b, c, d].join(" "));
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

const FORMATS = [
  ...(["file", "raw", "blocks", "window", "qcow2", "subclusters", "overlay"] as const),
  ...(["small cache", "snapshot"] as const),
];
type Format = (typeof FORMATS)[number] | "large" | "marked as shared" | "cut short";

const RAW: ReadonlySet<Format> = new Set<Format>(["file", "raw", "blocks", "window"]);

/** Images that have data all over from the start. */
const FULL: ReadonlySet<Format> = new Set<Format>(["small cache", "large"]);

/** Where they are not of 4096 bytes. With small ones there are many tables. */
const CLUSTER_BYTES: Partial<Record<Format, number>> = {
  ...{ subclusters: 65_536, large: 65_536, "marked as shared": 512 },
};

/** The small cache has a quarter of the tables of its disk; the large disk takes more than one piece of a write. */
function diskBytes(format: Format): number {
  if (format === "small cache") return 4 * MIB;
  return format === "large" ? 12 * MIB : DISK_BYTES;
}

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
  const more = format === "subclusters" ? { extendedL2: true } : {};
  const size = diskBytes(format);
  yield* qcow2Create({ file, size, clusterBytes: CLUSTER_BYTES[format] ?? 4096, ...more });
  if (format === "large") return yield* qcow2Open({ nodeName: "", file });
  if (format === "marked as shared" || format === "cut short") {
    const bs = yield* qcow2Open({ nodeName: "", file });
    const blk = yield* blkNewWithBs(bs);
    yield* inCoroutine(() => fill(blk, DISK_BYTES));
    yield* blkUnref(blk);
    yield* bdrvUnref(bs);
    if (format === "cut short") fs.truncateSync(path, fs.statSync(path).size - 99_999);
    else markAsShared(path);
    const again = yield* fileOpen({ nodeName: "", path });
    return yield* qcow2Open({ nodeName: "", file: again });
  }
  // Too small for all tables: they are read again and again, with the lock held.
  const cache = { l2CacheBytes: 4 * 512, l2CacheEntryBytes: 512, refcountCacheBytes: 4 * 4096 };
  if (format === "small cache") return yield* qcow2Open({ nodeName: "", file, ...cache });
  if (format !== "overlay") return yield* qcow2Open({ nodeName: "", file });
  const below = yield* makeNode(`${path}.base`, "raw");
  return yield* qcow2Open({ nodeName: "", file, backing: below });
}

/** The L2 tables of an image are marked as if a snapshot had them, too, and the clusters are not. */
function markAsShared(path: string): void {
  const image = readFileSync(path);
  const tables = image.readUInt32BE(36);
  const l1 = Number(image.readBigUInt64BE(40));
  for (let at = l1; at < l1 + 8 * tables; at += 8) {
    assert((image[at] ?? 0) === 0x80, "a table that the image alone has");
    image[at] = 0;
  }
  writeFileSync(path, image);
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

/** Something that happens to the image before each round of the second half of requests. */
type Change = (bs: BlockDriverState, blk: BlockBackend) => Polls<unknown>;

/** What requests there are. */
interface Load {
  /** They are in so many bytes at the start of the disk; default all of it. */
  readonly area?: number;
  /** Of each one at most, in bytes; one of these. */
  readonly most?: readonly number[];
  /** At the same time, at most. */
  readonly together?: number;
  /** Of ten reads and writes of the host, those that take their time. */
  readonly late?: number;
  readonly rounds?: number;
  /** In some rounds the node is drained while they are under way, and another one is not. */
  readonly drains?: boolean;
}

/** Requests in one another's way. */
const CROWD: Load = { area: 24 * KIB, most: [2000, 9000], together: 12, late: 5 };

async function run(format: Format, seed: number, watched: boolean, change: Change, load: Load) {
  const path = join(folder, `${format}-${watched}`);
  late = new Prng(seed, 1);
  lateInTen = load.late ?? 2;
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
      const other = load.drains === true ? yield* makeNode(`${path}.other`, "raw") : null;
      const others = other === null ? null : yield* blkNewWithBs(other);
      writeThresholdListeners().push(({ amountExceeded }) => {
        results.push(`${amountExceeded} behind the threshold`);
        return undefined;
      });
      const prng = new Prng(seed);
      if (FULL.has(format)) yield* inCoroutine(() => fill(blk, diskBytes(format)));
      const rounds = load.rounds ?? 40;
      for (let i = 0; i < rounds; i++) {
        if (i >= rounds / 2) results.push(`${yield* change(bs, blk)}`);
        yield* together(bs, others === null ? [blk] : [blk, others], prng, load, results);
      }
      results.push(`${bs.writeGen} ${bs.writeThresholdOffset} ${bs.totalBytes}`);
      for (const { bitmap } of bs.dirtyBitmaps) results.push(`dirty ${bitmap.dirtyBytes}`);
      if (others !== null) yield* blkUnref(others);
      if (other !== null) yield* bdrvUnref(other);
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
function* fill(blk: BlockBackend, size: number): Co<void> {
  const bytes = 64 * KIB;
  const qiov = { buffer: new GuestBuffer(bytes, new Uint8Array(bytes).fill(1)), start: 0 };
  for (let at = 0; at < size; at += bytes) yield* blkCoPwritev(blk, at, bytes, qiov);
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

/** Some requests at the same time, at times while the node is drained at first, or before they have ended. Polls. */
function* together(
  bs: BlockDriverState,
  blks: readonly BlockBackend[],
  prng: Prng,
  load: Load,
  results: string[],
): Polls<void> {
  const isDrained = prng.chance(1, 6);
  if (isDrained) yield* bdrvDrainedBegin(bs, NO_SITE);
  let left = 1 + prng.below(load.together ?? 5);
  for (let i = left; i > 0; i--) {
    const blk = prng.pick(blks);
    const requests = load.drains === true ? 4 : 1;
    const series = Array.from({ length: requests }, () => drawn(blk, prng, load));
    aioCoEnter(
      machine.mainContext,
      qemuCoroutineCreate(function* (): Co<void> {
        for (const request of series) results.push(yield* request());
        left--;
      }),
    );
  }
  if (isDrained) yield* bdrvDrainedEnd(bs, NO_SITE);
  if (load.drains === true && prng.chance(1, 2)) {
    yield* bdrvDrainedBegin(bs, NO_SITE);
    yield* bdrvDrainedEnd(bs, NO_SITE);
  }
  while (left > 0) yield* aioPoll(machine.mainContext, true);
}

/** A request, and what it comes to as text. Now and then one that leaves the image. */
function drawn(blk: BlockBackend, prng: Prng, load: Load): () => Co<string> {
  const unit = prng.pick([1, 512, 4096]);
  // Short ones are in one cluster, long ones in several.
  const most = prng.pick(load.most ?? [2000, 9000, 40_000]);
  const area = load.area ?? DISK_BYTES;
  const offset = prng.below(area / unit) * unit;
  const bytes = Math.max(1, prng.below(Math.min(most, area - offset) / unit) * unit);
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
async function expectSame(
  format: Format,
  seed: number,
  change: Change = nothing,
  load: Load = {},
): Promise<number> {
  const [short, long] = [
    await run(format, seed, false, change, load),
    await run(format, seed, true, change, load),
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
  const formats = FORMATS.filter((format) => HAS_QEMU || format !== "snapshot");
  it.each(formats.flatMap((format) => [1, 2, 3].map((seed) => [format, seed] as const)))(
    "%s, seed %i: have the inputs and results of those that somebody watches",
    async (format, seed) => {
      expect(await expectSame(format, seed)).toBeGreaterThan(0);
    },
  );

  const changes: readonly (readonly [string, Change])[] = [
    ["a write threshold", thresholdAt(10 * KIB)],
    ["a dirty bitmap", dirtyBitmap],
    ["zeroes that are looked for", detectZeroes],
    ["reads that copy", copyOnRead],
    ["writes that are flushed", writeThrough],
    ["limits", limits],
  ];
  const loads: readonly (readonly [string, Format, Load])[] = [
    [
      "blocks that others are about to change",
      "blocks",
      { ...CROWD, area: 48 * KIB, most: [9000, 40_000] },
    ],
    ["clusters that others allocate", "qcow2", CROWD],
    ["a cluster that others write to", "subclusters", { ...CROWD, area: 128 * KIB }],
    ["tables that are in memory at times", "small cache", { area: 4 * MIB, late: 5 }],
    ["tables that must be copied", "marked as shared", {}],
    ["clusters behind the end of the file", "cut short", {}],
    ["drains of what others use", "raw", { drains: true, late: 5 }],
    [
      "more than is written at once",
      "large",
      { area: 12 * MIB, most: [40_000, 11 * MIB], together: 2, rounds: 8 },
    ],
  ];
  it.each(loads)("%s come to the same", async (_what, format, load) => {
    let nows = 0;
    for (const seed of [1, 2, 3]) nows += await expectSame(format, seed, nothing, load);
    expect(nows).toBeGreaterThan(0);
  });

  it.each(changes)("%s is heeded", async (_what, change) => {
    for (const format of ["raw", "qcow2"] as const)
      for (const seed of [7, 8, 9]) {
        await expectSame(format, seed, change);
        await expectSame(format, seed, change, { ...CROWD, rounds: 20 });
      }
  });
});

function thresholdAt(offset: number): Change {
  return function* (bs): Polls<string> {
    bdrvWriteThresholdSet(bs, offset);
    return "threshold";
  };
}

function* dirtyBitmap(bs: BlockDriverState): Polls<string> {
  if (bs.dirtyBitmaps.length === 0) bdrvCreateDirtyBitmap(bs, 4096, "b");
  return "bitmap";
}

function* detectZeroes(bs: BlockDriverState): Polls<string> {
  bs.detectZeroes = "on";
  return "detect";
}

function* copyOnRead(bs: BlockDriverState): Polls<string> {
  if (bs.copyOnRead === 0) bdrvEnableCopyOnRead(bs);
  return "copies";
}

function* writeThrough(_bs: BlockDriverState, blk: BlockBackend): Polls<string> {
  blk.enableWriteCache = false;
  return "through";
}

/** Far more than there is to do: each request looks at the clock, and goes on. */
function* limits(_bs: BlockDriverState, blk: BlockBackend): Polls<string> {
  if (blk.throttleGroupMember.group !== null) return "limits";
  blkIoLimitsEnable(blk, "g");
  blkSetIoLimits(blk, throttleLimitsToConfig({ "bps-total": 1e12 }, throttleConfigInit()));
  return "limits";
}
