import { describe, expect, it } from "vitest";
import { blkFlush } from "../backend/index.ts";
import { EIO, ENOSPC } from "../base/index.ts";
import { bdrvInsertNode } from "../graph/index.ts";
import type { Polls } from "../sched/index.ts";
import { type InjectErrorRule, InjectErrorState, injectErrorDriver } from "./inject-error.ts";
import { overlayOpen } from "./overlay.ts";
import { runDisk, type TextDisk, textDisk } from "./test-support.ts";

function* diskWith(
  rules: readonly InjectErrorRule[],
): Polls<TextDisk & { state: InjectErrorState }> {
  const bs = yield* overlayOpen({ nodeName: "disk", size: 4096 });
  const disk = yield* textDisk(bs);
  const state = new InjectErrorState(rules);
  yield* bdrvInsertNode(bs, injectErrorDriver, "inject", { opaque: state });
  return { ...disk, state };
}

describe("inject-error", () => {
  it("fails what touches a range, and lets everything else through", () => {
    runDisk(function* (): Polls<void> {
      const { writeText, readText } = yield* diskWith([{ offset: 100, bytes: 10, errno: ENOSPC }]);
      expect(yield* writeText(90, "0123456789")).toBe(0);
      expect(yield* writeText(91, "0123456789")).toBe(-ENOSPC);
      expect(yield* writeText(109, "a")).toBe(-ENOSPC);
      expect(yield* writeText(110, "a")).toBe(0);
      expect(yield* readText(100, 10)).toBe(String(-ENOSPC));
      expect(yield* readText(90, 10)).toBe("0123456789");
    });
  });

  it("fails kinds of request, once or for ever", () => {
    runDisk(function* (): Polls<void> {
      const { blk, writeText, readText, state } = yield* diskWith([
        { types: ["write"], once: true, immediately: true },
        { types: ["flush"] },
      ]);
      expect(yield* writeText(0, "a")).toBe(-EIO);
      expect(yield* writeText(0, "b")).toBe(0);
      expect(yield* readText(0, 1)).toBe("b");
      expect(yield* blkFlush(blk)).toBe(-EIO);
      expect(yield* blkFlush(blk)).toBe(-EIO);
      state.rules.length = 0;
      expect(yield* blkFlush(blk)).toBe(0);
    });
  });
});
