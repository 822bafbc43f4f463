import { describe, expect, it } from "vitest";
import { SimulatedHost } from "#explorer";
import {
  blkCoPdiscard,
  blkCoPwriteZeroes,
  blkFlush,
  blkGetlength,
  blkTruncate,
} from "../backend/index.ts";
import { graphToText, settle } from "../graph/index.ts";
import type { Polls } from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import { rawOpen } from "./raw.ts";
import { inMain, runDisk, type TextDisk, textDisk } from "./test-support.ts";

function* rawDisk(): Polls<TextDisk> {
  const file = yield* fileOpen({ nodeName: "file", path: "/a.img", create: true });
  return yield* textDisk(yield* rawOpen("raw", file));
}

describe("raw", () => {
  it("passes everything on to its file, and follows its length", () => {
    runDisk(
      function* (): Polls<void> {
        const { blk, writeText, readText } = yield* rawDisk();
        expect(graphToText()).toBe("file\nroot=root1 raw -file-> file");
        expect(blkGetlength(blk)).toBe(0);
        expect(yield* writeText(0, "abcdefgh")).toBe(0);
        expect(blkGetlength(blk)).toBe(512);
        expect(yield* inMain(blkCoPwriteZeroes(blk, 2, 2))).toBe(0);
        expect(yield* inMain(blkCoPdiscard(blk, 5, 2))).toBe(0);
        expect(yield* readText(0, 9)).toBe("ab..e..h.");
        expect(yield* blkFlush(blk)).toBe(0);
        expect(yield* blkTruncate(blk, 2048)).toBe(0);
        expect(blkGetlength(blk)).toBe(2048);
      },
      new SimulatedHost({ seed: 1 }),
    );
  });

  it("takes the alignment of its file, and writes parts of blocks all the same", () => {
    runDisk(
      function* (): Polls<void> {
        const { writeText, readText } = yield* rawDisk();
        yield* writeText(0, "abcdefgh");
        yield* writeText(3, "XYZ");
        expect(yield* readText(0, 10)).toBe("abcXYZgh..");
      },
      new SimulatedHost({ seed: 1, disk: { alignment: 512 } }),
    );
  });

  it.each(["offset", "size"] as const)("has no window with a negative %s", (name) => {
    runDisk(
      function* (): Polls<void> {
        const file = yield* fileOpen({ nodeName: "file", path: "/a.img", create: true });
        const opened = yield* settle(() => rawOpen("raw", file, false, { [name]: -1 }));
        expect(opened).toMatchObject({
          error: { message: `Parameter '${name}' expects a non-negative number below 2^64` },
        });
        // The file that it was to be a window on is given back.
        expect(graphToText()).toBe("");
      },
      new SimulatedHost({ seed: 1 }),
    );
  });
});
