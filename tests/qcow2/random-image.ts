// Random work of our driver on an image, beside a shadow of what the disk must hold.
//
// A round is some guests that write, zero and read at once, each its own bytes, which are in everybody's clusters; then one
// operation for all: discard, flush, resize, or closing and opening. After it the shadow is what must be read.

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
import { EIO, ENOTSUP, type Prng } from "#core/base";
import { bdrvOpenPath } from "#core/drivers";
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
import { outside } from "../record-replay/sound-run.ts";
import type { Subject } from "./subject.ts";
import { bufferWith, inCoroutine } from "./test-support.ts";

const WORKERS = 4;
/** Bytes of one guest in a row; no multiple of anything. */
const OWN_BYTES = 1777;

/** An image under work. */
export class RandomImage {
  readonly subject: Subject;
  readonly prng: Prng;
  blk: BlockBackend | null = null;
  #bs: BlockDriverState | null = null;

  constructor(subject: Subject, prng: Prng) {
    this.subject = subject;
    this.prng = prng;
  }

  get shadow(): Uint8Array {
    return this.subject.shadow;
  }

  /** Open the image with what belongs to it. Polls. */
  *openImage(): Polls<BlockDriverState> {
    const { path, openOptions } = this.subject;
    this.#bs = yield* bdrvOpenPath({ ...openOptions, path, format: "qcow2" });
    this.blk = yield* blkNewWithBs(this.#bs);
    return this.#bs;
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
    const problem = outside(() => {
      if (Buffer.compare(buffer.data ?? new Uint8Array(), was) === 0) return "";
      const at = was.findIndex((byte, index) => byte !== buffer.data?.[index]);
      return `byte ${offset + at} is ${buffer.data?.[at]}, but ${was[at]} was written`;
    });
    if (problem !== "") throw new Error(problem);
  }

  /** What is read is what the disk must hold. Polls. */
  *checkAll(): Polls<void> {
    yield* inCoroutine(() => this.#check(0, this.shadow.length));
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
    } else if (kind < 7 && !this.subject.hasDataFile) {
      yield* inCoroutine(() => this.#compress(prng.below(shadow.length), prng.below(64)));
    } else if (kind < 8) {
      this.#expect(yield* inCoroutine(() => blkCoFlush(this.#blk)), "flush");
    } else if (kind < 9) {
      yield* this.#resize();
    } else {
      yield* this.closeImage();
      yield* this.openImage();
    }
    yield* inCoroutine(() => this.#check(0, this.shadow.length));
  }

  *#discard(offset: number, bytes: number): Co<void> {
    const ret = yield* blkCoPdiscard(this.#blk, offset, bytes);
    this.#expect(ret === -ENOTSUP ? 0 : ret, "discard");
    this.subject.discarded(offset, bytes);
  }

  /**
   * Whole clusters are written compressed, half of them with what can be: those that have no place since they were discarded, or a
   * single one, which fails and stays what it was if it has one.
   */
  *#compress(from: number, few: number): Co<void> {
    const { clusterBytes, version, hasBacking } = this.subject;
    const offset = from - (from % clusterBytes);
    const isFresh = (version >= 3 || !hasBacking) && this.prng.chance(2, 3);
    const clusters = isFresh ? 1 + few : 1;
    const most = Math.max(1 << 20, clusterBytes);
    const bytes = Math.min(this.shadow.length - offset, clusters * clusterBytes, most);
    const isLast = offset + bytes === this.shadow.length;
    const whole = isLast ? bytes : bytes - (bytes % clusterBytes);
    const data = new Uint8Array(whole).fill(1 + this.prng.below(255));
    for (let at = 0; at < whole; at++)
      if (at % (2 * clusterBytes) < clusterBytes || at % 5 === 0) data[at] = this.prng.below(256);
    const qiov = { buffer: bufferWith(data), start: 0 };
    if (isFresh) this.#expect(yield* blkCoPdiscard(this.#blk, offset, whole), "discard");
    const ret = yield* blkCoPwritev(this.#blk, offset, whole, qiov, BDRV_REQ_WRITE_COMPRESSED);
    if (!isFresh && ret === -EIO) return;
    this.#expect(ret, "compressed write");
    this.shadow.set(data, offset);
  }

  *#resize(): Polls<void> {
    const { prng, shadow, subject } = this;
    const size = 512 * (1 + prng.below(Math.min(2 * shadow.length, 16 << 20) / 512));
    // Version 2 has no zeroes that hide a longer backing file, and cannot change with snapshots.
    const isKept = subject.version < 3 && (subject.snapshots.size > 0 || subject.hasBacking);
    const ret = yield* inCoroutine(() => blkCoTruncate(this.#blk, size));
    if (isKept && ret === -ENOTSUP) return;
    this.#expect(ret, "resize");
    subject.resized(size);
  }

  get #blk(): BlockBackend {
    if (this.blk === null) throw new Error("the image is open");
    return this.blk;
  }

  #expect(ret: number, what: string): void {
    if (ret < 0) throw new Error(`${what} returned ${ret}`);
  }
}
