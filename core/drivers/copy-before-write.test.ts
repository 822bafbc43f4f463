// Drawn: four clusters of 64 KiB, a letter for each; `.` is zero. The guest writes to the filter, a reader reads the snapshot.

import { describe, expect, it } from "vitest";
import {
  blkCoPreadv,
  blkCoPwritev,
  blkPdiscard,
  blkPreadv,
  blkPwritev,
  blkUnref,
} from "../backend/index.ts";
import { EACCES, EIO, ENOSPC, ENOTSUP, ETIMEDOUT } from "../base/index.ts";
import {
  type BdrvDirtyBitmap,
  bdrvCreateDirtyBitmap,
  bdrvSetDirtyBitmap,
} from "../bitmaps/index.ts";
import { fileOf } from "../graph/access.ts";
import { graphToTextWithPerms } from "../graph/graph-text.ts";
import {
  BDRV_BLOCK_ALLOCATED,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BlockDriver,
  type BlockDriverState,
  bdrvOpenDriver,
  bdrvRef,
  bdrvUnref,
  qmpBlockdevReopen,
  settle,
} from "../graph/index.ts";
import { bdrvBlockStatus, bdrvDrainedBegin, bdrvDrainedEnd, qiovOf } from "../io/index.ts";
import { guest, joinGuests, NO_SITE } from "../io/test-support.ts";
import {
  type Co,
  clockNs,
  hostAllocate,
  machine,
  type Polls,
  qemuCoSleepNs,
} from "../sched/index.ts";
import { type CbwOptions, copyBeforeWriteOpen } from "./copy-before-write.ts";
import { driverEventListeners } from "./driver-events.ts";
import { passThrough } from "./filter.ts";
import { InjectErrorState, injectErrorDriver } from "./inject-error.ts";
import { nullCoDriver } from "./null-co.ts";
import { nullOpen } from "./null-state.ts";
import { overlayOpen } from "./overlay.ts";
import { snapshotAccessOpen } from "./snapshot-access.ts";
import { bufferOf, runDisk, type TextDisk, textDisk } from "./test-support.ts";

const CLUSTER = 65_536;
const SIZE = 4 * CLUSTER;
const SECOND_NS = 1_000_000_000;

function* drawn(nodeName: string, drawing: string): Polls<BlockDriverState> {
  const bs = yield* overlayOpen({ nodeName, size: SIZE });
  const { blk, writeText } = yield* textDisk(bs);
  for (const [index, letter] of [...drawing].entries())
    if (letter !== ".") yield* writeText(index * CLUSTER, letter.repeat(CLUSTER));
  yield* blkUnref(blk);
  return bs;
}

/** The first letter of each cluster, or what its read returns. */
function* look({ readText }: TextDisk): Polls<string> {
  let text = "";
  for (let at = 0; at < SIZE; at += CLUSTER) text += yield* readText(at, 1);
  return text;
}

interface Fleecing {
  readonly disk: BlockDriverState;
  readonly target: BlockDriverState;
  readonly cbw: BlockDriverState;
  readonly access: BlockDriverState;
  readonly guest: TextDisk;
  readonly snapshot: TextDisk;
}

/** Run `body` with a disk of "abcd", filtered; then all is closed, and nothing may be left. */
function fleecing(
  body: (all: Fleecing) => Polls<void>,
  more: (disk: BlockDriverState) => Partial<CbwOptions> = () => ({}),
  wrapTarget: (target: BlockDriverState) => Polls<BlockDriverState> = keep,
): void {
  runDisk(function* (): Polls<void> {
    const disk = yield* drawn("disk", "abcd");
    const target = yield* drawn("target", "");
    const options = { nodeName: "cbw", file: disk, target: yield* wrapTarget(target) };
    const cbw = yield* copyBeforeWriteOpen({ ...options, ...more(disk) });
    bdrvRef(cbw);
    const access = yield* snapshotAccessOpen("access", cbw);
    const [guestDisk, snapshot] = [yield* textDisk(cbw), yield* textDisk(access)];
    yield* body({ disk, target, cbw, access, guest: guestDisk, snapshot });
    for (const { blk } of [guestDisk, snapshot]) yield* blkUnref(blk);
    yield* bdrvUnref(access);
    yield* bdrvUnref(cbw);
    expect([disk.refcnt, target.refcnt, cbw.closed]).toEqual([0, 0, true]);
  });
}

function* keep(bs: BlockDriverState): Polls<BlockDriverState> {
  return bs;
}

/** `bs`, whose writes take `ns`, and whose sizes are noted. */
function slow(ns: number, sizes: number[] = []): (bs: BlockDriverState) => Polls<BlockDriverState> {
  const pass = passThrough(fileOf);
  const driver: BlockDriver = {
    formatName: "slow",
    ...pass,
    *coPwritev(bs, offset, bytes, qiov, flags): Co<number> {
      sizes.push(bytes);
      yield* qemuCoSleepNs(ns);
      return (yield* pass.coPwritev?.(bs, offset, bytes, qiov, flags) ?? noWrite()) ?? 0;
    },
  };
  return (bs) => filtered(driver, bs, null);
}

function* noWrite(): Co<number> {
  return -EIO;
}

const failing =
  (once: boolean) =>
  (bs: BlockDriverState): Polls<BlockDriverState> =>
    filtered(injectErrorDriver, bs, new InjectErrorState([{ types: ["write"], once }]));

function* filtered(
  driver: BlockDriver,
  bs: BlockDriverState,
  opaque: unknown,
): Polls<BlockDriverState> {
  const role = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;
  return yield* bdrvOpenDriver(driver, "", { opaque, children: [{ name: "file", role, bs }] });
}

describe("copy-before-write", () => {
  it("keeps what a guest overwrites, by whole clusters and once, for whoever reads the snapshot", () => {
    fleecing(function* ({ guest: disk, snapshot, target }): Polls<void> {
      expect(yield* disk.writeText(CLUSTER - 1, "XY")).toBe(0);
      expect(yield* disk.readText(CLUSTER - 2, 4)).toBe("aXYb");
      expect(yield* snapshot.readText(CLUSTER - 2, 4)).toBe("aabb");
      expect(yield* look(snapshot)).toBe("abcd");
      const copied = yield* textDisk(target, { perm: 1 });
      expect(yield* look(copied)).toBe("ab..");
      // What is there is not copied again.
      yield* disk.writeText(0, "Z");
      expect(yield* look(copied)).toBe("ab..");
      yield* blkUnref(copied.blk);
    });
  });

  it("does so before zeroes and discards, too, and says where things are", () => {
    fleecing(function* ({ guest: disk, snapshot, target, access }): Polls<void> {
      yield* blkPdiscard(disk.blk, CLUSTER, CLUSTER);
      expect(yield* look(disk)).toBe("a.cd");
      expect(yield* look(snapshot)).toBe("abcd");
      const { ret, file } = yield* bdrvBlockStatus(access, CLUSTER, CLUSTER);
      expect([ret & BDRV_BLOCK_ALLOCATED, file === target]).toEqual([BDRV_BLOCK_ALLOCATED, false]);
      const whole = yield* bdrvBlockStatus(access, 0, SIZE);
      expect(whole.pnum).toBe(CLUSTER);
    });
  });

  it("copies and shows only what a bitmap says", () => {
    const dirty = (disk: BlockDriverState): BdrvDirtyBitmap => {
      const bitmap = bdrvCreateDirtyBitmap(disk, CLUSTER, "b0");
      bdrvSetDirtyBitmap(bitmap, CLUSTER, CLUSTER);
      return bitmap;
    };
    fleecing(
      function* ({ guest: disk, snapshot }): Polls<void> {
        yield* disk.writeText(0, "X".repeat(2 * CLUSTER));
        expect(yield* look(snapshot)).toBe(`-${EACCES}b-${EACCES}-${EACCES}`);
      },
      (disk) => ({ bitmap: () => dirty(disk) }),
    );
  });

  it("forgets what the reader gives up, and refuses to write", () => {
    fleecing(function* ({ guest: disk, snapshot, target }): Polls<void> {
      yield* disk.writeText(0, "X");
      expect(yield* blkPdiscard(snapshot.blk, 0, CLUSTER)).toBe(0);
      // A part of a cluster is not given up: the rest of it is needed.
      expect(yield* blkPdiscard(snapshot.blk, CLUSTER + 512, 512)).toBe(0);
      expect(yield* look(snapshot)).toBe(`-${EACCES}bcd`);
      yield* disk.writeText(0, "Y");
      const copied = yield* textDisk(target, { perm: 1 });
      expect(yield* look(copied)).toBe("....");
      yield* blkUnref(copied.blk);
      expect(yield* snapshot.writeText(CLUSTER, "Z")).toBe(-ENOTSUP);
    });
  });

  it("lets a write fail whose old contents cannot be copied, and the next try succeed", () => {
    fleecing(
      function* ({ guest: disk, snapshot }): Polls<void> {
        expect(yield* disk.writeText(0, "X")).toBe(-EIO);
        expect(yield* look(disk)).toBe("abcd");
        expect(yield* disk.writeText(0, "Y")).toBe(0);
        expect([yield* look(disk), yield* look(snapshot)]).toEqual(["Ybcd", "abcd"]);
      },
      () => ({}),
      failing(true),
    );
  });

  it("or breaks the snapshot, and lets the guest go on", () => {
    fleecing(
      function* ({ guest: disk, snapshot }): Polls<void> {
        expect(yield* disk.writeText(0, "X")).toBe(0);
        expect(yield* look(disk)).toBe("Xbcd");
        expect(yield* look(snapshot)).toBe(`-${EACCES}`.repeat(4));
      },
      () => ({ onCbwError: "break-snapshot" }),
      failing(false),
    );
  });

  it("waits for a copy as long as it is told to; a drain waits for what is still on its way", () => {
    fleecing(
      function* ({ guest: disk, snapshot, cbw }): Polls<void> {
        const started = clockNs();
        const seconds = () => Math.round((clockNs() - started) / SECOND_NS);
        expect(yield* disk.writeText(0, "X")).toBe(-ETIMEDOUT);
        expect([seconds(), cbw.inFlight]).toEqual([5, 1]);
        yield* bdrvDrainedBegin(cbw, NO_SITE);
        expect([seconds(), cbw.inFlight]).toEqual([8, 0]);
        yield* bdrvDrainedEnd(cbw, NO_SITE);
        // It has arrived: now the guest may write.
        expect(yield* disk.writeText(0, "Y")).toBe(0);
        expect([yield* look(disk), yield* look(snapshot)]).toEqual(["Ybcd", "abcd"]);
        expect(seconds()).toBe(8);
      },
      () => ({ cbwTimeout: 5 }),
      slow(8 * SECOND_NS),
    );
  });

  it("closes only when a copy that took too long is over", () => {
    fleecing(
      function* ({ guest: disk }): Polls<void> {
        expect(yield* disk.writeText(0, "X")).toBe(-ETIMEDOUT);
      },
      () => ({ cbwTimeout: 1 }),
      slow(3 * SECOND_NS),
    );
  });

  it("copies a cluster once for two writes, and holds a write up while its old contents are read", () => {
    fleecing(
      function* ({ guest: disk, snapshot, target }): Polls<void> {
        const started = clockNs();
        const write = (at: number, text: string) =>
          guest(machine.mainContext, function* () {
            yield* blkCoPwritev(disk.blk, at, text.length, qiovOf(bufferOf(text)));
          });
        const read = () =>
          guest(machine.mainContext, function* () {
            yield* blkCoPreadv(snapshot.blk, 0, SIZE, qiovOf(hostAllocate(SIZE)));
          });
        // Two readers of one range, which are no business of each other's.
        yield* joinGuests(write(0, "X"), write(1, "Y"), read(), read());
        expect(clockNs() - started).toBe(100);
        expect(yield* disk.readText(0, 3)).toBe("XYa");
        expect(yield* look(snapshot)).toBe("abcd");
        expect(target.inFlight).toBe(0);
      },
      () => ({}),
      slow(100),
    );
  });

  it("copies a large range by many tasks at a time, each a megabyte at most, and zeroes as zeroes", () => {
    const MIB = 1024 * 1024;
    runDisk(function* (): Polls<void> {
      const disk = yield* overlayOpen({ nodeName: "disk", size: 6 * MIB });
      const below = yield* textDisk(disk);
      yield* blkPwritev(below.blk, 0, 3 * MIB, qiovOf(hostAllocate(3 * MIB)));
      yield* blkUnref(below.blk);
      const sizes: number[] = [];
      const target = yield* overlayOpen({ nodeName: "target", size: 6 * MIB });
      const file = disk;
      const cbw = yield* copyBeforeWriteOpen({
        ...{ nodeName: "cbw", file, target: yield* slow(100, sizes)(target) },
      });
      const { blk } = yield* textDisk(cbw);
      const before = clockNs();
      expect(yield* blkPwritev(blk, 0, 6 * MIB, qiovOf(hostAllocate(6 * MIB)))).toBe(0);
      expect([clockNs() - before, sizes]).toEqual([100, [MIB, MIB, MIB]]);
      yield* blkUnref(blk);
      yield* bdrvUnref(cbw);
    });
  });

  it("fails a write for which the target is too short", () => {
    runDisk(function* (): Polls<void> {
      const [file, target] = [
        yield* drawn("disk", "abcd"),
        yield* overlayOpen({ nodeName: "t", size: CLUSTER }),
      ];
      const cbw = yield* copyBeforeWriteOpen({ nodeName: "cbw", file, target });
      const { blk, writeText } = yield* textDisk(cbw);
      expect([yield* writeText(0, "X"), yield* writeText(CLUSTER, "X")]).toEqual([0, -ENOSPC]);
      yield* blkUnref(blk);
      yield* bdrvUnref(cbw);
    });
  });

  it("asks for what QEMU's asks for, and cannot be reopened", () => {
    fleecing(function* ({ access, cbw, snapshot }): Polls<void> {
      expect(graphToTextWithPerms([access, cbw]).replaceAll(/root=root\d+/g, "root")).toBe(
        [
          "root{rwus/rwus} access -file{-/rwus}-> cbw",
          "root{rwus/rwus} cbw -target{w/rwu}-> target -file{rwus/ru}-> disk",
        ].join("\n"),
      );
      expect(yield* blkPreadv(snapshot.blk, 0, 512, qiovOf(hostAllocate(512)))).toBe(0);
      const reopened = yield* settle(() =>
        qmpBlockdevReopen([{ driver: "copy-before-write", "node-name": "cbw", file: "disk" }]),
      );
      expect(reopened.ok ? "" : reopened.error.message).toBe(
        "Block format 'copy-before-write' used by node 'cbw' does not support reopening files",
      );
    });
  });

  it("refuses a bitmap of another length, warns where nothing is known of the target, and leaves nothing", () => {
    runDisk(function* (): Polls<void> {
      const warnings: string[] = [];
      driverEventListeners().push((event) => {
        if (event.event === "warn") warnings.push(event.line);
        return undefined;
      });
      const other = yield* overlayOpen({ nodeName: "other", size: SIZE + 512 });
      const file = yield* drawn("disk", "abcd");
      const target = yield* nullOpen(nullCoDriver, { nodeName: "target", size: SIZE });
      for (const bs of [file, target]) bdrvRef(bs);
      const bitmap = () => bdrvCreateDirtyBitmap(other, CLUSTER, "b0");
      const opened = yield* settle(() =>
        copyBeforeWriteOpen({ nodeName: "cbw", file, target, bitmap }),
      );
      expect(opened.ok ? "" : opened.error.message).toBe(
        "Cannot create block-copy-state: Failed to merge bitmap 'b0' to internal copy-bitmap: Bitmaps are of different sizes " +
          `(destination size is ${SIZE}, source size is ${SIZE + 512}) and can't be merged`,
      );
      expect(warnings).toHaveLength(1);
      expect([file.refcnt, target.refcnt, file.dirtyBitmaps.length]).toEqual([1, 1, 0]);
      for (const bs of [file, target, other]) yield* bdrvUnref(bs);
    });
  });
});
