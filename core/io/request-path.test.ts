// What becomes of a request on its way to a driver: widened, cut, made to wait, refused. Each of these fails when its mechanism is taken out.

import { describe, expect, it } from "vitest";
import { EBUSY, EIO, ENOTSUP, EPERM, must } from "../base/index.ts";
import {
  BDRV_BLOCK_DATA,
  BDRV_CHILD_DATA,
  BDRV_REQ_COPY_ON_READ,
  BDRV_REQ_FUA,
  BDRV_REQ_NO_FALLBACK,
  BDRV_REQ_NO_WAIT,
  BDRV_REQ_SERIALISING,
  type BdrvChild,
  BLK_PERM_ALL,
  type BlockDriver,
  type BlockDriverState,
  type BlockLimits,
  type BlockStatus,
  bdrvOpenDriver,
  type CopyRange,
  NO_LIMITS,
  type Qiov,
} from "../graph/index.ts";
import { type Co, hostAllocate, machine, type Polls, qemuCoSleepNs } from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import { bdrvCoCopyRangeTo } from "./copy-range.ts";
import {
  bdrvCoCopyRange,
  bdrvCoPdiscard,
  bdrvCoPreadv,
  bdrvCoPwritev,
  bdrvCoPwriteZeroes,
  bdrvCoTruncate,
  qiovOf,
} from "./index.ts";
import { guest, joinGuests } from "./test-support.ts";

/** How a disk is made. */
interface Made {
  readonly align?: number;
  readonly limits?: Partial<BlockLimits>;
  /** What it cannot do. */
  readonly without?: "coPwriteZeroes" | "coCopyRangeFrom" | "coCopyRangeTo";
  /** Fails with EIO. */
  readonly fails?: "read" | "to";
  /** What it has comes from below until it is written. */
  readonly copies?: boolean;
  /** It also notes when it has done what it was asked for. */
  readonly ends?: boolean;
}

/** A disk of 256 bytes that notes what its driver is asked for; each read and write takes ten nanoseconds. */
interface Disk {
  readonly bs: BlockDriverState;
  readonly child: BdrvChild;
  readonly log: string[];
}

const TOP: BlockDriver = {
  formatName: "top",
  isFilter: false,
  childPerm: () => ({ perm: BLK_PERM_ALL, sharedPerm: BLK_PERM_ALL }),
};

function withoutPart(drv: BlockDriver, part: NonNullable<Made["without"]>): BlockDriver {
  const { [part]: _gone, ...rest } = drv;
  return rest;
}

function* diskOf({ align = 8, limits = {}, without, fails, ends, copies }: Made): Polls<Disk> {
  const log: string[] = [];
  const asked = function* (what: string, offset: number, bytes: number): Co<number> {
    log.push(`${what} ${offset}+${bytes}`);
    yield* qemuCoSleepNs(10);
    if (ends === true) log.push(`${what} done`);
    return what === fails ? -EIO : 0;
  };
  const drv: BlockDriver = {
    formatName: "disk",
    isFilter: false,
    coPreadv: (_bs, offset, bytes) => asked("read", offset, bytes),
    coPwritev: (_bs, offset, bytes) => asked("write", offset, bytes),
    coPwriteZeroes: (_bs, offset, bytes) => asked("zero", offset, bytes),
    coPdiscard: (_bs, offset, bytes) => asked("discard", offset, bytes),
    coCopyRangeFrom(_bs, range): Co<number> {
      log.push(`from ${range.srcOffset}+${range.bytes}`);
      return bdrvCoCopyRangeTo(range);
    },
    coCopyRangeTo: (_bs, { dstOffset, bytes }) => asked("to", dstOffset, bytes),
    coFlushToDisk: () => asked("flush", 0, 0),
    getInfo: () => ({ isDirty: false, clusterBytes: 64 }),
    coTruncate: (_bs, offset) => asked("truncate", offset, 0),
    *coDebugEvent(_bs, event): Co<void> {
      if (event.startsWith("pwritev_rmw")) log.push(event.slice("pwritev_rmw_".length));
    },
  };
  const status = function* (
    _bs: unknown,
    _zero: unknown,
    _at: unknown,
    pnum: number,
  ): Co<BlockStatus> {
    const isWritten = log.some((line) => line.startsWith("write") && line.endsWith("done"));
    return { ret: isWritten ? BDRV_BLOCK_DATA : 0, pnum, map: 0, file: null };
  };
  const whole = copies === true ? { ...drv, coBlockStatus: status } : drv;
  const able = without === undefined ? whole : withoutPart(whole, without);
  const bs = yield* bdrvOpenDriver(able, "", {
    totalBytes: 512,
    requestAlignment: align,
    limits: { ...NO_LIMITS, ...limits },
  });
  const children = [{ name: "x", role: BDRV_CHILD_DATA, bs }];
  const top = yield* bdrvOpenDriver(TOP, "", { children });
  return { bs, child: must(top.rawChildren.first, "the child is attached"), log };
}

type Ask = (disk: Disk) => Co<number>;

const buffer = (bytes: number): Qiov => qiovOf(hostAllocate(bytes));
const write =
  (offset: number, bytes: number, flags = 0): Ask =>
  ({ child }): Co<number> =>
    bdrvCoPwritev(child, offset, bytes, buffer(bytes), flags);
const read =
  (offset: number, bytes: number): Ask =>
  ({ child }): Co<number> =>
    bdrvCoPreadv(child, offset, bytes, buffer(bytes));
const zero =
  (offset: number, bytes: number, flags = 0): Ask =>
  ({ child }): Co<number> =>
    bdrvCoPwriteZeroes(child, offset, bytes, flags);
const discard =
  (offset: number, bytes: number): Ask =>
  ({ child }): Co<number> =>
    bdrvCoPdiscard(child, offset, bytes);
const truncate =
  (offset: number): Ask =>
  ({ child }): Co<number> =>
    bdrvCoTruncate(child, offset);

/** What the driver is asked for while `asks` are under way together, begun in their order, and what they return. */
function run(made: Made, ...asks: Ask[]): { log: string; rets: number[] } {
  const rets: number[] = asks.map(() => Number.NaN);
  let log = "";
  const { outcome, machine: ran } = runMain(function* (): Polls<void> {
    const disk = yield* diskOf(made);
    const guests = asks.map((ask, index) =>
      guest(machine.mainContext, function* (): Co<void> {
        rets[index] = yield* ask(disk);
      }),
    );
    for (const one of guests) yield* joinGuests(one);
    log = disk.log
      .filter((line) => !line.startsWith("flush") || made.limits?.maxTransfer)
      .join(", ");
  });
  if (outcome !== "ok") throw new Error(`${outcome}: ${ran.assertion?.message ?? ""}`);
  return { log, rets };
}

const logOf = (made: Made, ...asks: Ask[]): string => run(made, ...asks).log;

describe("a request that covers blocks in part", () => {
  it("reads what is around it, ends that touch at once, and writes it all back", () => {
    expect(logOf({}, write(8, 16))).toBe("write 8+16");
    expect(logOf({}, write(3, 2))).toBe("head, tail, read 0+8, after_head, after_tail, write 0+8");
    expect(logOf({}, write(3, 5))).toBe("head, read 0+8, after_head, write 0+8");
    expect(logOf({}, write(3, 10))).toBe(
      "head, tail, read 0+16, after_head, after_tail, write 0+16",
    );
    expect(logOf({}, write(3, 20))).toBe(
      "head, read 0+8, after_head, tail, read 16+8, after_tail, write 0+24",
    );
    expect(logOf({}, read(3, 10))).toBe("read 0+16");
  });

  it("has zeroes between the ends made by the driver, and these written", () => {
    expect(logOf({}, zero(3, 2))).toBe("head, tail, read 0+8, after_head, after_tail, write 0+8");
    expect(logOf({}, zero(3, 10))).toBe(
      "head, tail, read 0+16, after_head, after_tail, write 0+16",
    );
    expect(logOf({}, zero(3, 30))).toBe(
      "head, read 0+8, after_head, tail, read 32+8, after_tail, write 0+8, zero 8+24, write 32+8",
    );
    expect(logOf({}, zero(8, 20))).toBe("tail, read 24+8, after_tail, zero 8+16, write 24+8");
  });

  it("writes nothing when it could not read what is around it", () => {
    expect(run({ fails: "read" }, write(3, 2))).toEqual({
      ...{ log: "head, tail, read 0+8", rets: [-EIO] },
    });
    expect(run({ fails: "read" }, zero(3, 30)).rets).toEqual([-EIO]);
    expect(logOf({ fails: "read" }, zero(3, 30))).not.toContain("write");
  });

  it("cannot be zeroes that are quicker than writing", () => {
    const fast = BDRV_REQ_NO_FALLBACK;
    expect(run({}, zero(3, 30, fast))).toEqual({ log: "", rets: [-ENOTSUP] });
    expect(run({}, zero(8, 16, fast))).toEqual({ log: "zero 8+16", rets: [0] });
    expect(run({ without: "coPwriteZeroes" }, zero(8, 16, fast)).rets).toEqual([-ENOTSUP]);
    expect(logOf({ without: "coPwriteZeroes" }, zero(8, 16))).toBe("write 8+16");
  });
});

describe("requests that overlap with one that must be alone", () => {
  const wait = (...asks: Ask[]): string =>
    logOf({}, ...asks)
      .split(", ")
      .filter((line) => line.includes("+"))
      .join(", ");

  it("come after it, reads and writes, whole blocks of it included, and others do not", () => {
    expect(wait(write(3, 2), read(0, 8))).toBe("read 0+8, write 0+8, read 0+8");
    expect(wait(write(3, 2), write(0, 8))).toBe("read 0+8, write 0+8, write 0+8");
    expect(wait(write(3, 2), write(3, 2))).toBe("read 0+8, write 0+8, read 0+8, write 0+8");
    expect(wait(zero(3, 2), discard(0, 8))).toBe("read 0+8, write 0+8, discard 0+8");
    expect(wait(write(3, 2), read(8, 8))).toBe("read 0+8, read 8+8, write 0+8");
  });

  it("are waited for by it", () => {
    const ends = (...asks: Ask[]): string => logOf({ ends: true }, ...asks);
    const serialising = write(0, 8, BDRV_REQ_SERIALISING);
    const inTurn = "read 0+8, read done, write 0+8, write done";
    expect(ends(read(0, 8), serialising)).toBe(inTurn);
    expect(ends(read(0, 8), write(0, 8))).toBe("read 0+8, write 0+8, read done, write done");
    expect(ends(read(0, 8), write(3, 2))).toMatch(/^read 0\+8, read done, head/);
    // Who waits is waited for by nobody, or there could be a circle.
    const past = "read 0+8, read 0+8, read done, read done, write 0+8, write done";
    expect(ends(read(0, 8), serialising, read(0, 8))).toBe(past);
  });

  it("are those that overlap with any block or cluster of it", () => {
    const ends = (...asks: Ask[]): string => logOf({ ends: true }, ...asks);
    const alone = write(32, 8, BDRV_REQ_SERIALISING);
    expect(ends(alone, read(0, 8))).toBe("write 32+8, write done, read 0+8, read done");
    expect(ends(alone, read(56, 8))).toBe("write 32+8, write done, read 56+8, read done");
    expect(ends(alone, read(64, 8))).toBe("write 32+8, read 64+8, write done, read done");
  });

  it("do not wait for each other in a circle", () => {
    const [one, two] = [write(3, 2), write(4, 2)];
    expect(run({}, read(0, 8), one, two, one).rets).toEqual([0, 0, 0, 0]);
  });

  it("make it fail when it may not wait", () => {
    const flags = BDRV_REQ_SERIALISING | BDRV_REQ_NO_WAIT;
    expect(run({}, read(0, 8), write(0, 8, flags)).rets).toEqual([0, -EBUSY]);
    expect(run({}, read(64, 8), write(0, 8, flags)).rets).toEqual([0, 0]);
  });

  it("wait for a node to grow, if they are about what is new", () => {
    expect(logOf({}, truncate(1024), write(512, 8))).toBe("truncate 1024+0, write 512+8");
    const { log } = run({}, truncate(1024), write(512, 8), write(0, 8));
    expect(log).toBe("truncate 1024+0, write 0+8, write 512+8");
  });
});

describe("reads that copy", () => {
  it("are alone in their clusters: who comes later finds them copied, and writes come after", () => {
    const copy: Ask = ({ child }): Co<number> =>
      bdrvCoPreadv(child, 8, 8, buffer(8), BDRV_REQ_COPY_ON_READ);
    const made = { copies: true, ends: true, without: "coPwriteZeroes" } as const;
    const copied = "read 0+64, read done, write 0+64, write done";
    expect(logOf(made, copy, copy)).toBe(`${copied}, read 8+8, read done`);
    expect(logOf(made, copy, write(32, 8))).toBe(`${copied}, write 32+8, write done`);
    expect(logOf(made, copy, write(64, 8))).not.toContain(copied);
  });
});

describe("limits", () => {
  it("cut reads and writes, with one flush behind the last piece for FUA", () => {
    const limits = { maxTransfer: 16 };
    expect(logOf({ limits }, read(8, 40))).toBe("read 8+16, read 24+16, read 40+8");
    const pieces = "write 8+16, write 24+16, write 40+8";
    expect(logOf({ limits }, write(8, 40))).toBe(pieces);
    // The first write of a node has moved no generation yet: the second one's flush goes to the disk.
    const both = function* (disk: Disk): Co<number> {
      yield* write(0, 8)(disk);
      return yield* write(8, 40, BDRV_REQ_FUA)(disk);
    };
    expect(logOf({ limits }, both)).toBe(`write 0+8, ${pieces}, flush 0+0`);
  });

  it("cut zeroes and discards at their boundaries, and to their length", () => {
    const zeroes = { pwriteZeroesAlignment: 16, maxPwriteZeroes: 32 };
    expect(logOf({ limits: zeroes }, zero(8, 80))).toBe(
      "zero 8+8, zero 16+32, zero 48+32, zero 80+8",
    );
    const discards = { pdiscardAlignment: 16, maxPdiscard: 32 };
    expect(logOf({ limits: discards }, discard(8, 80))).toBe(
      "discard 8+8, discard 16+32, discard 48+32, discard 80+8",
    );
    expect(logOf({ limits: discards }, discard(3, 30))).toBe(
      "discard 3+5, discard 8+8, discard 16+16, discard 32+1",
    );
    const bounce = { maxTransfer: 16 };
    expect(logOf({ limits: bounce, without: "coPwriteZeroes" }, zero(0, 40))).toBe(
      "write 0+16, write 16+16, write 32+8",
    );
  });

  it("do not refuse zeroes and discards of more than a buffer could hold", () => {
    const most = { maxPwriteZeroes: 2 ** 30, maxPdiscard: 2 ** 30 };
    const size = function* ({ bs }: Disk): Co<number> {
      bs.totalBytes = 2 ** 33;
      return 0;
    };
    const three = 3 * 2 ** 30;
    const parts = (what: string): string =>
      [0, 1, 2].map((one) => `${what} ${one * 2 ** 30}+${2 ** 30}`).join(", ");
    expect(run({ limits: most }, size, zero(0, three))).toEqual({
      log: parts("zero"),
      rets: [0, 0],
    });
    expect(run({ limits: most }, size, discard(0, three)).log).toBe(parts("discard"));
    expect(run({ limits: most }, size, zero(0, Number.MAX_SAFE_INTEGER)).rets).toEqual([0, -EIO]);
  });
});

describe("what lies behind the end", () => {
  it("reads as zeroes, and the driver is not asked", () => {
    const seen: number[] = [];
    const across = function* ({ child }: Disk): Co<number> {
      const into = hostAllocate(32);
      into.data?.fill(7);
      const ret = yield* bdrvCoPreadv(child, 496, 32, qiovOf(into));
      seen.push(...(into.data ?? []));
      return ret;
    };
    expect(run({}, across)).toEqual({ log: "read 496+16", rets: [0] });
    expect(seen.slice(0, 16).every((byte) => byte === 7)).toBe(true);
    expect(seen.slice(16).every((byte) => byte === 0)).toBe(true);
  });
});

describe("copy_range", () => {
  const copyWith =
    (from: number, to: number, bytes: number, rest: Partial<CopyRange> = {}): Ask =>
    ({ child }): Co<number> => {
      const ends = { src: child, srcOffset: from, dst: child, dstOffset: to };
      return bdrvCoCopyRange({ ...ends, bytes, writeFlags: 0, ...rest });
    };
  const copy = (from: number, to: number, bytes: number): Ask => copyWith(from, to, bytes);

  it("asks the source's driver, then the target's, whatever they are aligned to", () => {
    expect(logOf({}, copy(0, 64, 16))).toBe("from 0+16, to 64+16");
    expect(logOf({ limits: { maxTransfer: 8 } }, copy(3, 61, 24))).toBe("from 3+24, to 61+24");
  });

  it("waits for what serialises: at the source as a read, at the target as a write", () => {
    const waits = logOf({}, write(3, 2), copy(0, 64, 8));
    expect(waits).toBe(
      "head, tail, read 0+8, after_head, after_tail, write 0+8, from 0+8, to 64+8",
    );
    const waitsThere = logOf({}, write(67, 2), copy(0, 64, 8));
    expect(waitsThere).toBe(
      "head, tail, read 64+8, from 0+8, after_head, after_tail, write 64+8, to 64+8",
    );
  });

  it("can serialise its target itself, and is then waited for", () => {
    const serialising = copyWith(0, 64, 8, { writeFlags: BDRV_REQ_SERIALISING });
    expect(logOf({ ends: true }, serialising, write(72, 8))).toBe(
      "from 0+8, to 64+8, to done, write 72+8, write done",
    );
    expect(logOf({ ends: true }, copy(0, 64, 8), write(72, 8))).toBe(
      "from 0+8, to 64+8, write 72+8, to done, write done",
    );
  });

  it("is a write of zeroes without a source", () => {
    expect(logOf({}, copyWith(0, 64, 16, { src: null }))).toBe("zero 64+16");
  });

  it.each(["coCopyRangeFrom", "coCopyRangeTo"] as const)("is not there without %s", (without) => {
    expect(run({ without }, copy(0, 64, 8))).toEqual({ log: "", rets: [-ENOTSUP] });
  });

  it("ends with the error of the target, and its driver is not asked where nobody may write", () => {
    expect(run({ fails: "to" }, copy(0, 64, 8)).rets).toEqual([-EIO]);
    const readOnly = function* (disk: Disk): Co<number> {
      disk.bs.readOnly = true;
      const ret = yield* copy(0, 64, 8)(disk);
      disk.bs.readOnly = false;
      return ret;
    };
    expect(run({}, readOnly)).toEqual({ log: "from 0+8", rets: [-EPERM] });
  });

  it("makes a node longer, and moves what a flush looks at, as a write does", () => {
    const grows = function* (disk: Disk): Co<number> {
      const before = disk.bs.writeGen;
      const ret = yield* copy(0, 1024, 8)(disk);
      expect([disk.bs.totalBytes, disk.bs.writeGen]).toEqual([1536, before + 1]);
      return ret;
    };
    expect(run({}, grows).rets).toEqual([0]);
  });
});
