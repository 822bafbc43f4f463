import { describe, expect, it } from "vitest";
import { blkAioPreadv } from "../backend/index.ts";
import { qiovOf } from "../io/index.ts";
import { sleepMain } from "../io/test-support.ts";
import { clockNs, hostAllocate, type Polls } from "../sched/index.ts";
import { nullAioDriver } from "./null-aio.ts";
import { nullOpen } from "./null-state.ts";
import { runDisk, textDisk } from "./test-support.ts";

describe("null-aio", () => {
  it.each([
    ["from a bottom half", 0],
    ["by a timer", 500],
  ])("completes later, %s", (_name, latencyNs) => {
    const log = runDisk(function* (log): Polls<void> {
      const bs = yield* nullOpen(nullAioDriver, { nodeName: "n", latencyNs });
      const { blk } = yield* textDisk(bs);
      const before = clockNs();
      blkAioPreadv(blk, 0, 4, qiovOf(hostAllocate(4)), (ret) => {
        log.push(`ret=${ret} after ${clockNs() - before}`);
        return undefined;
      });
      log.push("submitted");
      yield* sleepMain(1000);
    });
    expect(log).toBe(`submitted ret=0 after ${latencyNs}`);
  });
});
