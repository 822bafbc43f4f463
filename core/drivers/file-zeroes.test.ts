import { describe, expect, it } from "vitest";
import { blkPwriteZeroes } from "../backend/index.ts";
import { ENOTSUP } from "../base/index.ts";
import { BDRV_REQ_NO_FALLBACK } from "../graph/index.ts";
import type { Polls } from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import { runDisk, textDisk } from "./test-support.ts";

describe("zeroes in a file", () => {
  it("are written, unless it has to be quicker than that", () => {
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen({ nodeName: "f", path: "f", create: true });
      const { blk, writeText } = yield* textDisk(bs);
      yield* writeText(0, "abcd");
      expect(yield* blkPwriteZeroes(blk, 0, 2, BDRV_REQ_NO_FALLBACK)).toBe(-ENOTSUP);
      expect(yield* blkPwriteZeroes(blk, 0, 2, 0)).toBe(0);
    });
  });
});
