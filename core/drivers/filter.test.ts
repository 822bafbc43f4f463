import { describe, expect, it } from "vitest";
import { blkCoPdiscard, blkCoPwriteZeroes, blkGetlength, blkTruncate } from "../backend/index.ts";
import { bdrvDropFilter, bdrvInsertNode, bdrvUnref, graphToText } from "../graph/index.ts";
import type { Polls } from "../sched/index.ts";
import { backingFilterDriver, filterDriver } from "./filter.ts";
import { overlayOpen } from "./overlay.ts";
import { inMain, runDisk, textDisk } from "./test-support.ts";

describe("a filter", () => {
  it.each([
    [filterDriver, "file"],
    [backingFilterDriver, "backing"],
  ])("passes requests on while it is in the graph ($formatName)", (drv, alias) => {
    runDisk(function* (): Polls<void> {
      const bs = yield* overlayOpen({ nodeName: "disk", size: 4096 });
      const { blk, writeText, readText } = yield* textDisk(bs);
      yield* writeText(0, "before");
      const filter = yield* bdrvInsertNode(bs, drv, "filter");
      expect(graphToText()).toBe(`disk\nroot=root1 filter -${alias}-> disk`);
      expect(yield* readText(0, 6)).toBe("before");
      expect(yield* writeText(2, "XXX")).toBe(0);
      expect(yield* inMain(blkCoPwriteZeroes(blk, 0, 1))).toBe(0);
      expect(yield* inMain(blkCoPdiscard(blk, 5, 1))).toBe(0);
      expect(yield* blkTruncate(blk, 8192)).toBe(0);
      expect(blkGetlength(blk)).toBe(8192);
      yield* bdrvDropFilter(filter);
      yield* bdrvUnref(filter);
      expect(graphToText()).toBe("root=root1 disk");
      expect(yield* readText(0, 6)).toBe(".eXXX.");
    });
  });
});
