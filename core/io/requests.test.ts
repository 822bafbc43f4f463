// Requests on an overlay in memory, whose contents tests can look at.

import { describe, expect, it } from "vitest";
import { EIO, ENOMEDIUM, must } from "../base/index.ts";
import {
  filterDriver,
  InjectErrorState,
  injectErrorDriver,
  overlayOpen,
} from "../drivers/index.ts";
import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  BDRV_REQ_FUA,
  type BdrvChild,
  BLK_PERM_ALL,
  type BlockDriver,
  type BlockDriverState,
  bdrvOpenDriver,
} from "../graph/index.ts";
import { EventLog } from "../graph/test-support.ts";
import {
  type Co,
  GuestBuffer,
  hostAllocate,
  machine,
  type Polls,
  qemuCoSleepNs,
} from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import {
  BDRV_REQUEST_MAX_BYTES,
  bdrvCoCopyRange,
  bdrvCoFlush,
  bdrvCoPreadv,
  bdrvCoPwritev,
  bdrvFlush,
  bdrvGetlength,
  bdrvIoPlug,
  bdrvIoUnplug,
  bdrvIsInserted,
  bdrvPreadv,
  bdrvPwritev,
  bdrvPwriteZeroes,
  bdrvTruncate,
  qiovOf,
} from "./index.ts";
import { guest, joinGuests } from "./test-support.ts";

/** A filter that takes a while for each read and write. */
const slowFilter: BlockDriver = {
  ...filterDriver,
  formatName: "slow",
  *coPreadv(...args): Co<number> {
    yield* qemuCoSleepNs(10);
    return yield* must(filterDriver.coPreadv, "a filter reads")(...args);
  },
  *coPwritev(...args): Co<number> {
    yield* qemuCoSleepNs(10);
    return yield* must(filterDriver.coPwritev, "a filter writes")(...args);
  },
};

/** May do everything with its child, and shares everything. */
const TOP: BlockDriver = {
  formatName: "top",
  isFilter: false,
  childPerm: () => ({ perm: BLK_PERM_ALL, sharedPerm: BLK_PERM_ALL }),
};

/** A disk of 64 KiB in memory below an edge; alignment as asked for. */
interface Disk {
  readonly child: BdrvChild;
  readonly bs: BlockDriverState;
  readonly writeText: (offset: number, text: string, flags?: number) => Polls<number>;
  /** What is there, with `.` for zero. */
  readonly readText: (offset: number, bytes: number) => Polls<string>;
}

function withDisk(
  requestAlignment: number,
  body: (disk: Disk, log: string[]) => Polls<void>,
  probe = new EventLog([]),
): string {
  const run = runMain(
    function* (log): Polls<void> {
      const bs = yield* overlayOpen({ nodeName: "disk", size: 65_536, clusterBytes: 4096 });
      bs.requestAlignment = requestAlignment;
      const top = yield* bdrvOpenDriver(TOP, "top", {
        children: [{ name: "x", role: BDRV_CHILD_DATA, bs }],
      });
      const child = must(top.rawChildren.first, "the child is attached");
      yield* body(diskOf(bs, child), log);
    },
    { probe },
  );
  if (run.outcome !== "ok") throw new Error(`the run ended with "${run.outcome}"`);
  return run.log;
}

function diskOf(bs: BlockDriverState, child: BdrvChild): Disk {
  return {
    bs,
    child,
    *writeText(offset, text): Polls<number> {
      return yield* bdrvPwritev(child, offset, text.length, qiovOf(bufferOf(text)));
    },
    *readText(offset, bytes): Polls<string> {
      const buffer = hostAllocate(bytes);
      expect(yield* bdrvPreadv(child, offset, bytes, qiovOf(buffer))).toBe(0);
      return textOf(buffer);
    },
  };
}

function bufferOf(text: string): GuestBuffer {
  return new GuestBuffer(
    text.length,
    Uint8Array.from(text, (letter) => letter.charCodeAt(0)),
  );
}

function textOf(buffer: GuestBuffer): string {
  const bytes = [...must(buffer.data, "test buffers have contents")];
  return bytes.map((byte) => (byte === 0 ? "." : String.fromCharCode(byte))).join("");
}

describe("requests", () => {
  it.each([1, 8])("write and read back what lies anywhere, with alignment %d", (alignment) => {
    withDisk(alignment, function* ({ writeText, readText, bs }) {
      expect(yield* writeText(8, "abcdefgh")).toBe(0);
      expect(yield* writeText(13, "XY")).toBe(0);
      expect(yield* writeText(3, "0123456789")).toBe(0);
      expect(yield* readText(0, 20)).toBe("...0123456789XYh....");
      expect(yield* readText(9, 3)).toBe("678");
      expect(bs.trackedRequests).toEqual([]);
      expect([bs.inFlight, bs.serialisingInFlight]).toEqual([0, 0]);
    });
  });

  it("write zeroes over parts of blocks and over whole ones", () => {
    withDisk(8, function* ({ writeText, readText, child }) {
      yield* writeText(0, "abcdefghijklmnopqrstuvwxyzABCDEF");
      expect(yield* bdrvPwriteZeroes(child, 10, 3)).toBe(0);
      expect(yield* bdrvPwriteZeroes(child, 14, 11)).toBe(0);
      expect(yield* readText(0, 32)).toBe("abcdefghij...n...........zABCDEF");
    });
  });

  it("read zeroes behind the end, and lengthen the node by writing there", () => {
    withDisk(1, function* ({ writeText, readText, bs }) {
      expect(yield* readText(65_530, 10)).toBe("..........");
      expect(yield* writeText(65_600, "end")).toBe(0);
      expect(bdrvGetlength(bs)).toBe(65_536 + 512);
      expect(yield* readText(65_598, 7)).toBe("..end..");
    });
  });

  it("that cannot be are refused", () => {
    withDisk(1, function* ({ child, bs, writeText }) {
      const buffer = qiovOf(hostAllocate(4));
      expect(yield* bdrvPreadv(child, -1, 4, buffer)).toBe(-EIO);
      expect(yield* bdrvPreadv(child, 0, 5, buffer)).toBe(-EIO);
      expect(yield* bdrvPreadv(child, 0, BDRV_REQUEST_MAX_BYTES + 1, buffer)).toBe(-EIO);
      bs.readOnly = true;
      expect(yield* writeText(0, "a")).toBe(-1);
    });
  });

  it("that write to parts of one block take turns, or they would write back what others changed", () => {
    const log = withDisk(1, function* ({ bs }, log) {
      bs.refcnt++;
      const slow = yield* bdrvOpenDriver(slowFilter, "slow", {
        children: [{ name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs }],
        requestAlignment: 512,
      });
      const top = yield* bdrvOpenDriver(TOP, "above", {
        children: [{ name: "x", role: BDRV_CHILD_DATA, bs: slow }],
      });
      const edge = must(top.rawChildren.first, "the child is attached");
      const writer = (offset: number, text: string) =>
        guest(machine.mainContext, function* (): Co<void> {
          yield* bdrvCoPwritev(edge, offset, text.length, qiovOf(bufferOf(text)));
          log.push(text);
        });
      const aligned = "x".repeat(512);
      yield* joinGuests(
        writer(0, "aaaa"),
        writer(4, "bbbb"),
        writer(512, aligned),
        writer(2, "cccc"),
      );
      log.push(yield* diskOf(slow, edge).readText(0, 10));
      expect([slow.serialisingInFlight, slow.trackedRequests.length]).toEqual([0, 0]);
    });
    // The aligned write elsewhere passes all of them.
    expect(log.replaceAll(/x+/g, "x")).toBe("x aaaa bbbb cccc aaccccbb..");
  });

  it("of copy_range move what is there", () => {
    withDisk(1, function* ({ child, writeText, readText }) {
      yield* writeText(0, "abcdef");
      const copier = guest(machine.mainContext, function* (): Co<void> {
        const ends = { src: child, srcOffset: 1, dst: child, dstOffset: 100 };
        expect(yield* bdrvCoCopyRange({ ...ends, bytes: 4, writeFlags: 0 })).toBe(0);
      });
      yield* joinGuests(copier);
      expect(yield* readText(99, 6)).toBe(".bcde.");
    });
  });

  it("walk the children before they count in flight, and are counted before they are tracked", () => {
    const probe = new EventLog([
      "list_read",
      "bs_in_flight_inc",
      "bs_in_flight_dec",
      "tracked_begin",
      "tracked_end",
      "kick",
    ]);
    withDisk(
      1,
      function* ({ child }): Polls<void> {
        probe.lines.length = 0;
        yield* bdrvPreadv(child, 0, 4, qiovOf(hostAllocate(4)));
        probe.lines.push("returned");
      },
      probe,
    );
    expect(probe.lines.slice(0, probe.lines.indexOf("returned"))).toMatchInlineSnapshot(`
      [
        "list_read list=5 owner=1 bdrv_preadv",
        "list_read list=5 owner=1 bdrv_co_preadv_part",
        "list_read list=1 owner=1 bdrv_is_inserted",
        "bs_in_flight_inc node=1 new=1",
        "tracked_begin node=1 type=1 bytes=4 offset=0",
        "list_read list=4 owner=1 overlay_co_preadv",
        "tracked_end node=1 type=1",
        "bs_in_flight_dec node=1 new=0",
        "kick waiters=0",
        "kick waiters=0",
      ]
    `);
  });
});

describe("truncate", () => {
  it("shortens, and what is lengthened again is zero", () => {
    withDisk(1, function* ({ child, writeText, readText, bs }) {
      yield* writeText(10, "abcdef");
      expect(yield* bdrvTruncate(child, 512)).toBe(0);
      expect(bdrvGetlength(bs)).toBe(512);
      expect(yield* bdrvTruncate(child, 0)).toBe(0);
      expect(yield* bdrvTruncate(child, 1024)).toBe(0);
      expect(yield* readText(10, 6)).toBe("......");
      expect(bdrvGetlength(bs)).toBe(1024);
    });
  });
});

describe("flush", () => {
  /** A disk whose flush takes a while; `log` says when it starts and ends. */
  function flushing(log: string[]): BlockDriver {
    let flushes = 0;
    return {
      formatName: "flushing",
      isFilter: false,
      *coPwritev(): Co<number> {
        return 0;
      },
      *coFlushToDisk(): Co<number> {
        const id = ++flushes;
        log.push(`start${id}`);
        yield* qemuCoSleepNs(10);
        log.push(`end${id}`);
        return 0;
      },
    };
  }

  function* openFlushing(log: string[]): Polls<BlockDriverState> {
    return yield* bdrvOpenDriver(flushing(log), "disk", { totalBytes: 65_536 });
  }

  function* openAbove(bs: BlockDriverState): Polls<BdrvChild> {
    const top = yield* bdrvOpenDriver(TOP, "top", {
      children: [{ name: "x", role: BDRV_CHILD_DATA, bs }],
    });
    return must(top.rawChildren.first, "the child is attached");
  }

  const run = (body: (log: string[]) => Polls<void>): string => {
    const { outcome, log } = runMain(body);
    expect(outcome).toBe("ok");
    return log;
  };

  it("goes to the disk when something was written since the last, one flush at a time", () => {
    const log = run(function* (log): Polls<void> {
      const bs = yield* openFlushing(log);
      const edge = yield* openAbove(bs);
      log.push(`${yield* bdrvFlush(bs)}`);
      yield* bdrvPwritev(edge, 0, 4, qiovOf(hostAllocate(4)));
      const flusher = () =>
        guest(machine.mainContext, function* (): Co<void> {
          log.push(`ret${yield* bdrvCoFlush(bs)}`);
        });
      yield* joinGuests(flusher(), flusher());
      log.push(`${yield* bdrvFlush(bs)}`);
    });
    expect(log).toBe("0 start1 end1 ret0 ret0 0");
  });

  it("reaches the children, also below a node that has nothing to flush itself", () => {
    const log = run(function* (log): Polls<void> {
      const bs = yield* openFlushing(log);
      const edge = yield* openAbove(bs);
      yield* bdrvPwritev(edge, 0, 4, qiovOf(hostAllocate(4)));
      const top = edge.opaque as BlockDriverState;
      log.push(`${yield* bdrvFlush(top)}`);
    });
    expect(log).toBe("start1 end1 0");
  });

  it("follows a write with BDRV_REQ_FUA", () => {
    const log = run(function* (log): Polls<void> {
      const edge = yield* openAbove(yield* openFlushing(log));
      const writer = guest(machine.mainContext, function* (): Co<void> {
        yield* bdrvCoPwritev(edge, 0, 4, qiovOf(hostAllocate(4)), BDRV_REQ_FUA);
        log.push("first");
        // The generation moves when a write ends: the flush of the first did not count it, the second finds it.
        yield* bdrvCoPwritev(edge, 0, 4, qiovOf(hostAllocate(4)), BDRV_REQ_FUA);
        log.push("second");
      });
      yield* joinGuests(writer);
    });
    expect(log).toBe("first start1 end1 second");
  });
});

describe("a node", () => {
  it("has its medium when all of its children have theirs", () => {
    runMain(function* (): Polls<void> {
      let there = true;
      const drv: BlockDriver = { formatName: "tray", isFilter: false, isInserted: () => there };
      const bs = yield* bdrvOpenDriver(drv, "disk", { totalBytes: 512 });
      const top = yield* bdrvOpenDriver(TOP, "top", {
        children: [{ name: "x", role: BDRV_CHILD_DATA, bs }],
      });
      const edge = must(top.rawChildren.first, "the child is attached");
      expect(bdrvIsInserted(top)).toBe(true);
      there = false;
      expect(bdrvIsInserted(top)).toBe(false);
      expect(yield* bdrvPreadv(edge, 0, 4, qiovOf(hostAllocate(4)))).toBe(-ENOMEDIUM);
      expect(bs.inFlight).toBe(0);
    });
  });

  it("is plugged with everything below it, once for all who plug it", () => {
    const { log, outcome } = runMain(function* (log): Polls<void> {
      const drv: BlockDriver = {
        formatName: "plugging",
        isFilter: false,
        ioPlug: () => log.push("plug"),
        ioUnplug: () => log.push("unplug"),
      };
      const bs = yield* bdrvOpenDriver(drv, "disk");
      const top = yield* bdrvOpenDriver(TOP, "top", {
        children: [{ name: "x", role: BDRV_CHILD_DATA, bs }],
      });
      bdrvIoPlug(top);
      bdrvIoPlug(top);
      bdrvIoUnplug(top);
      log.push("last");
      bdrvIoUnplug(top);
      expect(bs.ioPlugged).toBe(0);
    });
    expect(log).toBe("plug last unplug");
    expect(outcome).toBe("ok");
  });
});

it("a read of nothing goes to the driver, too, even at the end of the node", () => {
  const { log } = runMain(function* (log): Polls<void> {
    const drv: BlockDriver = {
      formatName: "counts",
      isFilter: false,
      coPreadv: function* (_bs, offset, bytes): Co<number> {
        log.push(`${bytes} at ${offset}`);
        return 0;
      },
    };
    const bs = yield* bdrvOpenDriver(drv, "disk", { totalBytes: 0 });
    const top = yield* bdrvOpenDriver(TOP, "top", {
      children: [{ name: "x", role: BDRV_CHILD_DATA, bs }],
    });
    const child = must(top.rawChildren.first, "the child is attached");
    expect(yield* bdrvPreadv(child, 0, 0, qiovOf(hostAllocate(0)))).toBe(0);
  });
  expect(log).toBe("0 at 0");
});

describe("an error below", () => {
  it("comes back as it is, and the request is over", () => {
    withDisk(1, function* ({ bs }, log) {
      const rules = new InjectErrorState([{ types: ["write"], errno: 28, once: true }]);
      const filter = yield* bdrvOpenDriver(injectErrorDriver, "inject", {
        opaque: rules,
        children: [{ name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs }],
      });
      bs.refcnt++;
      const top = yield* bdrvOpenDriver(TOP, "above", {
        children: [{ name: "x", role: BDRV_CHILD_DATA, bs: filter }],
      });
      const edge = must(top.rawChildren.first, "the child is attached");
      const writer = guest(machine.mainContext, function* (): Co<void> {
        log.push(String(yield* bdrvCoPwritev(edge, 0, 4, qiovOf(bufferOf("abcd")))));
        log.push(String(yield* bdrvCoPwritev(edge, 0, 4, qiovOf(bufferOf("abcd")))));
        log.push(String(yield* bdrvCoPreadv(edge, 0, 4, qiovOf(hostAllocate(4)))));
      });
      yield* joinGuests(writer);
      expect(log).toEqual(["-28", "0", "0"]);
      expect([filter.inFlight, bs.inFlight]).toEqual([0, 0]);
    });
  });
});
