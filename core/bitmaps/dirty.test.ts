// Dirty bitmaps of a node under writes, drawn as text: one letter a chunk of 512 bytes, `#` for dirty.

import { describe, expect, it } from "vitest";
import { blkPdiscard, blkPwriteZeroes, blkTruncate, blkUnref } from "../backend/index.ts";
import { EPERM } from "../base/index.ts";
import { overlayOpen } from "../drivers/index.ts";
import { runDisk, type TextDisk, textDisk } from "../drivers/test-support.ts";
import { type BlockDriverState, BlockError, bdrvUnref } from "../graph/index.ts";
import type { Polls } from "../sched/index.ts";
import {
  type BdrvDirtyBitmap,
  bdrvClearDirtyBitmap,
  bdrvCreateDirtyBitmap,
  bdrvDirtyBitmapAbdicate,
  bdrvDirtyBitmapCreateSuccessor,
  bdrvDirtyBitmapSetBusy,
  bdrvDirtyBitmapSetReadonly,
  bdrvDirtyIterFree,
  bdrvDirtyIterNew,
  bdrvDirtyIterNext,
  bdrvDisableDirtyBitmap,
  bdrvEnableDirtyBitmap,
  bdrvMergeDirtyBitmap,
  bdrvQueryDirtyBitmaps,
  bdrvReclaimDirtyBitmap,
  bdrvReleaseDirtyBitmap,
  bdrvRestoreDirtyBitmap,
} from "./index.ts";

const CHUNK = 512;

function drawn({ bitmap }: BdrvDirtyBitmap): string {
  let text = "";
  for (let at = 0; at < bitmap.size; at += bitmap.granularity) text += bitmap.get(at) ? "#" : ".";
  return text;
}

/** Run `body` with a disk of eight chunks and a bitmap of it. */
function withBitmap(
  body: (disk: TextDisk, bitmap: BdrvDirtyBitmap, bs: BlockDriverState) => Polls<void>,
): void {
  runDisk(function* (): Polls<void> {
    const bs = yield* overlayOpen({ nodeName: "disk", size: 8 * CHUNK, clusterBytes: CHUNK });
    const disk = yield* textDisk(bs);
    const bitmap = bdrvCreateDirtyBitmap(bs, CHUNK, "b0");
    yield* body(disk, bitmap, bs);
    yield* blkUnref(disk.blk);
    yield* bdrvUnref(bs);
  });
}

function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof BlockError) return error.message;
    throw error;
  }
  return "";
}

describe("a dirty bitmap", () => {
  it("notes writes, zeroes and discards, every chunk that they touch", () => {
    withBitmap(function* ({ blk, writeText }, bitmap) {
      expect(drawn(bitmap)).toBe("........");
      yield* writeText(CHUNK - 1, "xx");
      expect(drawn(bitmap)).toBe("##......");
      yield* blkPwriteZeroes(blk, 3 * CHUNK, CHUNK, 0);
      yield* blkPdiscard(blk, 5 * CHUNK, 2 * CHUNK);
      expect(drawn(bitmap)).toBe("##.#.##.");
    });
  });

  it("leaves out what is written while it is disabled", () => {
    withBitmap(function* ({ writeText }, bitmap) {
      bdrvDisableDirtyBitmap(bitmap);
      yield* writeText(0, "x");
      bdrvEnableDirtyBitmap(bitmap);
      yield* writeText(2 * CHUNK, "x");
      expect(drawn(bitmap)).toBe("..#.....");
    });
  });

  it("grows and shrinks with its node", () => {
    withBitmap(function* ({ blk, writeText }, bitmap) {
      yield* writeText(7 * CHUNK, "x");
      expect(yield* blkTruncate(blk, 10 * CHUNK)).toBe(0);
      yield* writeText(9 * CHUNK, "x");
      expect(drawn(bitmap)).toBe(".......#.#");
      yield* blkTruncate(blk, 9 * CHUNK);
      expect(drawn(bitmap)).toBe(".......#.");
    });
  });

  it("keeps everyone from writing while it is read-only", () => {
    withBitmap(function* ({ blk, writeText }, bitmap) {
      bdrvDirtyBitmapSetReadonly(bitmap, true);
      expect(yield* writeText(0, "x")).toBe(-EPERM);
      expect(yield* blkPwriteZeroes(blk, 0, CHUNK, 0)).toBe(-EPERM);
      expect(yield* blkPdiscard(blk, 0, CHUNK)).toBe(-EPERM);
      expect(drawn(bitmap)).toBe("........");
      bdrvDirtyBitmapSetReadonly(bitmap, false);
      expect(yield* writeText(0, "x")).toBe(0);
    });
  });

  it("is cleared and restored", () => {
    withBitmap(function* ({ writeText }, bitmap) {
      yield* writeText(0, "x");
      const backup = bdrvClearDirtyBitmap(bitmap);
      expect(drawn(bitmap)).toBe("........");
      bdrvRestoreDirtyBitmap(bitmap, backup);
      expect(drawn(bitmap)).toBe("#.......");
    });
  });

  it("is frozen while a successor records, which is merged back or takes its name", () => {
    withBitmap(function* ({ writeText }, bitmap, bs) {
      yield* writeText(0, "x");
      bdrvDirtyBitmapCreateSuccessor(bitmap);
      yield* writeText(2 * CHUNK, "x");
      expect(drawn(bitmap)).toBe("#.......");
      expect(
        bdrvQueryDirtyBitmaps(bs).map(({ name, recording, busy }) => [name, recording, busy]),
      ).toEqual([
        [null, true, false],
        ["b0", true, true],
      ]);
      expect(drawn(bdrvReclaimDirtyBitmap(bitmap))).toBe("#.#.....");
      bdrvDirtyBitmapCreateSuccessor(bitmap);
      yield* writeText(4 * CHUNK, "x");
      const heir = bdrvDirtyBitmapAbdicate(bitmap);
      expect([heir.name, drawn(heir), bs.dirtyBitmaps.length]).toEqual(["b0", "....#...", 1]);
    });
  });

  it("is merged into one of another granularity", () => {
    withBitmap(function* ({ writeText }, bitmap, bs) {
      const coarse = bdrvCreateDirtyBitmap(bs, 2 * CHUNK, "b1");
      bdrvDisableDirtyBitmap(coarse);
      yield* writeText(3 * CHUNK, "x");
      const backup = bdrvMergeDirtyBitmap(coarse, bitmap);
      expect(drawn(coarse)).toBe(".#..");
      expect(backup.dirtyBytes).toBe(0);
    });
  });

  it("is read in order by an iterator, also while it changes", () => {
    withBitmap(function* ({ writeText }, bitmap) {
      yield* writeText(CHUNK, "x");
      yield* writeText(6 * CHUNK, "x");
      const iter = bdrvDirtyIterNew(bitmap);
      expect(bdrvDirtyIterNext(iter)).toBe(CHUNK);
      yield* writeText(0, "x");
      yield* writeText(4 * CHUNK, "x");
      expect([1, 2, 3].map(() => bdrvDirtyIterNext(iter) / CHUNK)).toEqual([4, 6, -1 / CHUNK]);
      bdrvDirtyIterFree(iter);
    });
  });
});

describe("what QEMU refuses is refused with its words", () => {
  it.each<[string, (bs: BlockDriverState, bitmap: BdrvDirtyBitmap) => unknown]>([
    ["Bitmap already exists: b0", (bs) => bdrvCreateDirtyBitmap(bs, CHUNK, "b0")],
    [
      `Bitmap name too long: ${"ä".repeat(512)}`,
      (bs) => bdrvCreateDirtyBitmap(bs, CHUNK, "ä".repeat(512)),
    ],
    [
      "Bitmap 'b0' is currently in use by another operation and cannot be used",
      (bs, bitmap) => {
        bdrvDirtyBitmapSetBusy(bitmap, true);
        const other = bdrvCreateDirtyBitmap(bs, CHUNK, "b1");
        try {
          bdrvMergeDirtyBitmap(other, bitmap);
        } finally {
          bdrvDirtyBitmapSetBusy(bitmap, false);
        }
      },
    ],
    [
      "Bitmap 'b0' is readonly and cannot be modified",
      (_bs, bitmap) => {
        bdrvDirtyBitmapSetReadonly(bitmap, true);
        bdrvMergeDirtyBitmap(bitmap, bitmap);
      },
    ],
    [
      "Cannot reclaim a successor when none is present",
      (_bs, bitmap) => bdrvReclaimDirtyBitmap(bitmap),
    ],
    [
      "Cannot relinquish control if there's no successor present",
      (_bs, bitmap) => bdrvDirtyBitmapAbdicate(bitmap),
    ],
  ])("%s", (message, body) => {
    withBitmap(function* (_disk, bitmap, bs): Polls<void> {
      expect(refusal(() => body(bs, bitmap))).toBe(message);
    });
  });

  it("and so is a merge of bitmaps of different lengths", () => {
    withBitmap(function* (_disk, bitmap): Polls<void> {
      const longer = yield* overlayOpen({ nodeName: "long", size: 9 * CHUNK, clusterBytes: CHUNK });
      const other = bdrvCreateDirtyBitmap(longer, CHUNK, "b0");
      expect(refusal(() => bdrvMergeDirtyBitmap(other, bitmap))).toBe(
        "Bitmaps are of different sizes (destination size is 4608, source size is 4096) and can't be merged",
      );
      bdrvReleaseDirtyBitmap(other);
      yield* bdrvUnref(longer);
    });
  });
});
