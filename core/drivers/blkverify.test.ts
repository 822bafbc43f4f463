import { describe, expect, it } from "vitest";
import { blkFlush, blkUnref } from "../backend/index.ts";
import { EIO } from "../base/index.ts";
import { type BlockDriverState, bdrvRef } from "../graph/index.ts";
import type { Polls } from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import { blkdebugOpen, type InjectErrorOptions } from "./blkdebug/index.ts";
import { blkverifyOpen } from "./blkverify.ts";
import { driverEventListeners } from "./driver-events.ts";
import { overlayOpen } from "./overlay.ts";
import { type TextDisk, textDisk } from "./test-support.ts";

/** A blkverify node above two overlays, each below a blkdebug node with rules. */
function* verified(
  testRules: readonly InjectErrorOptions[],
  rawRules: readonly InjectErrorOptions[] = [],
): Polls<TextDisk> {
  const raw = yield* ruled("raw", rawRules);
  const test = yield* ruled("test", testRules);
  return yield* textDisk(yield* blkverifyOpen("v", raw, test));
}

function* ruled(
  nodeName: string,
  injectError: readonly InjectErrorOptions[],
): Polls<BlockDriverState> {
  const image = yield* overlayOpen({ nodeName: `${nodeName}-image`, size: 4096 });
  return yield* blkdebugOpen({ nodeName, image, injectError });
}

function run(body: () => Polls<void>): { outcome: string; log: string } {
  return runMain(function* (log): Polls<void> {
    driverEventListeners().push((event) => void (event.event === "fatal" && log.push(event.line)));
    yield* body();
  });
}

const failing = { event: "none", iotype: "write" } as const;

describe("blkverify", () => {
  it("sends requests to both nodes, and says what both say", () => {
    const { outcome } = run(function* (): Polls<void> {
      const { writeText, readText, blk } = yield* verified([failing], [failing]);
      expect(yield* writeText(0, "a")).toBe(-EIO);
      expect(yield* readText(0, 2)).toBe("..");
      expect(yield* blkFlush(blk)).toBe(0);
    });
    expect(outcome).toBe("ok");
  });

  it("ends the run where one fails and the other does not", () => {
    const { outcome, log } = run(function* (): Polls<void> {
      const { writeText } = yield* verified([failing]);
      yield* writeText(512, "abc");
    });
    expect([outcome, log]).toEqual([
      "assertion",
      "blkverify: write offset=512 bytes=3 return value mismatch -5 != 0",
    ]);
  });

  it("ends the run where their contents differ", () => {
    const { outcome, log } = run(function* (): Polls<void> {
      const raw = yield* overlayOpen({ nodeName: "raw", size: 4096 });
      const base = yield* overlayOpen({ nodeName: "base", size: 4096 });
      bdrvRef(base);
      const { blk, writeText } = yield* textDisk(base);
      yield* writeText(0, "..x");
      yield* blkUnref(blk);
      const { readText } = yield* textDisk(yield* blkverifyOpen("v", raw, base));
      yield* readText(1, 3);
    });
    expect([outcome, log]).toEqual([
      "assertion",
      "blkverify: read offset=1 bytes=3 contents mismatch at offset 2",
    ]);
  });
});
