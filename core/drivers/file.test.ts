import { describe, expect, it } from "vitest";
import { SimulatedHost } from "#explorer";
import {
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkFlush,
  blkGetlength,
  blkTruncate,
  blkUnref,
} from "../backend/index.ts";
import { EIO, ENOENT, ENOSPC } from "../base/index.ts";
import { BLK_PERM_CONSISTENT_READ, bdrvUnref, settle } from "../graph/index.ts";
import { qiovOf } from "../io/index.ts";
import { guest, joinGuests } from "../io/test-support.ts";
import {
  type Co,
  hostAllocate,
  iothreadCreate,
  iothreadStopJoin,
  type Polls,
} from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import { inMain, runDisk, textDisk } from "./test-support.ts";

const host = () => new SimulatedHost({ seed: 1 });

describe("file", () => {
  it("keeps in the host's file what was written to it", () => {
    const disk = host();
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen({ nodeName: "file", path: "/a.img", create: true });
      const { blk, writeText, readText } = yield* textDisk(bs);
      expect(yield* writeText(600, "hello")).toBe(0);
      expect(yield* readText(598, 9)).toBe("..hello..");
      expect(blkGetlength(blk)).toBe(1024);
      expect(yield* blkFlush(blk)).toBe(0);
      yield* blkUnref(blk);
      yield* bdrvUnref(bs);
      const again = yield* fileOpen({ nodeName: "again", path: "/a.img", readOnly: true });
      const reread = yield* textDisk(again, { perm: BLK_PERM_CONSISTENT_READ });
      expect(yield* reread.readText(600, 5)).toBe("hello");
      expect(yield* reread.writeText(0, "no")).toBe(-1);
    }, disk);
    expect(disk.disk.files.get("/a.img")?.size).toBe(605);
  });

  it("can be cut off, lengthened, and discarded in parts", () => {
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen({ nodeName: "file", path: "/a.img", create: true });
      const { blk, writeText, readText } = yield* textDisk(bs);
      yield* writeText(0, "abcdefgh");
      expect(yield* inMain(blkCoPdiscard(blk, 2, 3))).toBe(0);
      expect(yield* readText(0, 8)).toBe("ab...fgh");
      expect(yield* blkTruncate(blk, 4096)).toBe(0);
      expect(blkGetlength(blk)).toBe(4096);
      expect(yield* blkTruncate(blk, 0)).toBe(0);
      expect(blkGetlength(blk)).toBe(0);
    }, host());
  });

  it("fails as the host fails", () => {
    const full = new SimulatedHost({ seed: 1, disk: { spaceBytes: 100 } });
    runDisk(function* (): Polls<void> {
      const missing = yield* settle(() => fileOpen({ nodeName: "x", path: "/none" }));
      expect(missing.ok ? "opened" : missing.error.message).toBe(
        "Could not open '/none': No such file or directory",
      );
      expect(missing.ok ? 0 : missing.error.errno).toBe(ENOENT);
      const bs = yield* fileOpen({ nodeName: "file", path: "/a.img", create: true });
      const { writeText, readText } = yield* textDisk(bs);
      expect(yield* writeText(200, "late")).toBe(-ENOSPC);
      expect(yield* readText(200, 4)).toBe("....");
    }, full);
  });

  it("takes a name once", () => {
    runDisk(function* (): Polls<void> {
      yield* fileOpen({ nodeName: "file", path: "/a.img", create: true });
      const second = yield* settle(() => fileOpen({ nodeName: "file", path: "/a.img" }));
      expect(second.ok).toBe(false);
    }, host());
  });

  it("works in an iothread", () => {
    runDisk(function* (): Polls<void> {
      const ctx = iothreadCreate("io");
      const bs = yield* fileOpen({ nodeName: "file", path: "/a.img", create: true, ctx });
      const { blk, writeText, readText } = yield* textDisk(bs);
      expect(blk.ctx.name).toBe("io");
      expect(yield* writeText(0, "abc")).toBe(0);
      expect(yield* readText(0, 4)).toBe("abc.");
      yield* blkUnref(blk);
      yield* bdrvUnref(bs);
      yield* iothreadStopJoin(ctx);
    }, host());
  });
});

describe("an error of the disk", () => {
  it("goes to the request that it is of, of many that are under way, and to no other", () => {
    const faults = [
      { path: "a.img", types: ["write"] as const, offset: 3 * 512, bytes: 512, errno: ENOSPC },
      { path: "a.img", types: ["read"] as const, offset: 5 * 512, bytes: 512 },
    ];
    runDisk(
      function* (): Polls<void> {
        const bs = yield* fileOpen({ nodeName: "file", path: "/a.img", create: true });
        const { blk } = yield* textDisk(bs);
        const rets: Record<string, number> = {};
        const guests = Array.from({ length: 8 }, (_, index) =>
          guest(blk.ctx, function* (): Co<void> {
            const at = index * 512;
            const data = qiovOf(hostAllocate(512));
            rets[`write ${index}`] = yield* blkCoPwritev(blk, at, 512, data);
            rets[`read ${index}`] = yield* blkCoPreadv(blk, at, 512, data);
          }),
        );
        for (const one of guests) yield* joinGuests(one);
        const failed = Object.entries(rets).filter(([, ret]) => ret !== 0);
        expect(failed.sort()).toEqual([
          ["read 5", -EIO],
          ["write 3", -ENOSPC],
        ]);
        expect(Object.keys(rets)).toHaveLength(16);
      },
      new SimulatedHost({ seed: 1, disk: { faults } }),
    );
  });
});
