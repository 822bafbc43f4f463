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
      const { write, read } = yield* diskWith([{ offset: 100, bytes: 10, errno: ENOSPC }]);
      expect(yield* write(90, "0123456789")).toBe(0);
      expect(yield* write(91, "0123456789")).toBe(-ENOSPC);
      expect(yield* write(109, "a")).toBe(-ENOSPC);
      expect(yield* write(110, "a")).toBe(0);
      expect(yield* read(100, 10)).toBe(String(-ENOSPC));
      expect(yield* read(90, 10)).toBe("0123456789");
    });
  });

  it("fails kinds of request, once or for ever", () => {
    runDisk(function* (): Polls<void> {
      const { blk, write, read, state } = yield* diskWith([
        { types: ["write"], once: true, immediately: true },
        { types: ["flush"] },
      ]);
      expect(yield* write(0, "a")).toBe(-EIO);
      expect(yield* write(0, "b")).toBe(0);
      expect(yield* read(0, 1)).toBe("b");
      expect(yield* blkFlush(blk)).toBe(-EIO);
      expect(yield* blkFlush(blk)).toBe(-EIO);
      state.rules.length = 0;
      expect(yield* blkFlush(blk)).toBe(0);
    });
  });
});
