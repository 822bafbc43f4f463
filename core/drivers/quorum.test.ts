import { describe, expect, it } from "vitest";
import {
  blkCoPdiscard,
  blkCoPwriteZeroes,
  blkFlush,
  blkGetlength,
  blkSetPerm,
} from "../backend/index.ts";
import { EIO } from "../base/index.ts";
import {
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  bdrvAddChild,
  bdrvDelChild,
  bdrvInsertNode,
  edgeOf,
  graphToText,
} from "../graph/index.ts";
import type { Polls } from "../sched/index.ts";
import { InjectErrorState, injectErrorDriver } from "./inject-error.ts";
import { overlayOpen } from "./overlay.ts";
import { quorumOpen } from "./quorum.ts";
import { inMain, runDisk, textDisk } from "./test-support.ts";

describe("quorum", () => {
  it("writes to all of its children, and reads from the one that was added last", () => {
    runDisk(function* (): Polls<void> {
      const [a, b] = [
        yield* overlayOpen({ nodeName: "a", size: 4096 }),
        yield* overlayOpen({ nodeName: "b", size: 4096 }),
      ];
      const direct = yield* textDisk(a);
      yield* direct.writeText(600, "A");
      // The quorum lets nobody else write to its children.
      yield* blkSetPerm(direct.blk, { perm: BLK_PERM_CONSISTENT_READ, sharedPerm: BLK_PERM_ALL });
      a.refcnt++;
      b.refcnt++;
      const { blk, writeText, readText } = yield* textDisk(yield* quorumOpen("q", [a, b]));
      expect(yield* writeText(0, "abcdef")).toBe(0);
      expect(yield* inMain(blkCoPwriteZeroes(blk, 1, 1))).toBe(0);
      expect(yield* inMain(blkCoPdiscard(blk, 3, 1))).toBe(0);
      expect(yield* direct.readText(0, 6)).toBe("a.c.ef");
      expect(yield* readText(0, 6)).toBe("a.c.ef");
      expect(yield* direct.readText(600, 1)).toBe("A");
      expect(yield* readText(600, 1)).toBe(".");
      expect(yield* blkFlush(blk)).toBe(0);
      expect(blkGetlength(blk)).toBe(4096);
    });
  });

  it("gets and loses children while it works", () => {
    runDisk(function* (): Polls<void> {
      const a = yield* overlayOpen({ nodeName: "a", size: 4096 });
      const q = yield* quorumOpen("q", [a]);
      const { writeText, readText } = yield* textDisk(q);
      const late = yield* overlayOpen({ nodeName: "late", size: 4096 });
      yield* bdrvAddChild(q, late);
      expect(graphToText()).toBe("a\nroot=root1 q -children.1-> late -children.0-> a\nlate");
      yield* writeText(0, "both");
      const graph = new Map([["q", q]]);
      yield* bdrvDelChild(q, edgeOf(graph, "q", "children.1"));
      expect(yield* readText(0, 4)).toBe("both");
      expect(graphToText()).toBe("a\nroot=root1 q -children.0-> a\nlate");
    });
  });

  it("reads from the next child when one fails, and reports a write that failed anywhere", () => {
    runDisk(function* (): Polls<void> {
      const [a, b] = [
        yield* overlayOpen({ nodeName: "a", size: 4096 }),
        yield* overlayOpen({ nodeName: "b", size: 4096 }),
      ];
      const q = yield* quorumOpen("q", [a, b]);
      const { writeText, readText } = yield* textDisk(q);
      yield* writeText(0, "good");
      yield* bdrvInsertNode(b, injectErrorDriver, "bad", { opaque: new InjectErrorState([{}]) });
      expect(yield* readText(0, 4)).toBe("good");
      expect(yield* writeText(0, "GOOD")).toBe(-EIO);
      expect(yield* readText(0, 4)).toBe("GOOD");
    });
  });
});
