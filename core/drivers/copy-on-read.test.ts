import { describe, expect, it } from "vitest";
import { blkUnref } from "../backend/index.ts";
import { graphToTextWithPerms } from "../graph/graph-text.ts";
import { BDRV_BLOCK_ALLOCATED, type BlockDriverState, bdrvUnref, settle } from "../graph/index.ts";
import { bdrvBlockStatusAbove } from "../io/index.ts";
import type { Polls } from "../sched/index.ts";
import { blkdebugOpen } from "./blkdebug/index.ts";
import { copyOnReadOpen } from "./copy-on-read.ts";
import { overlayOpen } from "./overlay.ts";
import { runDisk, textDisk } from "./test-support.ts";

const CLUSTER = 512;
const SIZE = 8 * CLUSTER;

/** An overlay with one letter in each cluster where `drawing` has one, above `backing`. */
function* drawn(
  nodeName: string,
  drawing: string,
  backing?: BlockDriverState,
): Polls<BlockDriverState> {
  const below = backing === undefined ? {} : { backing };
  const bs = yield* overlayOpen({ nodeName, size: SIZE, clusterBytes: CLUSTER, ...below });
  bs.refcnt++;
  const { blk, writeText } = yield* textDisk(bs);
  for (const [index, letter] of [...drawing].entries())
    if (letter !== ".") yield* writeText(index * CLUSTER, letter.repeat(CLUSTER));
  yield* blkUnref(blk);
  return bs;
}

/** Which clusters of `bs` are allocated, as `x`. */
function* allocation(bs: BlockDriverState): Polls<string> {
  let text = "";
  for (let at = 0; at < SIZE; at += CLUSTER) {
    const below = bs.rawBacking?.rawBs ?? null;
    const { ret } = yield* bdrvBlockStatusAbove(bs, below, at, CLUSTER);
    text += (ret & BDRV_BLOCK_ALLOCATED) === 0 ? "." : "x";
  }
  return text;
}

describe("copy-on-read", () => {
  it("writes whole clusters of what it reads from backing files into the image", () => {
    runDisk(function* (): Polls<void> {
      const base = yield* drawn("base", "bbbb.bbb");
      const top = yield* drawn("top", ".t......", base);
      const { readText } = yield* textDisk(yield* copyOnReadOpen("cor", top));
      expect(yield* readText(CLUSTER - 2, 4)).toBe("bbtt");
      expect(yield* allocation(top)).toBe("xx......");
      // The whole of it, from the middle of a cluster to the middle of another.
      expect(yield* readText(2 * CLUSTER + 1, 3 * CLUSTER)).toHaveLength(3 * CLUSTER);
      expect(yield* allocation(top)).toBe("xxxxxx..");
      expect(yield* allocation(base)).toBe("xxxx.xxx");
      expect(yield* readText(2 * CLUSTER - 1, 3)).toBe("tbb");
    });
  });

  it("copies what is at or above the bottom node, and freezes the links to it", () => {
    runDisk(function* (): Polls<void> {
      const base = yield* drawn("base", "bbbbbbbb");
      const mid = yield* drawn("mid", ".m.m....", base);
      const top = yield* drawn("top", "t.......", mid);
      const cor = yield* copyOnReadOpen("cor", top, "mid");
      expect(top.rawBacking?.frozen).toBe(true);
      const { blk, readText } = yield* textDisk(cor);
      expect(yield* readText(0, SIZE)).toBe([..."tmbmbbbb"].map((a) => a.repeat(CLUSTER)).join(""));
      expect(yield* allocation(top)).toBe("xx.x....");
      top.refcnt++;
      yield* blkUnref(blk);
      yield* bdrvUnref(cor);
      expect(top.rawBacking?.frozen).toBe(false);
    });
  });

  it("asks to write what is there already, and refuses a bottom node that is none", () => {
    runDisk(function* (): Polls<void> {
      const cor = yield* copyOnReadOpen("cor", yield* drawn("top", ""));
      expect(graphToTextWithPerms([cor])).toBe("cor -file{u/rwus}-> top");
      for (const [bottom, text] of [
        ["none", "Bottom node 'none' not found"],
        ["filter", "Bottom node 'filter' is a filter"],
        ["top", "Bottom node 'top' is not below the node that is filtered"],
      ] as const) {
        const image = yield* drawn(`image-${bottom}`, "");
        const filter = yield* blkdebugOpen({ nodeName: "filter", image });
        const opened = yield* settle(() => copyOnReadOpen("", filter, bottom));
        expect(opened.ok ? "" : opened.error.message).toBe(text);
      }
    });
  });
});
