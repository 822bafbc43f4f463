// A disk that fails: the request that it fails gets the error, nobody else does, and the image stays whole.

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
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
import { EIO, ENOSPC, must, type Prng } from "#core/base";
import { fileOpen, qcow2Create, qcow2Open } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import { type Co, hostAllocate, type Polls } from "#core/sched";
import type { DiskFault, SimulatedFile, SimulatedHost } from "#explorer";
import { outside } from "../record-replay/sound-run.ts";
import { openAfterCrash } from "./crash.ts";
import { runSimulated } from "./simulated.ts";
import {
  bufferWith,
  inCoroutine,
  NO_QEMU,
  qemu,
  qemuCheck,
  runOnFiles,
  scratchFolder,
  withImage,
} from "./test-support.ts";

const PATH = "images/image";
const DISK_BYTES = 1 << 20;
const PIECE = 1000;
const PIECES = Math.floor(DISK_BYTES / PIECE);

/** What may be in each piece of the disk: what was acknowledged last, and what failed since. */
type Expected = Set<number>[];

/** Guests write, zero and discard, each pieces of its own; what fails may have happened or not. */
function* work(
  blk: BlockBackend,
  prng: Prng,
  guest: number,
  expected: Expected,
  failures: number[],
): Co<void> {
  for (let i = 0; i < 60; i++) {
    const piece = prng.below(Math.floor(PIECES / 3)) * 3 + guest;
    const kind = prng.below(9);
    const value = kind < 6 ? 1 + prng.below(255) : 0;
    const offset = piece * PIECE;
    let ret = 0;
    if (kind < 6) {
      const qiov = { buffer: bufferWith(new Uint8Array(PIECE).fill(value)), start: 0 };
      ret = yield* blkCoPwritev(blk, offset, PIECE, qiov);
    } else if (kind === 6) ret = yield* blkCoPwriteZeroes(blk, offset, PIECE, 0);
    else if (kind === 7) ret = yield* blkCoFlush(blk);
    else ret = yield* blkCoPreadv(blk, offset, PIECE, { buffer: hostAllocate(PIECE), start: 0 });
    if (ret < 0) failures.push(ret);
    if (kind > 6) continue;
    const before = ret < 0 ? [...must(expected[piece], "a piece")] : [];
    expected[piece] = new Set([...before, value]);
  }
}

/** Run guests on an image while the disk fails; the image as it is when all is over, and what must be in it. */
function runOnFailingDisk(
  seed: number,
  faults: readonly DiskFault[],
  spaceBytes?: number,
): { file: SimulatedFile; expected: Expected; failures: number[] } {
  let expected: Expected = [];
  let failures: number[] = [];
  let file: SimulatedFile | undefined;
  const space = spaceBytes === undefined ? {} : { spaceBytes };
  runSimulated(
    seed,
    function* (world, host): Polls<void> {
      expected = Array.from({ length: PIECES }, () => new Set([0]));
      failures = [];
      const setFailing = switchable(host);
      const made = yield* fileOpen({ nodeName: "", path: PATH, create: true });
      yield* qcow2Create({ file: made, size: DISK_BYTES, clusterBytes: 2048 });
      const bs = yield* qcow2Open({ nodeName: "", file: made, l2CacheBytes: 1 });
      const blk = yield* blkNewWithBs(bs);
      setFailing(true);
      for (let guest = 0; guest < 3; guest++) {
        const prng = world.prng.fork(guest);
        world.guest(bs.aioContext, () => work(blk, prng, guest, expected, failures));
      }
      yield* world.joinGuests();
      setFailing(false);
      expect(yield* inCoroutine(() => blkCoFlush(blk))).toBe(0);
      yield* blkUnref(blk);
      yield* bdrvUnref(bs);
      file = outside(() => host.disk.files.get(PATH));
    },
    { faults, ...space },
  );
  return { file: must(file, "the image is there"), expected, failures };
}

/** A disk that fails only while it is told to. */
function switchable({ disk }: SimulatedHost): (failing: boolean) => void {
  const faultOf = disk.faultOf.bind(disk);
  let isFailing = false;
  disk.faultOf = (file, operation) => (isFailing ? faultOf(file, operation) : 0);
  return (failing) => {
    isFailing = failing;
  };
}

describe("an image on a disk that fails", () => {
  it.each<[string, DiskFault[], number | undefined, number]>([
    ["writes", [{ path: "image", types: ["write", "write_zeroes"], oneIn: 9 }], undefined, -EIO],
    ["reads", [{ path: "image", types: ["read"], oneIn: 3 }], undefined, -EIO],
    ["flushes", [{ path: "image", types: ["flush"], oneIn: 2 }], undefined, -EIO],
    ["everything", [{ path: "image", oneIn: 12 }], undefined, -EIO],
    ["space", [], 90_000, -ENOSPC],
  ])("stays whole: %s", (_name, faults, spaceBytes, errno) => {
    for (const seed of [1, 2]) {
      const { file, expected, failures } = runOnFailingDisk(seed, faults, spaceBytes);
      expect(new Set(failures)).toEqual(new Set([errno]));
      const { check, contents } = openAfterCrash(file);
      expect(check.corruptions).toEqual([]);
      const wrong = expected.findIndex((values, piece) =>
        contents.subarray(piece * PIECE, (piece + 1) * PIECE).some((byte) => !values.has(byte)),
      );
      expect(wrong).toBe(-1);
    }
  });

  it("gives the error to the requests that touch what fails, and to no others", () => {
    const returns: number[] = [];
    const faults = [{ path: "data", types: ["write" as const], offset: 8192, bytes: 512 }];
    runSimulated(
      5,
      function* (world): Polls<void> {
        const file = yield* fileOpen({ nodeName: "", path: PATH, create: true });
        const dataFile = yield* fileOpen({ nodeName: "", path: "images/data", create: true });
        const data = { dataFile, dataFileName: "data", dataFileRaw: true };
        yield* qcow2Create({ file, size: DISK_BYTES, clusterBytes: 4096, ...data });
        const bs = yield* qcow2Open({ nodeName: "", file, dataFile });
        const blk = yield* blkNewWithBs(bs);
        for (let cluster = 0; cluster < 5; cluster++)
          world.guest(bs.aioContext, function* (): Co<void> {
            const qiov = { buffer: bufferWith(new Uint8Array(4096).fill(cluster + 1)), start: 0 };
            returns[cluster] = yield* blkCoPwritev(blk, cluster * 4096, 4096, qiov);
          });
        yield* world.joinGuests();
        const buffer = hostAllocate(5 * 4096);
        yield* inCoroutine(() => blkCoPreadv(blk, 0, 5 * 4096, { buffer, start: 0 }));
        const read = outside(() => must(buffer.data, "it is there"));
        expect([0, 1, 2, 3, 4].map((cluster) => read[cluster * 4096])).toEqual([1, 2, 0, 4, 5]);
        yield* blkUnref(blk);
        yield* bdrvUnref(bs);
      },
      { faults },
    );
    expect(returns).toEqual([0, 0, -EIO, 0, 0]);
  });
});

const folder = scratchFolder();
const mount = join(folder.path, "full");

/** A file system of 2 MiB; only who may mount can have one. */
function mountTmpfs(): boolean {
  mkdirSync(mount);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", mount], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(NO_QEMU !== "")(`an image on a file system that is full${NO_QEMU}`, () => {
  const isMounted = mountTmpfs();
  afterAll(() => {
    if (isMounted) execFileSync("umount", [mount]);
    folder.remove();
  });

  it.skipIf(!isMounted)("is whole, and has what was acknowledged", async () => {
    const path = join(mount, "image.qcow2");
    qemu("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, "8M");
    const returns: number[] = [];
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (blk): Polls<void> {
        for (let piece = 0; piece < 40; piece++) {
          const data = new Uint8Array(100_000).fill(piece + 1);
          const qiov = { buffer: bufferWith(data), start: 0 };
          const write = (): Co<number> => blkCoPwritev(blk, piece * 100_000, 100_000, qiov);
          returns[piece] = yield* inCoroutine(write);
        }
        expect(yield* inCoroutine(() => blkCoFlush(blk))).toBe(0);
        // Space that is given back can be used again.
        expect(yield* inCoroutine(() => blkCoPdiscard(blk, 0, 409_600))).toBe(0);
        expect(yield* inCoroutine(() => blkCoFlush(blk))).toBe(0);
        const again = { buffer: bufferWith(new Uint8Array(100_000).fill(99)), start: 0 };
        expect(yield* inCoroutine(() => blkCoPwritev(blk, 0, 100_000, again))).toBe(0);
      });
    });
    expect(new Set(returns)).toEqual(new Set([0, -ENOSPC]));
    expect(qemuCheck(path)).toBe("");
    const kept = returns.lastIndexOf(0);
    const reads = ["read -P 99 0 100000", `read -P ${kept + 1} ${kept * 100_000} 100000`];
    const out = qemu("qemu-io", "-r", ...reads.flatMap((one) => ["-c", one]), path);
    expect(out).not.toContain("failed");
  });
});
