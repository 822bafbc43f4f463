import { describe, expect, it } from "vitest";
import { SimulatedHost } from "#explorer";
import { blkCoPdiscard, blkTruncate } from "../backend/index.ts";
import { BDRV_BLOCK_DATA, BDRV_BLOCK_ZERO, type BlockDriverState } from "../graph/index.ts";
import { bdrvBlockStatus, bdrvGetAllocatedFileSize, bdrvIsAllocated } from "../io/index.ts";
import type { HostOp, Polls } from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import { rawOpen } from "./raw.ts";
import { inMain, runDisk, textDisk } from "./test-support.ts";

/** Counts the questions. */
class Counting extends SimulatedHost {
  questions = 0;
  override submit(op: HostOp): number | null {
    if (op.type === "block_status") this.questions++;
    return super.submit(op);
  }
}

/** `data 4096, hole 8192`: the whole node, run by run, as the block layer tells it. */
function* map(bs: BlockDriverState): Polls<string> {
  const runs: string[] = [];
  for (let at = 0; at < bs.totalBytes; ) {
    const { ret, pnum, map: to } = yield* bdrvBlockStatus(bs, at, bs.totalBytes - at);
    expect(to).toBe(at);
    const kind = ret & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO);
    runs.push(
      `${kind === BDRV_BLOCK_DATA ? "data" : kind === BDRV_BLOCK_ZERO ? "hole" : kind} ${pnum}`,
    );
    at += pnum;
  }
  return runs.join(", ");
}

const DISK = { create: true, nodeName: "f", path: "/a.img" };

describe("the block status of a file", () => {
  it("has the holes that the host knows of, up to the end of the last sector", () => {
    runDisk(
      function* (): Polls<void> {
        const bs = yield* fileOpen(DISK);
        const { blk, writeText } = yield* textDisk(bs);
        yield* writeText(8192, "x");
        yield* writeText(20_479, "yz");
        yield* blkTruncate(blk, 30_000);
        expect(yield* map(bs)).toBe("hole 8192, data 4096, hole 4096, data 8192, hole 5632");
        yield* blkTruncate(blk, 20_481);
        expect(yield* map(bs)).toBe("hole 8192, data 4096, hole 4096, data 4097, hole 511");
        const raw = yield* rawOpen("raw", bs);
        expect(yield* map(raw)).toBe("hole 8192, data 4096, hole 4096, data 4097, hole 511");
        expect(bdrvGetAllocatedFileSize(raw)).toBe(12_288);
      },
      new SimulatedHost({ seed: 1 }),
    );
  });

  it("comes in blocks of the disk, data where there is some", () => {
    const host = new SimulatedHost({ seed: 1, disk: { alignment: 8192 } });
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen(DISK);
      const { blk } = yield* textDisk(bs);
      yield* blkTruncate(blk, 65_536);
      // Somebody else has smaller blocks.
      host.disk.files.get("/a.img")?.write(12_288, new Uint8Array(4096));
      expect(yield* map(bs)).toBe("hole 8192, data 8192, hole 49152");
    }, host);
  });

  it("of data is asked for once, as far as it goes, and again after a discard", () => {
    const host = new Counting({ seed: 1 });
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen(DISK);
      const { blk, writeText } = yield* textDisk(bs);
      yield* writeText(0, "x".repeat(65_536));
      for (let at = 0; at < 65_536; at += 4096) yield* bdrvBlockStatus(bs, at, 512);
      expect(host.questions).toBe(1);
      yield* writeText(4096, "y");
      expect(yield* map(bs)).toBe("data 65536");
      expect(host.questions).toBe(1);
      yield* inMain(blkCoPdiscard(blk, 4096, 4096));
      expect(yield* map(bs)).toBe("data 4096, hole 4096, data 57344");
      // Who does not look for zeroes gets no question asked.
      const before = host.questions;
      expect((yield* bdrvIsAllocated(bs, 4096, 4096)).pnum).toBe(4096);
      expect(host.questions).toBe(before);
    }, host);
  });

  it("is cut where an answer could not say more", () => {
    const host = new Counting({ seed: 1 });
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen(DISK);
      const { blk } = yield* textDisk(bs);
      yield* blkTruncate(blk, 2 ** 32);
      const most = 2 ** 30 - 65_536;
      expect(yield* map(bs)).toBe([...Array(4).fill(`hole ${most}`), "hole 262144"].join(", "));
    }, host);
  });

  it("is data all over where the host does not know, which is asked once, or cannot say now", () => {
    const host = new Counting({ seed: 1, disk: { holes: false } });
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen(DISK);
      const { blk } = yield* textDisk(bs);
      yield* blkTruncate(blk, 65_536);
      expect(yield* map(bs)).toBe("data 65536");
      yield* inMain(blkCoPdiscard(blk, 0, 4096));
      expect(yield* map(bs)).toBe("data 65536");
      expect(host.questions).toBe(1);
    }, host);
    const faults = [{ path: "a.img", types: ["block_status"] as const }];
    runDisk(
      function* (): Polls<void> {
        const bs = yield* fileOpen(DISK);
        const { blk } = yield* textDisk(bs);
        yield* blkTruncate(blk, 65_536);
        expect(yield* map(bs)).toBe("data 65536");
      },
      new SimulatedHost({ seed: 1, disk: { faults } }),
    );
  });
});
