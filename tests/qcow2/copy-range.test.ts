// Copies without a buffer, on real files: what they leave is what QEMU's programs read, and the image is clean; on the modelled
// disk: errors go to the copy that they are of, who writes meanwhile is waited for, and a recording replays.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  type BlockBackend,
  blkCoCopyRange,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkNewWithBs,
  blkUnref,
} from "#core/backend";
import { assert, EIO, ENOTSUP, must, Prng } from "#core/base";
import {
  bdrvOpenPath,
  blkdebugOpen,
  fileOpen,
  qcow2Create,
  qcow2Open,
  rawOpen,
} from "#core/drivers";
import { type BlockDriverState, bdrvUnref } from "#core/graph";
import { type Co, hostAllocate, type Polls } from "#core/sched";
import type { DiskFault, Scenario, World } from "#explorer";
import { recordLive } from "../record-replay/live-recording.ts";
import { roundTrip, roundTripOf } from "../record-replay/round-trip.ts";
import { outside } from "../record-replay/sound-run.ts";
import { runSimulated } from "./simulated.ts";
import {
  bufferWith,
  inCoroutine,
  NO_QEMU,
  qemu,
  qemuCheck,
  runOnFiles,
  scratchFolder,
} from "./test-support.ts";

const KIB = 1024;
const SIZE = 2 * KIB * KIB;

function* copy(
  from: BlockBackend,
  at: number,
  to: BlockBackend,
  where: number,
  bytes: number,
): Polls<number> {
  return yield* inCoroutine(() => blkCoCopyRange(from, at, to, where, bytes));
}

function* contentsOf(blk: BlockBackend, bytes = SIZE): Polls<Uint8Array> {
  const buffer = hostAllocate(bytes);
  const ret = yield* inCoroutine(() => blkCoPreadv(blk, 0, bytes, { buffer, start: 0 }));
  assert(ret === 0, "the image is read");
  return outside(() => Uint8Array.from(must(buffer.data, "it is there")));
}

function* write(blk: BlockBackend, at: number, bytes: number, value: number): Polls<number> {
  const qiov = { buffer: bufferWith(new Uint8Array(bytes).fill(value)), start: 0 };
  return yield* inCoroutine(() => blkCoPwritev(blk, at, bytes, qiov));
}

type Both<T> = readonly [T, T];

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (Buffer.compare(a, b) === 0) return -1;
  return a.findIndex((byte, index) => byte !== b[index]);
}

/** Write, zero or copy something, in the disks and in what they should be. */
function* randomStep(prng: Prng, disks: Both<BlockBackend>, models: Both<Uint8Array>): Polls<void> {
  const [a, b] = [prng.below(2), prng.below(2)] as [0 | 1, 0 | 1];
  const bytes = 1 + prng.below(prng.chance(1, 3) ? 200_000 : 5000);
  const [at, where] = [prng.below(SIZE - bytes), prng.below(SIZE - bytes)];
  const into = models[b].subarray(where, where + bytes);
  if (prng.chance(1, 3)) {
    const value = prng.chance(1, 2) ? 0 : 1 + prng.below(250);
    const ret =
      value === 0
        ? yield* inCoroutine(() => blkCoPwriteZeroes(disks[b], where, bytes, 0))
        : yield* write(disks[b], where, bytes, value);
    expect(ret).toBe(0);
    into.fill(value);
  } else if (a !== b || Math.abs(at - where) >= bytes) {
    expect(yield* copy(disks[a], at, disks[b], where, bytes)).toBe(0);
    into.set(models[a].subarray(at, at + bytes));
  }
}

describe.skipIf(NO_QEMU !== "")(`a copy between images on files${NO_QEMU}`, () => {
  const folder = scratchFolder();
  afterAll(() => folder.remove());
  let images = 0;
  const made = (...options: string[]): string => {
    const path = join(folder.path, `image${++images}`);
    qemu("qemu-img", "create", "-q", "-f", "qcow2", ...options, path, "2M");
    return path;
  };
  const io = (path: string, ...commands: string[]): string =>
    qemu("qemu-io", "-f", "qcow2", ...commands.flatMap((one) => ["-c", one]), path);

  function* withPath(path: string, body: (blk: BlockBackend) => Polls<void>): Polls<void> {
    const bs = yield* bdrvOpenPath({ path, format: "qcow2" });
    const blk = yield* blkNewWithBs(bs);
    yield* body(blk);
    yield* closeAll({ bs, blk });
  }

  function* withBoth(
    [source, target]: readonly [string, string],
    body: (from: BlockBackend, to: BlockBackend) => Polls<void>,
  ): Polls<void> {
    yield* withPath(source, (from) => withPath(target, (to) => body(from, to)));
  }

  it("has data where there was data, and zeroes for holes, zero clusters and what nobody wrote", async () => {
    const base = made();
    io(base, "write -P 1 0 1M");
    qemu("qemu-img", "resize", "-q", "--shrink", base, "1M");
    const source = made("-b", base, "-F", "qcow2");
    io(
      source,
      "write -P 2 64k 100k",
      "write -z 256k 64k",
      "write -z -u 512k 64k",
      "write -P 3 1536k 64k",
    );
    const target = made();
    io(target, "write -P 9 0 2M");
    await runOnFiles(function* (): Polls<void> {
      yield* withBoth([source, target], function* (from, to): Polls<void> {
        expect(yield* copy(from, 0, to, 0, SIZE)).toBe(0);
      });
    });
    expect(qemuCheck(target)).toBe("");
    expect(qemu("qemu-img", "compare", source, target)).toContain("Images are identical.");
    // Zeroes were not written: above what the backing file has, the clusters say so.
    const map: { start: number; length: number; zero: boolean }[] = JSON.parse(
      qemu("qemu-img", "map", "--output=json", target),
    );
    const zero = map.filter((one) => one.zero).map(({ start, length }) => [start, length]);
    expect(zero).toEqual([
      [256 * KIB, 64 * KIB],
      [512 * KIB, 64 * KIB],
      [1024 * KIB, 512 * KIB],
      [1600 * KIB, 448 * KIB],
    ]);
  });

  it("cannot be of compressed clusters: then the caller reads and writes", async () => {
    const source = made();
    io(source, "write -P 1 0 64k", "write -c -P 2 64k 64k");
    const target = made();
    await runOnFiles(function* (): Polls<void> {
      yield* withBoth([source, target], function* (from, to): Polls<void> {
        expect(yield* copy(from, 64 * KIB, to, 0, 64 * KIB)).toBe(-ENOTSUP);
        expect(yield* copy(from, 0, to, 0, 128 * KIB)).toBe(-ENOTSUP);
        expect(yield* copy(from, 0, to, 0, 64 * KIB)).toBe(0);
      });
    });
    expect(qemuCheck(target)).toBe("");
    expect(io(target, "read -P 1 0 64k", "read -P 0 64k 64k")).not.toContain("failed");
  });

  it.each<[string, string[]]>([
    ["clusters of 64 KiB", []],
    ["clusters of 512 bytes", ["-o", "cluster_size=512"]],
    ["subclusters", ["-o", "extended_l2=on,cluster_size=64k"]],
    ["an external data file", ["-o", "data_file="]],
    ["version 2", ["-o", "compat=0.10"]],
  ])("at random, to parts of clusters and within an image: %s", async (name, options) => {
    const own = options.map((one) =>
      one === "data_file=" ? `data_file=${join(folder.path, `data${images}`)}` : one,
    );
    const base = made();
    io(base, "write -P 1 100k 900k");
    const backed = name === "an external data file" ? [] : ["-b", base, "-F", "qcow2"];
    const [source, target] = [made("-b", base, "-F", "qcow2"), made(...own, ...backed)];
    const seed = images;
    const models: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)];
    await runOnFiles(function* (): Polls<void> {
      yield* withBoth([source, target], function* (from, to): Polls<void> {
        const prng = new Prng(seed);
        const disks = [from, to] as const;
        models[0] = Uint8Array.from(yield* contentsOf(from));
        models[1] = Uint8Array.from(yield* contentsOf(to));
        for (let i = 0; i < 60; i++) {
          yield* randomStep(prng, disks, models);
          const wrong = [-1, -1];
          for (const side of [0, 1] as const)
            wrong[side] = firstDifference(yield* contentsOf(disks[side]), models[side]);
          expect([i, ...wrong]).toEqual([i, -1, -1]);
        }
      });
    });
    for (const [side, path] of [source, target].entries()) {
      expect(qemuCheck(path)).toBe("");
      writeFileSync(`${path}.raw`, must(models[side], "there are two"));
      const same = qemu("qemu-img", "compare", "-f", "qcow2", "-F", "raw", path, `${path}.raw`);
      expect(same).toContain("Images are identical.");
    }
  });
});

/** An image of 1 MiB on the modelled disk, with clusters of 4 KiB. */
function* modelled(
  path: string,
  backing: BlockDriverState | null = null,
): Polls<{ readonly bs: BlockDriverState; readonly blk: BlockBackend }> {
  const file = yield* fileOpen({ nodeName: "", path, create: true });
  yield* qcow2Create({ file, size: 1 << 20, clusterBytes: 4096 });
  const bs = yield* qcow2Open({ nodeName: "", file, ...(backing === null ? {} : { backing }) });
  return { bs, blk: yield* blkNewWithBs(bs) };
}

function* closeAll(
  ...disks: { readonly bs: BlockDriverState; readonly blk: BlockBackend }[]
): Polls<void> {
  for (const { bs, blk } of disks) {
    yield* blkUnref(blk);
    yield* bdrvUnref(bs);
  }
}

describe("a copy between images", () => {
  it.each<[string, DiskFault]>([
    ["the source cannot be read", { path: "source", types: ["copy_range"], errno: 121 }],
    ["the target cannot be written", { path: "target", types: ["copy_range"], errno: 121 }],
  ])("fails alone when %s, and leaves the target as it was", (_name, fault) => {
    const rets: number[] = [];
    runSimulated(
      3,
      function* (world): Polls<void> {
        const [source, target] = [yield* modelled("source"), yield* modelled("target")];
        expect(yield* write(source.blk, 0, 65_536, 7)).toBe(0);
        world.guest(source.bs.aioContext, function* (): Co<void> {
          rets[0] = yield* blkCoCopyRange(source.blk, 100, target.blk, 300, 10_000);
        });
        world.guest(source.bs.aioContext, function* (): Co<void> {
          const qiov = { buffer: bufferWith(new Uint8Array(4096).fill(5)), start: 0 };
          rets[1] = yield* blkCoPwritev(target.blk, 65_536, 4096, qiov);
        });
        yield* world.joinGuests();
        const after = yield* contentsOf(target.blk, 1 << 20);
        expect(after.subarray(0, 65_536).every((byte) => byte === 0)).toBe(true);
        expect(after[65_536]).toBe(5);
        yield* closeAll(source, target);
      },
      { faults: [fault] },
    );
    expect(rets).toEqual([-121, 0]);
  });

  it("cannot be on a disk that does not copy, and the caller may read and write then", () => {
    runSimulated(
      3,
      function* (): Polls<void> {
        const [source, target] = [yield* modelled("source"), yield* modelled("target")];
        expect(yield* write(source.blk, 0, 4096, 7)).toBe(0);
        expect(yield* copy(source.blk, 0, target.blk, 0, 4096)).toBe(-ENOTSUP);
        // What nobody has written need not be copied.
        expect(yield* copy(source.blk, 8192, target.blk, 0, 4096)).toBe(0);
        yield* closeAll(source, target);
      },
      { copies: false },
    );
  });

  it("gets the errors of its own tables from blkdebug, which lets no data through by copying", () => {
    runSimulated(5, function* (): Polls<void> {
      const source = yield* modelled("source");
      expect(yield* write(source.blk, 0, 8192, 7)).toBe(0);
      const image = yield* fileOpen({ nodeName: "", path: "target", create: true });
      const dataFile = yield* fileOpen({ nodeName: "", path: "data", create: true });
      const data = { dataFile, dataFileName: "data", dataFileRaw: false };
      yield* qcow2Create({ file: image, size: 1 << 20, clusterBytes: 4096, ...data });
      const injectError = [{ event: "l2_alloc_write", errno: EIO, once: true } as const];
      const file = yield* blkdebugOpen({ nodeName: "debug", image, injectError });
      const bs = yield* qcow2Open({ nodeName: "", file, dataFile });
      const blk = yield* blkNewWithBs(bs);
      expect(yield* copy(source.blk, 0, blk, 0, 4096)).toBe(-EIO);
      expect(yield* copy(source.blk, 0, blk, 0, 4096)).toBe(0);
      expect((yield* contentsOf(blk, 8192))[4095]).toBe(7);
      const debugged = yield* blkdebugOpen({
        nodeName: "",
        image: yield* fileOpen({ nodeName: "", path: "plain", create: true }),
      });
      const plain = yield* blkNewWithBs(debugged, { allowWriteBeyondEof: true });
      expect(yield* copy(source.blk, 0, plain, 0, 4096)).toBe(-ENOTSUP);
      yield* blkUnref(plain);
      yield* bdrvUnref(debugged);
      yield* closeAll(source, { bs, blk });
    });
  });

  it("shows all of an unaligned write or nothing, which changes blocks of the target meanwhile", () => {
    for (let seed = 1; seed <= 30; seed++)
      runSimulated(
        seed,
        function* (world): Polls<void> {
          const open = function* (path: string): Polls<BlockDriverState> {
            return yield* rawOpen("", yield* fileOpen({ nodeName: "", path, create: true }));
          };
          const [one, other] = [yield* open("one"), yield* open("other")];
          const options = { allowWriteBeyondEof: true };
          const from = yield* blkNewWithBs(one, options);
          const to = yield* blkNewWithBs(other, options);
          expect(yield* write(from, 0, 8192, 1)).toBe(0);
          expect(yield* write(to, 0, 8192, 2)).toBe(0);
          // Reads a block of 512 bytes, changes one of them, and writes it back.
          world.guest(other.aioContext, function* (): Co<void> {
            const qiov = { buffer: bufferWith(Uint8Array.of(3)), start: 0 };
            assert((yield* blkCoPwritev(to, 100, 1, qiov)) === 0, "it is written");
          });
          world.guest(other.aioContext, function* (): Co<void> {
            assert((yield* blkCoCopyRange(from, 0, to, 0, 4096)) === 0, "it is copied");
          });
          yield* world.joinGuests();
          const after = yield* contentsOf(to, 4096);
          expect([1, 3]).toContain(after[100]);
          after[100] = 1;
          expect(after.every((byte) => byte === 1)).toBe(true);
          yield* closeAll({ bs: one, blk: from }, { bs: other, blk: to });
        },
        { alignment: 512 },
      );
  });
});

/** Copies within and between images, with others at work. */
const scenario: Scenario = {
  name: "copies",
  title: "Guests copy ranges while others write.",
  *main(world: World): Polls<void> {
    const base = yield* modelled(world.imagePath("base"));
    yield* blkUnref(base.blk);
    const source = yield* modelled(world.imagePath("source"), base.bs);
    const target = yield* modelled(world.imagePath("target"));
    const { aioContext } = source.bs;
    for (let guest = 0; guest < 3; guest++) {
      const prng = world.prng.fork(guest);
      world.guest(aioContext, function* (): Co<void> {
        for (let i = 0; i < 12; i++) {
          const [at, bytes] = [prng.below(500_000), 1 + prng.below(20_000)];
          const qiov = { buffer: bufferWith(new Uint8Array(bytes).fill(1 + i)), start: 0 };
          const kind = prng.below(3);
          if (kind === 0) yield* blkCoPwritev(source.blk, at, bytes, qiov);
          else if (kind === 1)
            yield* blkCoCopyRange(source.blk, at, source.blk, at + 500_000, bytes);
          else yield* blkCoCopyRange(source.blk, at, target.blk, prng.below(500_000), bytes);
        }
      });
    }
    yield* world.joinGuests();
    yield* closeAll(source, target);
  },
};

describe("a recording of copies", () => {
  it("replays, of a modelled disk and of files", async () => {
    for (const seed of [1, 2, 3])
      expect(roundTrip(scenario, { seed })).toMatchObject({ problem: "", outcome: "ok" });
    const { outcome, bytes } = await recordLive(scenario, { seed: 4 });
    expect(outcome).toBe("ok");
    expect(roundTripOf(scenario, bytes)).toMatchObject({ problem: "" });
  });
});
