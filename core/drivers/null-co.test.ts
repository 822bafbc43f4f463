import { describe, expect, it } from "vitest";
import { blkFlush, blkGetlength, blkTruncate } from "../backend/index.ts";
import { ENOTSUP } from "../base/index.ts";
import { clockNs, type Polls } from "../sched/index.ts";
import { nullCoDriver } from "./null-co.ts";
import { nullOpen } from "./null-state.ts";
import { runDisk, textDisk } from "./test-support.ts";

describe("null-co", () => {
  it("takes what is written and, asked to, reads zeroes", () => {
    runDisk(function* (): Polls<void> {
      const bs = yield* nullOpen(nullCoDriver, { nodeName: "n", size: 4096, readZeroes: true });
      const { blk, writeText, readText } = yield* textDisk(bs);
      expect(yield* writeText(0, "abc")).toBe(0);
      expect(yield* readText(0, 3)).toBe("...");
      expect(yield* blkFlush(blk)).toBe(0);
      expect(yield* blkTruncate(blk, 1024)).toBe(-ENOTSUP);
      expect(blkGetlength(blk)).toBe(4096);
    });
  });

  it("takes as long as asked", () => {
    runDisk(function* (): Polls<void> {
      const bs = yield* nullOpen(nullCoDriver, { nodeName: "n", latencyNs: 500 });
      const { writeText } = yield* textDisk(bs);
      const before = clockNs();
      yield* writeText(0, "abc");
      expect(clockNs() - before).toBe(500);
    });
  });
});
