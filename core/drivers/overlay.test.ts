import { describe, expect, it } from "vitest";
import {
  blkCoPdiscard,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkGetlength,
  blkTruncate,
} from "../backend/index.ts";
import { type ByteCount, EIO } from "../base/index.ts";
import { type BlockDriverState, bdrvAppend, bdrvInsertNode } from "../graph/index.ts";
import { qiovOf } from "../io/index.ts";
import { guest, joinGuests } from "../io/test-support.ts";
import { type Co, GuestBuffer, machine, type Polls } from "../sched/index.ts";
import { TestHost } from "../sched/test-support.ts";
import { InjectErrorState, injectErrorDriver } from "./inject-error.ts";
import { nullAioDriver } from "./null-aio.ts";
import { nullOpen } from "./null-state.ts";
import { overlayOpen } from "./overlay.ts";
import { bufferOf, inMain, runDisk, type TextDisk, textDisk } from "./test-support.ts";

/** A base of 16 bytes in clusters of 4, and an overlay of 20 above it. */
function* chain(): Polls<{ base: TextDisk; top: TextDisk; baseBs: BlockDriverState }> {
  const baseBs = yield* overlayOpen({ nodeName: "base", size: 512, clusterBytes: 4 });
  const base = yield* textDisk(baseBs);
  yield* base.writeText(0, "abcdefghijklmnop");
  const topBs = yield* overlayOpen({
    nodeName: "top",
    size: 1024,
    clusterBytes: 4,
    backing: baseBs,
  });
  return { base, top: yield* textDisk(topBs), baseBs };
}

describe("an overlay", () => {
  it("shows its backing file where nothing was written, and copies the rest of a cluster", () => {
    runDisk(function* (): Polls<void> {
      const { base, top } = yield* chain();
      expect(yield* top.readText(0, 18)).toBe("abcdefghijklmnop..");
      yield* top.writeText(6, "XYZ");
      expect(yield* top.readText(0, 18)).toBe("abcdefXYZjklmnop..");
      yield* base.writeText(0, "ABCDEFGHIJKLMNOP");
      expect(yield* top.readText(0, 18)).toBe("ABCDefXYZjklMNOP..");
      expect(yield* base.readText(0, 16)).toBe("ABCDEFGHIJKLMNOP");
    });
  });

  it("hides its backing file behind zeroes, and forgets nothing beside them", () => {
    runDisk(function* (): Polls<void> {
      const { top } = yield* chain();
      expect(yield* inMain(blkCoPwriteZeroes(top.blk, 2, 8))).toBe(0);
      expect(yield* inMain(blkCoPdiscard(top.blk, 14, 1))).toBe(0);
      expect(yield* top.readText(0, 17)).toBe("ab........klmn.p.");
      yield* top.writeText(5, "5");
      expect(yield* top.readText(0, 17)).toBe("ab...5....klmn.p.");
    });
  });

  it("that is shortened and lengthened again does not show the backing file there", () => {
    runDisk(function* (): Polls<void> {
      const baseBs = yield* overlayOpen({ nodeName: "base", size: 2048, clusterBytes: 512 });
      const base = yield* textDisk(baseBs);
      yield* base.writeText(510, "base");
      yield* base.writeText(1022, "base");
      const top = yield* textDisk(
        yield* overlayOpen({ nodeName: "top", size: 2048, clusterBytes: 1024, backing: baseBs }),
      );
      yield* top.writeText(508, "t");
      expect(yield* blkTruncate(top.blk, 512)).toBe(0);
      expect(yield* blkTruncate(top.blk, 2048)).toBe(0);
      expect(yield* top.readText(508, 8)).toBe("t.ba....");
      expect(yield* top.readText(1020, 8)).toBe("........");
      expect(blkGetlength(top.blk)).toBe(2048);
    });
  });

  it("lets allocating writes to one cluster take turns", () => {
    runDisk(function* (): Polls<void> {
      // Reading this base takes a turn of the loop: without turns, all would copy before one has written.
      const backing = yield* nullOpen(nullAioDriver, { nodeName: "base", readZeroes: true });
      const bs = yield* overlayOpen({ nodeName: "top", size: 512, clusterBytes: 4, backing });
      const top = yield* textDisk(bs);
      const writer = (offset: number, text: string) =>
        guest(machine.mainContext, function* (): Co<void> {
          expect(yield* blkCoPwritev(top.blk, offset, 1, qiovOf(bufferOf(text)))).toBe(0);
        });
      yield* joinGuests(writer(0, "0"), writer(2, "2"), writer(1, "1"));
      expect(yield* top.readText(0, 5)).toBe("012..");
    });
  });

  it("fails a write that could not copy, and keeps what was there", () => {
    runDisk(function* (): Polls<void> {
      const { top, baseBs } = yield* chain();
      const state = new InjectErrorState([{ types: ["read"], once: true }]);
      yield* bdrvInsertNode(baseBs, injectErrorDriver, "bad", { opaque: state });
      expect(yield* top.writeText(1, "X")).toBe(-EIO);
      expect(yield* top.readText(0, 4)).toBe("abcd");
      expect(yield* top.writeText(0, "w")).toBe(0);
      expect(yield* top.readText(0, 4)).toBe("wbcd");
    });
  });

  it("can be put above a node that is in use", () => {
    runDisk(function* (): Polls<void> {
      const baseBs = yield* overlayOpen({ nodeName: "base", size: 512, clusterBytes: 4 });
      const disk = yield* textDisk(baseBs);
      yield* disk.writeText(0, "abcdefgh");
      const snapshot = yield* overlayOpen({ nodeName: "top", size: 512, clusterBytes: 4 });
      yield* bdrvAppend(snapshot, baseBs);
      yield* disk.writeText(2, "XX");
      expect(yield* disk.readText(0, 8)).toBe("abXXefgh");
      const below = yield* textDisk(baseBs);
      expect(yield* below.readText(0, 8)).toBe("abcdefgh");
    });
  });

  it("looks into no buffer: a run on poisoned memory is the same", () => {
    class PoisonHost extends TestHost {
      override allocate(bytes: ByteCount): GuestBuffer {
        return new GuestBuffer(bytes, null);
      }
    }
    runDisk(function* (): Polls<void> {
      const { top } = yield* chain();
      const write = function* (): Co<number> {
        return yield* blkCoPwritev(top.blk, 3, 9, qiovOf(new GuestBuffer(9, null)));
      };
      expect(yield* inMain(write())).toBe(0);
      expect(yield* inMain(blkCoPwriteZeroes(top.blk, 1, 9))).toBe(0);
    }, new PoisonHost());
  });
});
