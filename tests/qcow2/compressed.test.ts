// Compressed writes of several clusters: up to eight are at work at once, errors go to the request, and the image is what QEMU's programs
// read.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  type BlockBackend,
  blkCoFlush,
  blkCoPreadv,
  blkCoPwritev,
  blkNewWithBs,
  blkUnref,
} from "#core/backend";
import { assert, ENOSPC, must, Prng } from "#core/base";
import { checkRefcounts, fileOpen, qcow2Create, qcow2Open } from "#core/drivers";
import { BDRV_REQ_WRITE_COMPRESSED, type BlockDriverState, bdrvUnref } from "#core/graph";
import { type Co, hostAllocate, type Polls } from "#core/sched";
import type { Scenario, World } from "#explorer";
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
  withImage,
} from "./test-support.ts";

const CLUSTER = 4096;
const CLUSTERS = 20;

interface Disk {
  readonly bs: BlockDriverState;
  readonly blk: BlockBackend;
}

/** An image of 1 MiB with small clusters. */
function* made(path: string): Polls<Disk> {
  const file = yield* fileOpen({ nodeName: "", path, create: true });
  yield* qcow2Create({ file, size: 1 << 20, clusterBytes: CLUSTER });
  const bs = yield* qcow2Open({ nodeName: "", file });
  return { bs, blk: yield* blkNewWithBs(bs) };
}

function* close({ blk, bs }: Disk): Polls<void> {
  yield* blkUnref(blk);
  yield* bdrvUnref(bs);
}

/** Each cluster with a value of its own; every fifth cannot be made smaller. */
function mixed(clusterBytes: number, bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  const prng = new Prng(1);
  for (let at = 0, index = 1; at < bytes; at += clusterBytes, index++) {
    const cluster = data.subarray(at, at + clusterBytes);
    if (index % 5 === 0) for (let i = 0; i < cluster.length; i++) cluster[i] = prng.below(256);
    else cluster.fill(index);
  }
  return data;
}

function* compress(blk: BlockBackend, at: number, data: Uint8Array): Co<number> {
  const qiov = { buffer: bufferWith(data), start: 0 };
  return yield* blkCoPwritev(blk, at, data.length, qiov, BDRV_REQ_WRITE_COMPRESSED);
}

function* contentsOf(blk: BlockBackend, bytes: number): Polls<Uint8Array> {
  const buffer = hostAllocate(bytes);
  const ret = yield* inCoroutine(() => blkCoPreadv(blk, 0, bytes, { buffer, start: 0 }));
  assert(ret === 0, "the image is read");
  return outside(() => Uint8Array.from(must(buffer.data, "it is there")));
}

describe("a compressed write of many clusters", () => {
  it("compresses eight at once", () => {
    runSimulated(1, function* (_world, host): Polls<void> {
      const disk = yield* made("image");
      let begun = 0;
      const firstWrites: number[] = [];
      const [transform, submit] = [host.transform.bind(host), host.submit.bind(host)];
      host.transform = (op) => {
        begun++;
        transform(op);
      };
      host.submit = (op) => {
        if (op.type === "write" && begun > 0) firstWrites.push(begun);
        return submit(op);
      };
      const data = mixed(CLUSTER, CLUSTERS * CLUSTER);
      expect(yield* inCoroutine(() => compress(disk.blk, 0, data))).toBe(0);
      expect(outside(() => firstWrites[0])).toBe(8);
      expect(outside(() => begun)).toBe(CLUSTERS);
      expect(yield* contentsOf(disk.blk, data.length)).toEqual(data);
      yield* close(disk);
    });
  });

  it("fails with the first error, begins no more clusters, and leaves an image that is whole", () => {
    for (let seed = 1; seed <= 8; seed++)
      runSimulated(
        seed,
        function* (_world, host): Polls<void> {
          const disk = yield* made("image");
          let begun = 0;
          const transform = host.transform.bind(host);
          host.transform = (op) => {
            begun++;
            transform(op);
          };
          const data = mixed(CLUSTER, 200 * CLUSTER);
          expect(yield* inCoroutine(() => compress(disk.blk, 0, data))).toBe(-ENOSPC);
          expect(outside(() => begun)).toBeLessThan(200);
          expect(yield* inCoroutine(() => blkCoFlush(disk.blk))).toBe(0);
          const found = yield* inCoroutine(() => checkRefcounts(disk.bs));
          expect(found).toEqual({ corruptions: [], leaks: [] });
          yield* close(disk);
        },
        {
          faults: [{ path: "image", types: ["write"], errno: ENOSPC, offset: 90_000, bytes: 4000 }],
        },
      );
  });
});

describe.skipIf(NO_QEMU !== "")(`on a file${NO_QEMU}`, () => {
  const folder = scratchFolder();
  afterAll(() => folder.remove());

  it.each<[string, number, string[]]>([
    ["zlib", 65_536, []],
    ["clusters of 512 bytes", 512, ["-o", "cluster_size=512"]],
    ["subclusters", 65_536, ["-o", "extended_l2=on"]],
    ["counts of two bits", 4096, ["-o", "refcount_bits=2,cluster_size=4k"]],
  ])("it is what QEMU reads: %s", async (_name, clusterBytes, options) => {
    const path = join(folder.path, "image");
    // The last cluster ends with the disk.
    const bytes = clusterBytes * 30 + 512 * (clusterBytes > 512 ? 1 : 0);
    qemu("qemu-img", "create", "-q", "-f", "qcow2", ...options, path, String(bytes));
    const data = mixed(clusterBytes, bytes);
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (blk): Polls<void> {
        expect(yield* inCoroutine(() => compress(blk, 0, data))).toBe(0);
      });
    });
    expect(qemuCheck(path)).toBe("");
    writeFileSync(`${path}.raw`, data);
    const same = qemu("qemu-img", "compare", "-f", "qcow2", "-F", "raw", path, `${path}.raw`);
    expect(same).toContain("Images are identical.");
    const check = JSON.parse(qemu("qemu-img", "check", "--output=json", path));
    expect(check["compressed-clusters"]).toBeGreaterThan(20);
  });
});

/** Guests compress what others read and write. */
const scenario: Scenario = {
  name: "compressed-writes",
  title: "Guests compress many clusters at once while others write.",
  *main(world: World): Polls<void> {
    const disk = yield* made(world.imagePath("image"));
    for (let guest = 0; guest < 3; guest++) {
      const prng = world.prng.fork(guest);
      world.guest(disk.bs.aioContext, function* (): Co<void> {
        for (let i = 0; i < 4; i++) {
          const at = CLUSTER * prng.below(200);
          const data = mixed(CLUSTER, CLUSTER * (1 + prng.below(30)));
          if (guest > 0) yield* compress(disk.blk, at, data);
          else yield* blkCoPwritev(disk.blk, at + 5, 9000, { buffer: bufferWith(data), start: 0 });
        }
      });
    }
    yield* world.joinGuests();
    yield* close(disk);
  },
};

describe("a recording of compressed writes", () => {
  it("replays, of a modelled disk and of files", async () => {
    for (const seed of [1, 2, 3])
      expect(roundTrip(scenario, { seed })).toMatchObject({ problem: "", outcome: "ok" });
    const { outcome, bytes } = await recordLive(scenario, { seed: 4 });
    expect(outcome).toBe("ok");
    expect(roundTripOf(scenario, bytes)).toMatchObject({ problem: "" });
  });
});
