// What a request may do is asserted where it is about to be done: at the edge that it came through.

import { describe, expect, it } from "vitest";
import { blkNewWithBs, blkPreadv, blkPwritev, blkTruncate } from "../backend/index.ts";
import { must } from "../base/index.ts";
import { nullCoDriver, nullOpen, overlayOpen } from "../drivers/index.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_REQ_WRITE_UNCHANGED,
  type BdrvChild,
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  type BlockDriver,
  bdrvOpenDriver,
  bdrvRef,
} from "../graph/index.ts";
import { type Co, hostAllocate, type Polls } from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import { bdrvFlush, bdrvPwritev, bdrvPwriteZeroes, bdrvTruncate, qiovOf } from "./index.ts";

const SIZE = 8192;

/** What ends a run in which a BlockBackend with `perm` does `body`; "" when nothing does. */
function assertionOf(perm: number, body: (edge: BdrvChild) => Polls<unknown>): string {
  const run = runMain(function* (): Polls<void> {
    const bs = yield* overlayOpen({ nodeName: "disk", size: SIZE });
    const blk = yield* blkNewWithBs(bs, { perm });
    yield* body(must(blk.rawRoot, "the node is inserted"));
  });
  expect(run.outcome).toBe(run.machine.assertion === null ? "ok" : "assertion");
  return run.machine.assertion?.message ?? "";
}

const block = () => qiovOf(hostAllocate(512));
const writeAt =
  (offset: number, flags = 0) =>
  (edge: BdrvChild): Polls<number> =>
    bdrvPwritev(edge, offset, 512, block(), flags);

const NOT_LONGER =
  "offset + bytes <= bs->total_sectors * BDRV_SECTOR_SIZE || child->perm & BLK_PERM_RESIZE";

describe("an edge", () => {
  it.each([
    ["WRITE", BLK_PERM_WRITE, ""],
    ["WRITE_UNCHANGED alone", BLK_PERM_WRITE_UNCHANGED, "child->perm & BLK_PERM_WRITE"],
    ["no WRITE", BLK_PERM_ALL & ~BLK_PERM_WRITE, "child->perm & BLK_PERM_WRITE"],
  ])("with %s: a write, also of zeroes", (_, perm, assertion) => {
    expect(assertionOf(perm, writeAt(0))).toBe(assertion);
    expect(assertionOf(perm, (edge) => bdrvPwriteZeroes(edge, 0, 4096))).toBe(assertion);
  });

  it.each([
    ["WRITE", BLK_PERM_WRITE, ""],
    ["WRITE_UNCHANGED", BLK_PERM_WRITE_UNCHANGED, ""],
    [
      "neither",
      BLK_PERM_CONSISTENT_READ | BLK_PERM_RESIZE,
      "child->perm & (BLK_PERM_WRITE_UNCHANGED | BLK_PERM_WRITE)",
    ],
  ])("with %s: a write that changes nothing visible", (_, perm, assertion) => {
    expect(assertionOf(perm, writeAt(0, BDRV_REQ_WRITE_UNCHANGED))).toBe(assertion);
  });

  it.each([
    ["RESIZE", BLK_PERM_WRITE | BLK_PERM_RESIZE, "", ""],
    ["no RESIZE", BLK_PERM_WRITE, NOT_LONGER, "child->perm & BLK_PERM_RESIZE"],
  ])("with %s: a write behind the end, and a truncation", (_, perm, longer, shorter) => {
    expect(assertionOf(perm, writeAt(SIZE - 512))).toBe("");
    expect(assertionOf(perm, writeAt(SIZE))).toBe(longer);
    expect(assertionOf(perm, (edge) => bdrvTruncate(edge, SIZE + 512))).toBe(longer);
    expect(assertionOf(perm, (edge) => bdrvTruncate(edge, 512))).toBe(shorter);
  });

  it("of any kind may be read through", () => {
    const run = runMain(function* (log): Polls<void> {
      const bs = yield* overlayOpen({ nodeName: "disk", size: SIZE });
      const blk = yield* blkNewWithBs(bs, { perm: 0 });
      log.push(`${yield* blkPreadv(blk, 0, 512, block())}`);
    });
    expect(run.log).toBe("0");
  });

  it("to an inactive node, which is written all the same", () => {
    const run = runMain(function* (): Polls<void> {
      const bs = yield* overlayOpen({ nodeName: "disk", size: SIZE });
      const blk = yield* blkNewWithBs(bs);
      bs.inactive = true;
      yield* blkPwritev(blk, 0, 512, block());
    });
    expect(run.machine.assertion?.message).toBe("!(bs->open_flags & BDRV_O_INACTIVE)");
  });

  it("without the permission is refused by a read-only node first", () => {
    const run = runMain(function* (log): Polls<void> {
      const bs = yield* nullOpen(nullCoDriver, { nodeName: "null", size: SIZE });
      const blk = yield* blkNewWithBs(bs, { perm: BLK_PERM_CONSISTENT_READ });
      bs.readOnly = true;
      log.push(`${yield* blkPwritev(blk, 0, 512, block())}`, `${yield* blkTruncate(blk, 0)}`);
    });
    expect(run.log).toBe("-1 -13");
  });
});

describe("a flush", () => {
  it("goes down where the edge may be written through, in either way", () => {
    //   top -x-> disk, with every single permission
    const flushedWith = (perm: number): string =>
      runMain(function* (log): Polls<void> {
        const disk: BlockDriver = {
          formatName: "disk",
          isFilter: false,
          *coFlushToOs(): Co<number> {
            log.push("flushed");
            return 0;
          },
        };
        const bs = yield* bdrvOpenDriver(disk, "disk");
        const above: BlockDriver = {
          formatName: "above",
          isFilter: false,
          childPerm: () => ({ perm, sharedPerm: BLK_PERM_ALL }),
        };
        bdrvRef(bs);
        const top = yield* bdrvOpenDriver(above, "top", {
          children: [{ name: "x", role: BDRV_CHILD_DATA, bs }],
        });
        yield* bdrvFlush(top);
      }).log;
    expect(flushedWith(BLK_PERM_WRITE)).toBe("flushed");
    expect(flushedWith(BLK_PERM_WRITE_UNCHANGED)).toBe("flushed");
    expect(flushedWith(BLK_PERM_CONSISTENT_READ | BLK_PERM_RESIZE)).toBe("");
  });
});
