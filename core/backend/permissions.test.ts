import { describe, expect, it } from "vitest";
import { EPERM } from "../base/index.ts";
import { graphToTextWithPerms } from "../graph/graph-text.ts";
import { BLK_PERM_ALL, bdrvUnref, settle } from "../graph/index.ts";
import { conflict, READER, refuses, runGraph, STILL, WRITER } from "../graph/test-support.ts";
import type { Polls } from "../sched/index.ts";
import {
  blkAll,
  blkGetPerm,
  blkInsertBs,
  blkIsWritable,
  blkNew,
  blkNewWithBs,
  blkRemoveBs,
  blkReplaceBs,
  blkSetPerm,
  blkSupportsWritePerm,
} from "./index.ts";

describe("the permissions of a BlockBackend", () => {
  it("are all and all unless said otherwise, and those of its root edge", () => {
    runGraph("disk", function* (node): Polls<void> {
      const all = { perm: BLK_PERM_ALL, sharedPerm: BLK_PERM_ALL };
      expect(blkGetPerm(yield* blkNewWithBs(node("disk")))).toEqual(all);
      yield* blkNewWithBs(node("disk"), READER);
      expect(graphToTextWithPerms()).toBe("root=root2{r/rwus} root=root1{rwus/rwus} disk");
    });
  });

  it("wait for a node, and stay when it goes", () => {
    runGraph("disk\nother", function* (node): Polls<void> {
      const blk = yield* blkNewWithBs(node("disk"), WRITER);
      expect(blkIsWritable(blk)).toBe(true);
      yield* blkRemoveBs(blk);
      yield* blkSetPerm(blk, STILL);
      expect(blkIsWritable(blk)).toBe(false);
      yield* blkInsertBs(blk, node("other"));
      expect(graphToTextWithPerms()).toBe("disk\nroot=root1{r/ru} other");
      yield* blkReplaceBs(blk, node("disk"));
      expect(graphToTextWithPerms()).toBe("root=root1{r/ru} disk\nother");
    });
  });

  it("change, or are refused and stay", () => {
    runGraph("f:filter -file-> disk", function* (node): Polls<void> {
      const blk = yield* blkNewWithBs(node("f"), READER);
      yield* blkNewWithBs(node("disk"), { ...STILL, name: "drive" });
      yield* refuses(
        () => blkSetPerm(blk, WRITER),
        conflict("disk", "write", "node 'f' as file", "block device 'drive' as root"),
      );
      expect(blkGetPerm(blk)).toEqual(READER);
      yield* blkSetPerm(blk, STILL);
      expect(blkGetPerm(blk)).toEqual(STILL);
      expect(graphToTextWithPerms([node("f")])).toBe("root=root1{r/ru} f -file{r/ru}-> disk");
    });
  });

  it("that a node cannot give keep it out, and a BlockBackend made for it goes again", () => {
    runGraph("disk", function* (node): Polls<void> {
      node("disk").readOnly = true;
      const blk = blkNew(node("disk").aioContext, WRITER);
      expect(blkSupportsWritePerm(blk)).toBe(true);
      yield* refuses(() => blkInsertBs(blk, node("disk")), "Block node is read-only", EPERM);
      expect(blk.rawRoot).toBeNull();
      yield* refuses(() => blkNewWithBs(node("disk")), "Block node is read-only", EPERM);
      expect(blkAll()).toEqual([blk]);
      yield* blkSetPerm(blk, READER);
      yield* blkInsertBs(blk, node("disk"));
      expect(blkSupportsWritePerm(blk)).toBe(false);
      expect((yield* settle(() => blkSetPerm(blk, WRITER))).ok).toBe(false);
      yield* bdrvUnref(node("disk"));
    });
  });
});
