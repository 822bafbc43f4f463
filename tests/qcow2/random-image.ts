// Random work on an image of random geometry, beside a shadow of what the disk must hold.
//
// A round is some guests that write, zero and read at once, each its own bytes, which are in everybody's clusters; then one
// operation for all: discard, flush, resize, or closing and opening. At the end the shadow is what must be read.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type BlockBackend,
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkCoTruncate,
  blkNewWithBs,
  blkUnref,
} from "#core/backend";
import { ENOTSUP, type Prng } from "#core/base";
import { fileOpen, qcow2Create, qcow2Open, rawOpen } from "#core/drivers";
import {
  BDRV_REQ_MAY_UNMAP,
  BDRV_REQ_WRITE_COMPRESSED,
  type BlockDriverState,
  bdrvUnref,
} from "#core/graph";
import {
  aioCoEnter,
  aioPoll,
  type Co,
  hostAllocate,
  machine,
  type Polls,
  qemuCoroutineCreate,
} from "#core/sched";
import { bufferWith, inCoroutine, qemu } from "./test-support.ts";

/** What an image is like. */
export interface Geometry {
  readonly version: 2 | 3;
  readonly clusterBytes: number;
  readonly refcountBits: number;
  readonly size: number;
  readonly lazyRefcounts: boolean;
  readonly extendedL2: boolean;
  readonly backing: "none" | "raw" | "qcow2";
  readonly dataFile: "none" | "plain" | "raw";
  readonly cacheBytes: number;
}

/** A geometry that may be. */
export function drawGeometry(prng: Prng): Geometry {
  const version = prng.chance(1, 4) ? 2 : 3;
  const isV3 = version === 3;
  const extendedL2 = isV3 && prng.chance(1, 3);
  const clusterBits = extendedL2 ? 14 + prng.below(4) : 9 + prng.below(9);
  const dataFile = isV3 && prng.chance(1, 4) ? (prng.chance(1, 2) ? "raw" : "plain") : "none";
  const backing =
    dataFile === "raw" || prng.chance(1, 2) ? "none" : prng.chance(1, 2) ? "raw" : "qcow2";
  const clusters = 40 + prng.below(200);
  const size = Math.min(clusters * 2 ** clusterBits, 8 << 20) - 512 * prng.below(3);
  return {
    version,
    clusterBytes: 2 ** clusterBits,
    refcountBits: isV3 ? 2 ** prng.below(7) : 16,
    size: size - (size % 512),
    lazyRefcounts: isV3 && prng.chance(1, 4),
    extendedL2,
    backing,
    dataFile,
    cacheBytes: prng.chance(1, 2) ? 1 : 1 << 20,
  };
}

const WORKERS = 4;
/** Bytes of one guest in a row; no multiple of anything. */
const OWN_BYTES = 1777;

/** An image under work. */
export class RandomImage {
  readonly folder: string;
  readonly geometry: Geometry;
  readonly prng: Prng;
  /** What the disk holds. */
  shadow: Uint8Array;
  blk: BlockBackend | null = null;
  #bs: BlockDriverState | null = null;

  constructor(folder: string, geometry: Geometry, prng: Prng) {
    this.folder = folder;
    this.geometry = geometry;
    this.prng = prng;
    this.shadow = new Uint8Array(geometry.size);
  }

  get path(): string {
    return join(this.folder, "image.qcow2");
  }

  /** Make the backing file, if any, and the image. Polls. */
  *makeImage(): Polls<void> {
    const { geometry, folder, prng } = this;
    const { backing, dataFile } = geometry;
    const name = backing === "none" ? "" : `base.${backing}`;
    if (backing !== "none") {
      const length = Math.max(512, geometry.size - 512 * prng.below(200));
      const contents = Buffer.alloc(length, "backing file ");
      contents.subarray(1000, length / 2).fill(0);
      writeFileSync(join(folder, "base.raw"), contents);
      if (backing === "qcow2")
        qemu(
          "qemu-img",
          "convert",
          "-f",
          "raw",
          "-O",
          "qcow2",
          join(folder, "base.raw"),
          join(folder, name),
        );
      this.shadow.set(contents.subarray(0, geometry.size));
    }
    const file = yield* fileOpen({ nodeName: "", path: this.path, create: true });
    const dataPath = join(folder, "image.data");
    const data =
      dataFile === "none" ? null : yield* fileOpen({ nodeName: "", path: dataPath, create: true });
    const { dataFile: kind, backing: _backing, ...rest } = geometry;
    yield* qcow2Create({
      ...rest,
      file,
      backingFile: name,
      backingFormat: backing === "none" ? "" : backing,
      dataFileRaw: kind === "raw",
      ...(data === null ? {} : { dataFile: data, dataFileName: dataPath }),
    });
    yield* bdrvUnref(file);
    if (data !== null) yield* bdrvUnref(data);
  }

  /** Open the image with what belongs to it. Polls. */
  *openImageAgain(): Polls<void> {
    const { geometry, folder } = this;
    const file = yield* fileOpen({ nodeName: "", path: this.path });
    const parts: { dataFile?: BlockDriverState; backing?: BlockDriverState } = {};
    if (geometry.dataFile !== "none")
      parts.dataFile = yield* fileOpen({ nodeName: "", path: join(folder, "image.data") });
    if (geometry.backing !== "none") {
      const path = join(folder, `base.${geometry.backing}`);
      const base = yield* fileOpen({ nodeName: "", path, readOnly: true });
      parts.backing =
        geometry.backing === "raw"
          ? yield* rawOpen("", base, true)
          : yield* qcow2Open({ nodeName: "", file: base, readOnly: true });
    }
    const { cacheBytes } = geometry;
    const caches = { l2CacheBytes: cacheBytes, refcountCacheBytes: cacheBytes };
    this.#bs = yield* qcow2Open({ nodeName: "", file, ...parts, ...caches });
    this.blk = yield* blkNewWithBs(this.#bs);
  }

  /** Polls. */
  *closeImage(): Polls<void> {
    if (this.blk !== null) yield* blkUnref(this.blk);
    yield* bdrvUnref(this.#bs);
    this.blk = null;
    this.#bs = null;
  }

  /** Some guests at once, then one operation for all. Polls. */
  *workRound(): Polls<void> {
    let left = WORKERS;
    const image = this;
    for (let worker = 0; worker < WORKERS; worker++) {
      const prng = this.prng.fork(worker);
      const co = qemuCoroutineCreate(function* (): Co<void> {
        for (let i = 0; i < 6; i++) yield* image.#guestOperation(prng, worker);
        left--;
      });
      aioCoEnter(machine.mainContext, co);
    }
    while (left > 0) yield* aioPoll(machine.mainContext, true);
    yield* this.#operationForAll();
  }

  /** A piece of what belongs to a guest, or to any when `worker` is null. */
  #drawRange(prng: Prng, worker: number): { offset: number; bytes: number } {
    const pieces = Math.ceil(this.shadow.length / (OWN_BYTES * WORKERS));
    const start = (prng.below(pieces) * WORKERS + worker) * OWN_BYTES;
    const end = Math.min(start + OWN_BYTES, this.shadow.length);
    if (start >= end) return { offset: 0, bytes: 0 };
    const offset = start + (prng.chance(1, 2) ? 0 : prng.below(end - start));
    const bytes = prng.chance(1, 2) ? end - offset : 1 + prng.below(end - offset);
    return { offset, bytes };
  }

  *#guestOperation(prng: Prng, worker: number): Co<void> {
    const { offset, bytes } = this.#drawRange(prng, worker);
    if (bytes === 0) return;
    const kind = prng.below(10);
    if (kind < 5) yield* this.#write(offset, bytes, 1 + prng.below(255));
    else if (kind < 7) yield* this.#zero(offset, bytes, prng.chance(1, 2));
    else yield* this.#check(offset, bytes);
  }

  *#write(offset: number, bytes: number, value: number): Co<void> {
    const buffer = bufferWith(new Uint8Array(bytes).fill(value));
    this.#expect(yield* blkCoPwritev(this.#blk, offset, bytes, { buffer, start: 0 }), "write");
    this.shadow.fill(value, offset, offset + bytes);
  }

  *#zero(offset: number, bytes: number, unmap: boolean): Co<void> {
    const flags = unmap ? BDRV_REQ_MAY_UNMAP : 0;
    this.#expect(yield* blkCoPwriteZeroes(this.#blk, offset, bytes, flags), "write zeroes");
    this.shadow.fill(0, offset, offset + bytes);
  }

  *#check(offset: number, bytes: number): Co<void> {
    const buffer = hostAllocate(bytes);
    this.#expect(yield* blkCoPreadv(this.#blk, offset, bytes, { buffer, start: 0 }), "read");
    const was = this.shadow.subarray(offset, offset + bytes);
    if (Buffer.compare(buffer.data ?? new Uint8Array(), was) === 0) return;
    const at = was.findIndex((byte, index) => byte !== buffer.data?.[index]);
    throw new Error(`byte ${offset + at} is ${buffer.data?.[at]}, but ${was[at]} was written`);
  }

  *#operationForAll(): Polls<void> {
    const { prng, shadow } = this;
    const kind = prng.below(12);
    if (kind < 4) {
      const offset = prng.below(shadow.length);
      yield* inCoroutine(() => this.#discard(offset, 1 + prng.below(shadow.length - offset)));
    } else if (kind < 6) {
      const offset = prng.below(shadow.length);
      const bytes = 1 + prng.below(Math.min(1 << 20, shadow.length - offset));
      const value = prng.below(255);
      yield* inCoroutine(() =>
        prng.chance(1, 2) ? this.#write(offset, bytes, value) : this.#zero(offset, bytes, true),
      );
    } else if (kind < 7 && this.geometry.dataFile === "none") {
      yield* inCoroutine(() => this.#compress(prng.below(shadow.length), prng.below(64)));
    } else if (kind < 8) {
      this.#expect(yield* inCoroutine(() => blkCoFlush(this.#blk)), "flush");
    } else if (kind < 9) {
      yield* this.#resize();
    } else {
      yield* this.closeImage();
      yield* this.openImageAgain();
    }
    yield* inCoroutine(() => this.#check(0, this.shadow.length));
  }

  /** Whole clusters read as zeroes afterwards; parts of clusters are left alone. */
  *#discard(offset: number, bytes: number): Co<void> {
    const { clusterBytes, version, backing } = this.geometry;
    const ret = yield* blkCoPdiscard(this.#blk, offset, bytes);
    this.#expect(ret === -ENOTSUP ? 0 : ret, "discard");
    if (version < 3 && backing !== "none") return;
    const end = offset + bytes;
    const last = end === this.shadow.length ? end : end - (end % clusterBytes);
    const first = Math.ceil(offset / clusterBytes) * clusterBytes;
    if (first < last) this.shadow.fill(0, first, last);
  }

  /** Whole clusters are written compressed: half of them with what can be. */
  *#compress(from: number, few: number): Co<void> {
    const { clusterBytes } = this.geometry;
    const offset = from - (from % clusterBytes);
    const bytes = Math.min(this.shadow.length - offset, (1 + few) * clusterBytes, 1 << 20);
    const whole = offset + bytes === this.shadow.length ? bytes : bytes - (bytes % clusterBytes);
    const data = new Uint8Array(whole).fill(1 + this.prng.below(255));
    for (let at = 0; at < whole; at++)
      if (at % (2 * clusterBytes) < clusterBytes || at % 5 === 0) data[at] = this.prng.below(256);
    const qiov = { buffer: bufferWith(data), start: 0 };
    const flags = BDRV_REQ_WRITE_COMPRESSED;
    this.#expect(yield* blkCoPwritev(this.#blk, offset, whole, qiov, flags), "compressed write");
    this.shadow.set(data, offset);
  }

  *#resize(): Polls<void> {
    const { prng, shadow } = this;
    const size = 512 * (1 + prng.below(Math.floor((2 * shadow.length) / 512)));
    this.#expect(yield* inCoroutine(() => blkCoTruncate(this.#blk, size)), "resize");
    const longer = new Uint8Array(size);
    longer.set(shadow.subarray(0, size));
    this.shadow = longer;
  }

  get #blk(): BlockBackend {
    if (this.blk === null) throw new Error("the image is open");
    return this.blk;
  }

  #expect(ret: number, what: string): void {
    if (ret < 0) throw new Error(`${what} returned ${ret}`);
  }
}
