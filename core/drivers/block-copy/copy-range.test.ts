// Copies that the drivers may do themselves: how large they get, and what becomes of the rest when one cannot be done so.

import { describe, expect, it } from "vitest";
import { EIO, ENOTSUP, must } from "../../base/index.ts";
import {
  BDRV_CHILD_DATA,
  type BdrvChild,
  BLK_PERM_ALL,
  type BlockDriver,
  type BlockDriverState,
  bdrvOpenDriver,
  bdrvUnref,
  NO_LIMITS,
} from "../../graph/index.ts";
import { bdrvCoCopyRangeTo } from "../../io/copy-range.ts";
import type { Co, Polls } from "../../sched/index.ts";
import { inMain, runDisk } from "../test-support.ts";
import {
  blockCopy,
  blockCopySetCopyOpts,
  blockCopyStateFree,
  blockCopyStateNew,
} from "./block-copy.ts";

const MIB = 1 << 20;
const SIZE = 40 * MIB;

const TOP: BlockDriver = {
  formatName: "top",
  isFilter: false,
  childPerm: () => ({ perm: BLK_PERM_ALL, sharedPerm: BLK_PERM_ALL }),
};

/** How the disks are made, and how the target answers to copies, in turn; the last answer for all that follow. */
interface Made {
  readonly useCopyRange?: boolean;
  readonly maxTransfer?: number;
  readonly copies?: readonly number[];
}

/** What two disks are asked for while all of the one is copied to the other, in MiB, and what that returns. */
function copied({ useCopyRange = true, maxTransfer = 0, copies = [0] }: Made): [string[], number] {
  const log: string[] = [];
  const note = function* (what: string, bytes: number, ret = 0): Co<number> {
    log.push(`${what} ${bytes / MIB}`);
    return ret;
  };
  let answers = [...copies];
  const drv: BlockDriver = {
    formatName: "disk",
    isFilter: false,
    coPreadv: (_bs, _offset, bytes) => note("read", bytes),
    coPwritev: (_bs, _offset, bytes) => note("write", bytes),
    coCopyRangeFrom: (_bs, range) => bdrvCoCopyRangeTo(range),
    coCopyRangeTo(_bs, { bytes }): Co<number> {
      const [answer = 0, ...later] = answers;
      if (later.length > 0) answers = later;
      return note("copy", bytes, answer);
    },
    getInfo: () => ({ isDirty: false, clusterBytes: MIB }),
  };
  let ret = 1;
  const open = (): Polls<BlockDriverState> =>
    bdrvOpenDriver(drv, "", { totalBytes: SIZE, limits: { ...NO_LIMITS, maxTransfer } });
  runDisk(function* (): Polls<void> {
    const children = [];
    for (const name of ["source", "target"])
      children.push({ name, role: BDRV_CHILD_DATA, bs: yield* open() });
    const top = yield* bdrvOpenDriver(TOP, "", { children, totalBytes: SIZE });
    const named = (name: string): BdrvChild => {
      for (let child = top.rawChildren.first; child !== null; child = top.rawChildren.next(child))
        if (child.name === name) return child;
      throw new Error("there is such a child");
    };
    const state = blockCopyStateNew(top, named("source"), named("target"), null);
    if (useCopyRange) blockCopySetCopyOpts(state, true);
    const call = blockCopy(state, 0, SIZE, { timeoutNs: 0, inFlightAt: top });
    ret = yield* inMain(call);
    blockCopyStateFree(state);
    yield* bdrvUnref(top);
  });
  return [log, ret];
}

const times = <T>(count: number, ...parts: T[]): T[] => new Array(count).fill(parts).flat();

describe("a copy that the drivers may do", () => {
  it("is read and written unless that was asked for", () => {
    const [log, ret] = copied({ useCopyRange: false });
    expect(ret).toBe(0);
    expect(log.toSorted()).toEqual([...times(40, "read 1"), ...times(40, "write 1")]);
  });

  it("begins with a small piece, and goes on with large ones once that has worked", () => {
    const [log, ret] = copied({});
    expect(ret).toBe(0);
    expect(log).toEqual(["copy 1", "copy 16", "copy 16", "copy 7"]);
  });

  it("is given up when it cannot be done: that piece and the others are read and written", () => {
    const [log, ret] = copied({ copies: [-ENOTSUP] });
    expect(ret).toBe(0);
    expect(log.filter((line) => line === "copy 1")).toHaveLength(1);
    expect(log.filter((line) => line === "write 1")).toHaveLength(40);
  });

  it("is given up whatever the error is, and however large the piece was", () => {
    const [log, ret] = copied({ copies: [0, 0, -EIO] });
    expect(ret).toBe(0);
    expect(log.slice(0, 5)).toEqual(["copy 1", "copy 16", "copy 16", "read 16", "write 16"]);
    expect(log.slice(5).toSorted()).toEqual([...times(7, "read 1"), ...times(7, "write 1")]);
  });

  it("is not tried where a disk takes less than a cluster at a time", () => {
    const [log, ret] = copied({ maxTransfer: MIB / 2 });
    expect(ret).toBe(0);
    expect(must(log[0], "something is done")).toBe("read 0.5");
    expect(log.some((line) => line.startsWith("copy"))).toBe(false);
  });
});
