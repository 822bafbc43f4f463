// What may not be resized, and why, in QEMU's words.

import { describe, expect, it } from "vitest";
import { SimulatedHost } from "#explorer";
import { blkSetDevOps, blkTruncate } from "../backend/index.ts";
import { EACCES, EINVAL, EIO, ENOTSUP } from "../base/index.ts";
import { fileOpen } from "../drivers/index.ts";
import { runDisk, textDisk } from "../drivers/test-support.ts";
import { type BlockDriver, type BlockDriverState, bdrvOpenDriver } from "../graph/index.ts";
import type { Polls } from "../sched/index.ts";

const FIXED: BlockDriver = { formatName: "fixed", isFilter: false, getlength: () => 4096 };

/** `ret: why` of resizing `bs` to `offset`. */
function* answer(bs: BlockDriverState, offset: number): Polls<string> {
  const { blk } = yield* textDisk(bs);
  let why = "";
  const errorSetg = (message: string): void => {
    why = message;
  };
  const ret = yield* blkTruncate(blk, offset, { exact: false, prealloc: "off", errorSetg });
  return `${ret}: ${why}`;
}

describe("a truncate", () => {
  it("says why it is refused", () => {
    runDisk(
      function* (): Polls<void> {
        const disk = { nodeName: "", path: "/a.img", create: true };
        const fixed = (): Polls<BlockDriverState> => bdrvOpenDriver(FIXED, "");
        expect(yield* answer(yield* fixed(), 512)).toBe(
          `${-ENOTSUP}: Image format driver does not support resize`,
        );
        const file = (): Polls<BlockDriverState> => fileOpen(disk);
        expect(yield* answer(yield* file(), -1)).toBe(`${-EINVAL}: Image size cannot be negative`);
        expect(yield* answer(yield* file(), Number.MAX_SAFE_INTEGER)).toMatch(
          new RegExp(`^${-EIO}: offset\\(\\d+\\) exceeds maximum\\(\\d+\\)$`),
        );
        const broken = yield* bdrvOpenDriver(
          { ...FIXED, hasVariableLength: true, getlength: () => -EIO },
          "",
          { totalBytes: 0 },
        );
        expect(yield* answer(broken, 512)).toBe(
          `${-EIO}: Failed to get old image size: Input/output error`,
        );
        const readOnly = yield* fileOpen({ ...disk, readOnly: true });
        readOnly.readOnly = false;
        const { blk } = yield* textDisk(readOnly);
        readOnly.readOnly = true;
        let why = "";
        const errorSetg = (message: string): void => {
          why = message;
        };
        const how = { exact: false, prealloc: "off", errorSetg } as const;
        expect([yield* blkTruncate(blk, 512, how), why]).toEqual([-EACCES, "Image is read-only"]);
      },
      new SimulatedHost({ seed: 1 }),
    );
  });

  it("tells the users of a node, as a write does behind its end, and nobody when it fails", () => {
    const sizes: number[] = [];
    const host = new SimulatedHost({ seed: 1, disk: { spaceBytes: 8192 } });
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen({ nodeName: "", path: "/a.img", create: true });
      const { blk, writeText } = yield* textDisk(bs);
      blkSetDevOps(blk, {
        resizeCb: () => {
          sizes.push(bs.totalBytes);
          return undefined;
        },
      });
      yield* blkTruncate(blk, 4096);
      yield* writeText(0, "a");
      yield* writeText(4096, "b");
      yield* blkTruncate(blk, 16_384);
      yield* blkTruncate(blk, 1024);
    }, host);
    expect(sizes).toEqual([4096, 4608, 1024]);
  });
});
