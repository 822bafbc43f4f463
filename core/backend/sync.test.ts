// Requests of a BlockBackend from thread level: in parts of a buffer, compressed, and the state of a machine.

import { describe, expect, it } from "vitest";
import { EIO, ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { nullCoDriver, nullOpen, overlayOpen } from "../drivers/index.ts";
import { bufferOf, runDisk, textDisk, textOf } from "../drivers/test-support.ts";
import { type BlockDriver, bdrvOpenDriver } from "../graph/index.ts";
import { qiovOf } from "../io/index.ts";
import { type Co, hostAllocate, machine, type Polls } from "../sched/index.ts";
import {
  blkLoadVmstate,
  blkNew,
  blkNewWithBs,
  blkPdiscard,
  blkPread,
  blkPreadvPart,
  blkPwrite,
  blkPwriteCompressed,
  blkPwritevPart,
  blkPwriteZeroes,
  blkSaveVmstate,
} from "./index.ts";

describe("requests from thread level", () => {
  it("use a part of the buffer, and no byte that is not there", () => {
    runDisk(function* (): Polls<void> {
      const bs = yield* overlayOpen({ nodeName: "disk", size: 4096, clusterBytes: 512 });
      const { blk, readText } = yield* textDisk(bs);
      const qiov = qiovOf(bufferOf("abcdefgh"));
      expect(yield* blkPwritevPart(blk, 2, 3, { qiov, qiovOffset: 4 })).toBe(0);
      expect(yield* readText(0, 8)).toBe("..efg...");
      expect(yield* blkPwritevPart(blk, 2, 3, { qiov, qiovOffset: 6 })).toBe(-EIO);
      expect(yield* blkPwritevPart(blk, 2, 0, { qiov, qiovOffset: 9 })).toBe(-EIO);
      const into = bufferOf("--------");
      const part = { qiov: qiovOf(into), qiovOffset: 5 };
      expect(yield* blkPreadvPart(blk, 2, 2, part)).toBe(0);
      expect(textOf(into)).toBe("-----ef-");
      expect(yield* blkPwrite(blk, 0, 2, bufferOf("XYZ"))).toBe(0);
      expect(yield* blkPwriteZeroes(blk, 3, 1)).toBe(0);
      expect(yield* blkPread(blk, 0, 5, into)).toBe(0);
      expect(textOf(into)).toBe("XYe.gef-");
      expect(yield* blkPdiscard(blk, 0, 512)).toBe(0);
      expect(yield* readText(0, 5)).toBe(".....");
    });
  });

  it("are compressed by a driver that can", () => {
    runDisk(function* (): Polls<void> {
      const calls: string[] = [];
      const drv: BlockDriver = {
        formatName: "compressing",
        isFilter: false,
        *coPwritevCompressed(bs, offset, bytes): Co<number> {
          calls.push(`${bytes} at ${offset}, ${bs.inFlight > 0 ? "in flight" : "idle"}`);
          return 0;
        },
      };
      const bs = yield* bdrvOpenDriver(drv, "disk", { totalBytes: 4096 });
      const blk = yield* blkNewWithBs(bs);
      expect(yield* blkPwriteCompressed(blk, 512, 1024, hostAllocate(1024))).toBe(0);
      expect(calls).toEqual(["1024 at 512, in flight"]);
      expect(bs.writeGen).toBe(1);
      const plain = yield* nullOpen(nullCoDriver, { nodeName: "plain", size: 4096 });
      const other = yield* blkNewWithBs(plain);
      expect(yield* blkPwriteCompressed(other, 0, 512, hostAllocate(512))).toBe(-ENOTSUP);
    });
  });

  it("keep the state of a machine, flushed when there is no write cache", () => {
    runDisk(function* (): Polls<void> {
      const calls: string[] = [];
      const call = (name: string) =>
        function* (): Co<number> {
          calls.push(name);
          return 0;
        };
      const drv: BlockDriver = {
        formatName: "snapshots",
        isFilter: false,
        coSaveVmstate: call("save"),
        coLoadVmstate: call("load"),
        coFlushToOs: call("flush"),
      };
      const bs = yield* bdrvOpenDriver(drv, "disk", { totalBytes: 4096 });
      const blk = yield* blkNewWithBs(bs);
      expect(yield* blkSaveVmstate(blk, hostAllocate(100), 0, 100)).toBe(100);
      expect(yield* blkLoadVmstate(blk, hostAllocate(100), 0, 100)).toBe(100);
      blk.enableWriteCache = false;
      expect(yield* blkSaveVmstate(blk, hostAllocate(100), 0, 100)).toBe(100);
      expect(calls).toEqual(["save", "load", "save", "flush"]);
      const empty = blkNew(machine.mainContext);
      expect(yield* blkSaveVmstate(empty, hostAllocate(1), 0, 1)).toBe(-ENOMEDIUM);
      expect(yield* blkLoadVmstate(empty, hostAllocate(1), 0, 1)).toBe(-ENOMEDIUM);
    });
  });
});
