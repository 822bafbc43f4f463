// Block status on small chains: which layer decides, where its bytes are, and how far the answer reaches.

import { describe, expect, it } from "vitest";
import { EIO, must } from "../base/index.ts";
import { filterDriver, nullCoDriver, nullOpen, overlayOpen, rawOpen } from "../drivers/index.ts";
import {
  BDRV_BLOCK_ALLOCATED,
  BDRV_BLOCK_DATA,
  BDRV_BLOCK_EOF,
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_RECURSE,
  BDRV_BLOCK_ZERO,
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  BLK_PERM_ALL,
  type BlockDriver,
  type BlockDriverState,
  type BlockStatus,
  bdrvOpenDriver,
  bdrvRef,
} from "../graph/index.ts";
import {
  type Co,
  hostAllocate,
  iothreadCreate,
  iothreadStopJoin,
  type Polls,
} from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import {
  bdrvBlockStatus,
  bdrvBlockStatusAbove,
  bdrvIsAllocated,
  bdrvIsAllocatedAbove,
  bdrvPdiscard,
  bdrvPwrite,
  bdrvPwriteZeroes,
  type StatusAbove,
} from "./index.ts";

const FLAGS: readonly (readonly [string, number])[] = [
  ["data", BDRV_BLOCK_DATA],
  ["zero", BDRV_BLOCK_ZERO],
  ["mapped", BDRV_BLOCK_OFFSET_VALID],
  ["allocated", BDRV_BLOCK_ALLOCATED],
  ["eof", BDRV_BLOCK_EOF],
  ["recurse", BDRV_BLOCK_RECURSE],
];

/** `4096: data allocated @512 of base`, or the errno. */
function text({ ret, pnum, map, file }: StatusAbove): string {
  if (ret < 0) return String(ret);
  const words = FLAGS.filter(([, bit]) => (ret & bit) !== 0).map(([word]) => word);
  const place = (ret & BDRV_BLOCK_OFFSET_VALID) === 0 ? [] : [`@${map} of ${file?.nodeName}`];
  return `${pnum}: ${[...words, ...place].join(" ")}`;
}

/** Parent of everything, which may do everything. */
const TOP: BlockDriver = {
  formatName: "top",
  isFilter: false,
  childPerm: () => ({ perm: BLK_PERM_ALL, sharedPerm: BLK_PERM_ALL }),
};

function* above(bs: BlockDriverState): Polls<BdrvChild> {
  bdrvRef(bs);
  const children = [{ name: "x", role: BDRV_CHILD_DATA, bs }];
  const top = yield* bdrvOpenDriver(TOP, `above-${bs.nodeName}`, { children });
  return must(top.rawChildren.first, "the child is attached");
}

function run(body: () => Polls<void>): void {
  const { outcome, machine } = runMain(body);
  expect([outcome, machine.assertion?.message]).toEqual(["ok", undefined]);
}

/** top (64 KiB) over mid (48 KiB) over base (32 KiB), overlays of 4 KiB clusters; one cluster written in each. */
function* chain(): Polls<{ top: BlockDriverState; mid: BlockDriverState; base: BlockDriverState }> {
  const clusterBytes = 4096;
  const base = yield* overlayOpen({ nodeName: "base", size: 32_768, clusterBytes });
  yield* bdrvPwrite(yield* above(base), 0, 4096, hostAllocate(4096));
  const mid = yield* overlayOpen({ nodeName: "mid", size: 49_152, clusterBytes, backing: base });
  yield* bdrvPwrite(yield* above(mid), 4096, 4096, hostAllocate(4096));
  const top = yield* overlayOpen({ nodeName: "top", size: 65_536, clusterBytes, backing: mid });
  const edge = yield* above(top);
  yield* bdrvPwrite(edge, 8192, 4096, hostAllocate(4096));
  yield* bdrvPwriteZeroes(edge, 12_288, 4096);
  return { top, mid, base };
}

describe("block status", () => {
  it("says which layer decides, and how deep it is", () => {
    run(function* (): Polls<void> {
      const { top, mid, base } = yield* chain();
      const at = function* (offset: number): Polls<string> {
        return text(yield* bdrvBlockStatusAbove(top, null, offset, 65_536 - offset));
      };
      expect(yield* at(0)).toBe("4096: data allocated");
      expect(yield* at(4096)).toBe("4096: data allocated");
      expect(yield* at(8192)).toBe("4096: data allocated");
      expect(yield* at(12_288)).toBe("4096: zero allocated");
      // Nobody has it, and the last of them has no backing file: zeroes, allocated nowhere, to the end of base. That it is
      // the end of base, not of top, is not taken out of an answer that nobody decided; so it is in QEMU.
      expect(yield* at(16_384)).toBe("16384: zero eof");
      // Behind the end of base, mid reads zeroes as if they were its own.
      expect(yield* at(32_768)).toBe("16384: zero allocated");
      expect(yield* at(49_152)).toBe("16384: zero allocated eof");
      expect(yield* at(65_536)).toBe("0: eof");
      expect(text(yield* bdrvBlockStatus(top, 0, 65_536))).toBe("8192: ");
      const deep = { base, includeBase: true };
      const depth = function* (offset: number): Polls<unknown> {
        return yield* bdrvIsAllocatedAbove(top, deep, offset, 4096);
      };
      expect(yield* depth(8192)).toEqual({ ret: 1, pnum: 4096 });
      expect(yield* depth(4096)).toEqual({ ret: 2, pnum: 4096 });
      expect(yield* depth(0)).toEqual({ ret: 3, pnum: 4096 });
      expect(yield* depth(16_384)).toEqual({ ret: 0, pnum: 4096 });
      expect(
        yield* bdrvIsAllocatedAbove(top, { base: mid, includeBase: false }, 4096, 4096),
      ).toEqual({ ret: 0, pnum: 4096 });
      expect(yield* bdrvIsAllocated(mid, 4096, 4096)).toEqual({ ret: 1, pnum: 4096 });
      expect(yield* bdrvBlockStatusAbove(top, top, 0, 512)).toMatchObject({ ret: 0, pnum: 512 });
      expect([top.inFlight, mid.inFlight, base.inFlight]).toEqual([0, 0, 0]);
    });
  });

  it("is asked of the node below by raw and by filters", () => {
    run(function* (): Polls<void> {
      const zeroes = yield* nullOpen(nullCoDriver, {
        nodeName: "zeroes",
        size: 4096,
        readZeroes: true,
      });
      const raw = yield* rawOpen("raw", zeroes);
      const role = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;
      const children = [{ name: "file", role, bs: raw }];
      const filter = yield* bdrvOpenDriver(filterDriver, "filter", { children });
      const expected = "3072: zero mapped allocated eof @1024 of zeroes";
      expect(text(yield* bdrvBlockStatusAbove(filter, null, 1024, 4096))).toBe(expected);
      // A driver that cannot say has data; only a protocol knows where.
      const plain: BlockDriver = { formatName: "plain", isFilter: false };
      const bs = yield* bdrvOpenDriver(plain, "plain", { totalBytes: 2048 });
      expect(text(yield* bdrvBlockStatus(bs, 512, 4096))).toBe("1536: data allocated eof");
      const protocol = yield* bdrvOpenDriver({ ...plain, isProtocol: true }, "protocol", {
        totalBytes: 2048,
      });
      expect(text(yield* bdrvBlockStatus(protocol, 512, 1024))).toBe(
        "1024: data mapped allocated @512 of protocol",
      );
    });
  });

  it("goes to the driver in whole blocks, and comes back cut to what was asked", () => {
    run(function* (): Polls<void> {
      const asked: string[] = [];
      const drv: BlockDriver = {
        formatName: "blocks",
        isFilter: false,
        *coBlockStatus(bs, _wantZero, offset, bytes): Co<BlockStatus> {
          asked.push(`${bytes} at ${offset}`);
          return {
            ret: BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID,
            pnum: bytes,
            map: offset,
            file: bs,
          };
        },
      };
      const bs = yield* bdrvOpenDriver(drv, "bs", { totalBytes: 8192, requestAlignment: 512 });
      expect(text(yield* bdrvBlockStatus(bs, 700, 100))).toBe(
        "100: data mapped allocated @700 of bs",
      );
      expect(asked).toEqual(["512 at 512"]);
    });
  });

  it("is remembered for data of a node without children, until zeroes or a discard come", () => {
    run(function* (): Polls<void> {
      let questions = 0;
      const ok = function* (): Co<number> {
        return 0;
      };
      const drv: BlockDriver = {
        formatName: "leaf",
        isFilter: false,
        coPwriteZeroes: ok,
        coPdiscard: ok,
        *coBlockStatus(bs, _wantZero, offset): Co<BlockStatus> {
          questions++;
          const ret = BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID;
          return { ret, pnum: 4096, map: offset, file: bs };
        },
      };
      const bs = yield* bdrvOpenDriver(drv, "bs", { totalBytes: 65_536 });
      const edge = yield* above(bs);
      const ask = function* (offset: number): Polls<number> {
        yield* bdrvBlockStatus(bs, offset, 512);
        return questions;
      };
      // Without a wish for zeroes the driver's answer may be rough: it is not kept.
      yield* bdrvIsAllocated(bs, 0, 512);
      expect(questions).toBe(1);
      expect(yield* ask(0)).toBe(2);
      expect(yield* ask(4095)).toBe(2);
      expect(yield* ask(4096)).toBe(3);
      yield* bdrvPwriteZeroes(edge, 0, 4096);
      expect(yield* ask(4096)).toBe(3);
      yield* bdrvPwriteZeroes(edge, 8191, 1);
      expect(yield* ask(4096)).toBe(4);
      bs.unmap = false;
      yield* bdrvPdiscard(edge, 4096, 512);
      expect(yield* ask(4096)).toBe(4);
      bs.unmap = true;
      yield* bdrvPdiscard(edge, 4096, 512);
      expect(yield* ask(4096)).toBe(5);
    });
  });

  it("looks for zeroes in the file of a format that asks for it, and ignores errors there", () => {
    run(function* (): Polls<void> {
      const file = yield* nullOpen(nullCoDriver, { nodeName: "f", size: 8192, readZeroes: true });
      let map = 512;
      const drv: BlockDriver = {
        formatName: "format",
        isFilter: false,
        getlength: () => 65_536,
        *coBlockStatus(_bs, _wantZero, _offset, bytes): Co<BlockStatus> {
          const ret = BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID | BDRV_BLOCK_RECURSE;
          return { ret, pnum: bytes, map, file };
        },
      };
      const role = BDRV_CHILD_DATA | BDRV_CHILD_PRIMARY;
      const children = [{ name: "file", role, bs: file }];
      const bs = yield* bdrvOpenDriver(drv, "bs", { children });
      const at = function* (): Polls<string> {
        return text(yield* bdrvBlockStatus(bs, 0, 4096));
      };
      expect(yield* at()).toBe("4096: data zero mapped allocated recurse @512 of f");
      // The file ends where the format has data: what it reads there are zeroes.
      map = 8192;
      expect(yield* at()).toBe("4096: data zero mapped allocated recurse @8192 of f");
      file.closed = true;
      expect(yield* at()).toBe("4096: data mapped allocated recurse @8192 of f");
      file.closed = false;
    });
  });

  it("fails as the driver does, and counts in flight in the node's iothread meanwhile", () => {
    run(function* (): Polls<void> {
      const ctx = iothreadCreate("io0");
      const seen: unknown[] = [];
      const drv: BlockDriver = {
        formatName: "bad",
        isFilter: false,
        *coBlockStatus(bs): Co<BlockStatus> {
          seen.push(bs.inFlight, bs.aioContext.name);
          return { ret: -EIO, pnum: 7, map: 7, file: bs };
        },
      };
      const bs = yield* bdrvOpenDriver(drv, "bs", { totalBytes: 4096, ctx });
      expect(yield* bdrvBlockStatus(bs, 0, 512)).toMatchObject({ ret: -EIO, pnum: 0, file: null });
      expect(yield* bdrvIsAllocated(bs, 0, 512)).toEqual({ ret: -EIO, pnum: 0 });
      expect(seen).toEqual([1, "io0", 1, "io0"]);
      expect(bs.inFlight).toBe(0);
      yield* iothreadStopJoin(ctx);
    });
  });
});
