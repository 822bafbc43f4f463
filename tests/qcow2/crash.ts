// Cutting an image off at any moment: what the modelled disk has by then, and what must be true of it.
//
// The disk keeps a log of what was written. A cut at entry k leaves everything that a flush has covered which ended before k,
// and of what was written since then any part: each sector of it was written, or not. Guests note when each of their
// operations began and ended, in entries of the log; so it is known what the disk must hold: where nothing was written since
// the last flush what was there then, elsewhere that or anything that was written since.

import {
  type BlockBackend,
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkNewWithBs,
  blkUnref,
} from "#core/backend";
import { assert, must, type Prng } from "#core/base";
import { bdrvCreateDirtyBitmap, bdrvDirtyBitmapSetPersistence, type HBitmap } from "#core/bitmaps";
import {
  checkRefcounts,
  fileOpen,
  parseHeader,
  type Qcow2CheckResult,
  type Qcow2CreateOptions,
  qcow2Create,
  qcow2Open,
} from "#core/drivers";
import {
  BDRV_REQ_MAY_UNMAP,
  type BlockDriverState,
  bdrvReopenSetReadOnly,
  bdrvUnref,
} from "#core/graph";
import { type Co, type HostOp, hostAllocate, type Polls, runInCoroutine } from "#core/sched";
import { SimulatedFile, type SimulatedHost } from "#explorer";
import { outside } from "../record-replay/sound-run.ts";
import { runSimulated } from "./simulated.ts";
import { bufferWith, inCoroutine } from "./test-support.ts";

const SECTOR = 512;
const PATH = "images/image";
export const DISK_BYTES = 1 << 20;
const GUESTS = 3;

/** What was written to the image, in order of completion; `data` null for zeroes; a resize has no bytes. */
interface LogEntry {
  readonly offset: number;
  readonly bytes: number;
  readonly data: Uint8Array | null;
  readonly resize: boolean;
}

/** An operation of a guest, or a flush of one: when it began and ended, in entries of the log. */
interface GuestOperation {
  offset: number;
  bytes: number;
  readonly value: number;
  readonly began: number;
  ended: number;
  /** The same in an order in which no two things are at once, since guests do much between two entries. */
  readonly beganAt: number;
  endedAt: number;
}

/** A run, as its disk and its guests saw it. */
export class CrashRun {
  readonly log: LogEntry[] = [];
  /** At entry `at`, everything before entry `covers` is on the disk for ever. */
  readonly flushes: { readonly at: number; readonly covers: number }[] = [];
  readonly operations: GuestOperation[] = [];
  readonly guestFlushes: GuestOperation[] = [];

  /** Counts what guests begin and end. */
  now = 0;
  /** Entries before this one were written before any guest came. */
  start = 0;
  /** Byte range of the image that is its L1 table. */
  l1: readonly [number, number] = [0, 0];

  /** Entries of the log that wrote to the L1 table, once guests had come. */
  writesToL1(): number[] {
    const [start, end] = this.l1;
    const isThere = ({ offset, bytes, resize }: LogEntry) =>
      !resize && offset < end && offset + bytes > start;
    return [...this.log.keys()].filter(
      (index) => index >= this.start && isThere(must(this.log[index], "there")),
    );
  }

  /** The same run, as if the code had left out the barrier before it writes to that table. */
  withoutBarrierBeforeL1(): CrashRun {
    const before = (index: number) => this.flushes.findLastIndex(({ at }) => at <= index);
    const left = new Set(this.writesToL1().map(before));
    const run = Object.assign(new CrashRun(), this);
    return Object.assign(run, { flushes: this.flushes.filter((_, index) => !left.has(index)) });
  }

  /** The image as a cut at entry `cut` may leave it. */
  imageAfter(cut: number, prng: Prng): SimulatedFile {
    const file = new SimulatedFile(PATH);
    const covered = Math.max(0, ...this.flushes.filter(({ at }) => at <= cut).map((f) => f.covers));
    for (const [index, entry] of this.log.slice(0, cut).entries()) {
      if (index < covered) apply(file, entry);
      else if (prng.chance(2, 3)) applyInPart(file, entry, prng);
    }
    return file;
  }

  /** For each byte of the guest's disk the values that it may have after a cut at entry `cut`, as a check of one byte. */
  expectation(cut: number): (at: number, value: number) => boolean {
    const flush = this.guestFlushes.findLast(({ ended }) => ended <= cut);
    const since = flush?.beganAt ?? 0;
    const base = new Uint8Array(DISK_BYTES);
    const later: GuestOperation[] = [];
    for (const operation of this.operations) {
      const { offset, bytes, value, began, endedAt } = operation;
      if (endedAt < since) base.fill(value, offset, offset + bytes);
      else if (began <= cut) later.push(operation);
    }
    return (at, value) =>
      value === base[at] ||
      later.some((one) => at >= one.offset && at < one.offset + one.bytes && value === one.value);
  }
}

function apply(file: SimulatedFile, { offset, bytes, data, resize }: LogEntry): void {
  if (resize) file.truncate(offset);
  else if (data === null) file.zero(offset, bytes);
  else file.write(offset, data);
}

function applyInPart(file: SimulatedFile, entry: LogEntry, prng: Prng): void {
  const { offset, bytes, data, resize } = entry;
  if (resize || bytes <= SECTOR || prng.chance(1, 2)) {
    apply(file, entry);
    return;
  }
  for (let at = 0; at < bytes; at += SECTOR) {
    if (prng.chance(1, 3)) continue;
    const length = Math.min(SECTOR, bytes - at);
    const part = data === null ? null : data.subarray(at, at + length);
    apply(file, { offset: offset + at, bytes: length, data: part, resize: false });
  }
}

/** Note down in `run` what `host` does to its disk. */
function watch(host: SimulatedHost, run: CrashRun): void {
  const { disk } = host;
  const perform = disk.perform.bind(disk);
  const submit = host.submit.bind(host);
  const truncate = disk.truncate.bind(disk);
  const submitted: number[] = [];
  host.submit = (op: HostOp) => {
    if (op.type === "flush") submitted.push(run.log.length);
    return submit(op);
  };
  disk.perform = (file, operation) => {
    const ret = perform(file, operation);
    const { type, offset, bytes, data } = operation;
    const entry = { offset, bytes, data: data === null ? null : Uint8Array.from(data) };
    // Flushes of one node do not overlap, so the oldest that was submitted is the one that ended.
    if (type === "flush")
      run.flushes.push({ at: run.log.length, covers: must(submitted.shift(), "submitted") });
    else if (type !== "read") run.log.push({ ...entry, resize: false });
    return ret;
  };
  disk.truncate = (file, size) => {
    run.log.push({ offset: size, bytes: 0, data: null, resize: true });
    return truncate(file, size);
  };
}

/** What a run is to be like. */
export interface CrashPlan {
  readonly seed: number;
  readonly image: Omit<Qcow2CreateOptions, "file" | "size">;
  readonly operations: number;
  /** Each guest has stripes of its own, this wide: narrower than clusters, so that guests meet there, or wider. */
  readonly stripe: number;
  readonly cacheBytes: number;
  /** First all write to the lower half, then that is discarded, then all write to the upper half: tables come where data was. */
  readonly recycles?: boolean;
  /** The image has a persistent bitmap. */
  readonly hasBitmap?: boolean;
}

/** Let guests work on an image of the modelled disk. */
export function recordCrashRun(plan: CrashPlan): CrashRun {
  const runs: CrashRun[] = [];
  runSimulated(plan.seed, function* (world, host): Polls<void> {
    const run = new CrashRun();
    runs.push(run);
    watch(host, run);
    const made = yield* fileOpen({ nodeName: "", path: PATH, create: true });
    yield* qcow2Create({ ...plan.image, file: made, size: DISK_BYTES });
    yield* bdrvUnref(made);
    const file = yield* fileOpen({ nodeName: "", path: PATH });
    const { cacheBytes } = plan;
    const caches = { l2CacheBytes: cacheBytes, refcountCacheBytes: cacheBytes };
    const bs = yield* qcow2Open({ nodeName: "", file, ...caches });
    if (plan.hasBitmap === true) yield* addBitmap(bs);
    const blk = yield* blkNewWithBs(bs);
    run.start = run.log.length;
    for (const range of plan.recycles === true ? HALVES : [WHOLE]) {
      for (let guest = 0; guest < GUESTS; guest++) {
        const prng = world.prng.fork(guest + range.from);
        world.guest(bs.aioContext, () => work(run, blk, prng, guest, plan, range));
      }
      yield* world.joinGuests();
      if (plan.recycles === true) yield* inCoroutine(() => discardAll(run, blk, range));
    }
    run.l1 = outside(() => l1Of(host.disk.files.get(PATH)));
    yield* blkUnref(blk);
    yield* bdrvUnref(bs);
  });
  // The second one is of the replay, which has no disk.
  return must(runs[0], "the run came to its end");
}

/** Bytes of the disk that guests work on. */
interface DiskRange {
  readonly from: number;
  readonly to: number;
}
const WHOLE: DiskRange = { from: 0, to: DISK_BYTES };
const HALVES: readonly DiskRange[] = [
  { from: 0, to: DISK_BYTES / 2 },
  { from: DISK_BYTES / 2, to: DISK_BYTES },
];

/** A bitmap that is stored when the image is closed; it is so once, so that the image says that it is in use. Polls. */
function* addBitmap(bs: BlockDriverState): Polls<void> {
  const bitmap = bdrvCreateDirtyBitmap(bs, BITMAP_CHUNK, "b0");
  bdrvDirtyBitmapSetPersistence(bitmap, true);
  yield* bdrvReopenSetReadOnly(bs, true);
  yield* bdrvReopenSetReadOnly(bs, false);
}

const BITMAP_CHUNK = 4096;

/** What the lower half held goes; flushed, so that its clusters are free. */
function* discardAll(run: CrashRun, blk: BlockBackend, { from, to }: DiskRange): Co<void> {
  const since = { began: run.log.length, beganAt: run.now++ };
  const never = Number.POSITIVE_INFINITY;
  const discard = {
    offset: from,
    bytes: to - from,
    value: 0,
    ...since,
    ended: never,
    endedAt: never,
  };
  run.operations.push(discard);
  assert((yield* blkCoPdiscard(blk, from, to - from)) === 0, "the discard is good");
  discard.ended = run.log.length;
  discard.endedAt = run.now++;
  const flush = { ...discard, bytes: 0, began: run.log.length, beganAt: run.now++ };
  assert((yield* blkCoFlush(blk)) === 0, "the flush is good");
  run.guestFlushes.push({ ...flush, ended: run.log.length, endedAt: run.now++ });
}

/** Where the header of an image says that its L1 table is. */
function l1Of(file: SimulatedFile | undefined): CrashRun["l1"] {
  const bytes = new Uint8Array(512);
  must(file, "the image is there").read(0, bytes);
  const { l1Offset, l1Size } = parseHeader(bytes);
  return [l1Offset, l1Offset + 8 * l1Size];
}

function* work(
  run: CrashRun,
  blk: BlockBackend,
  prng: Prng,
  guest: number,
  { operations, stripe: width, image: { clusterBytes = 65_536 } }: CrashPlan,
  range: DiskRange,
): Co<void> {
  const stripes = Math.floor((range.to - range.from) / (width * GUESTS));
  for (let i = 0; i < operations; i++) {
    const stripe = prng.chance(1, 2) ? prng.below(Math.min(10, stripes)) : prng.below(stripes);
    const inStripe = prng.chance(1, 2) ? 0 : prng.below(width - 1);
    const offset = range.from + (stripe * GUESTS + guest) * width + inStripe;
    const room = width - inStripe;
    const bytes = prng.chance(1, 2) ? room : 1 + prng.below(room);
    const kind = prng.below(10);
    const value = kind < 6 ? 1 + prng.below(255) : 0;
    const operation = {
      offset,
      bytes,
      value,
      began: run.log.length,
      ended: Number.POSITIVE_INFINITY,
      beganAt: run.now++,
      endedAt: Number.POSITIVE_INFINITY,
    };
    if (kind === 9) {
      const flush = { ...operation };
      assert((yield* blkCoFlush(blk)) === 0, "the flush is good");
      flush.ended = run.log.length;
      flush.endedAt = run.now++;
      run.guestFlushes.push(flush);
      continue;
    }
    if (kind === 8) {
      // Of a discard, only whole clusters count.
      operation.offset = Math.ceil(offset / clusterBytes) * clusterBytes;
      const end = offset + bytes;
      operation.bytes = Math.max(0, end - (end % clusterBytes) - operation.offset);
    }
    run.operations.push(operation);
    assert(
      (yield* change(blk, { ...operation, offset, bytes }, kind)) === 0,
      "the operation is good",
    );
    operation.ended = run.log.length;
    operation.endedAt = run.now++;
  }
}

function* change(blk: BlockBackend, operation: GuestOperation, kind: number): Co<number> {
  const { offset, bytes, value } = operation;
  if (kind < 6) {
    const buffer = bufferWith(new Uint8Array(bytes).fill(value));
    return yield* blkCoPwritev(blk, offset, bytes, { buffer, start: 0 });
  }
  const flags = kind === 6 ? BDRV_REQ_MAY_UNMAP : 0;
  if (kind < 8) return yield* blkCoPwriteZeroes(blk, offset, bytes, flags);
  return yield* blkCoPdiscard(blk, offset, bytes);
}

/** What is found in an image that was cut off. */
export interface Aftermath {
  readonly check: Qcow2CheckResult;
  readonly contents: Uint8Array;
  /** The bitmap, if the image has one that can be used. */
  readonly bitmap: HBitmap | null;
}

/** Open the image in `file`, as the next one who comes does, check it, and read it. */
export function openAfterCrash(file: SimulatedFile): Aftermath {
  let aftermath: Aftermath | null = null;
  runSimulated(1, function* (_world, host): Polls<void> {
    host.disk.files.set(PATH, file);
    const node = yield* fileOpen({ nodeName: "", path: PATH });
    const bs = yield* qcow2Open({ nodeName: "", file: node });
    const check = yield* runInCoroutine(bs.aioContext, () => checkRefcounts(bs), 0 as never);
    assert(typeof check !== "number", "the image can be checked");
    const blk = yield* blkNewWithBs(bs);
    const buffer = hostAllocate(DISK_BYTES);
    const ret = yield* inCoroutine(() => blkCoPreadv(blk, 0, DISK_BYTES, { buffer, start: 0 }));
    assert(ret === 0, "the image can be read");
    const found = bs.dirtyBitmaps[0];
    const bitmap = found === undefined || found.inconsistent ? null : found.bitmap.copy();
    const contents = outside(() => must(buffer.data, "simulated memory has contents"));
    aftermath = { check, contents, bitmap };
    yield* blkUnref(blk);
    yield* bdrvUnref(bs);
  });
  return must(aftermath as Aftermath | null, "the run came to its end");
}

/** What is wrong with the image after a cut at entry `cut`; "" when nothing is. */
export function problemAfter(run: CrashRun, cut: number, prng: Prng): string {
  const { check, contents, bitmap } = openAfterCrash(run.imageAfter(cut, prng));
  if (check.corruptions.length > 0) return `cut at ${cut}: ${check.corruptions.join("; ")}`;
  const may = run.expectation(cut);
  for (let at = 0; at < contents.length; at++) {
    const value = contents[at] ?? 0;
    if (!may(at, value)) return `cut at ${cut}: byte ${at} is ${value}`;
  }
  const missing =
    bitmap === null
      ? undefined
      : run.operations.find(({ offset, bytes }) => {
          const clean = bytes === 0 ? -1 : bitmap.nextZero(offset, offset + bytes);
          return clean >= 0;
        });
  return missing === undefined ? "" : `cut at ${cut}: the bitmap misses byte ${missing.offset}`;
}

/** As problemAfter, for a run that is wrong on purpose: that the image cannot even be used is a problem as well. */
export function problemOrRefusal(run: CrashRun, cut: number, prng: Prng): string {
  try {
    return problemAfter(run, cut, prng);
  } catch (error) {
    return error instanceof Error ? `cut at ${cut}: ${error.message}` : String(error);
  }
}
