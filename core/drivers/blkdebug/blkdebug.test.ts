// What rules do to requests, by event, state, kind and place; what limits do to them; and breakpoints under a schedule.

import { describe, expect, it } from "vitest";
import {
  type BlockBackend,
  blkCoPdiscard,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkFlush,
} from "../../backend/index.ts";
import { EINVAL, EIO, ENOENT, ENOSPC } from "../../base/index.ts";
import { graphToTextWithPerms } from "../../graph/graph-text.ts";
import {
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  type BlockDriver,
  type BlockDriverState,
  bdrvOpenDriver,
  settle,
} from "../../graph/index.ts";
import {
  bdrvDebugBreakpoint,
  bdrvDebugIsSuspended,
  bdrvDebugRemoveBreakpoint,
  bdrvDebugResume,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  qiovOf,
} from "../../io/index.ts";
import { type Guest, guest, joinGuests, NO_SITE } from "../../io/test-support.ts";
import { type Co, machine, type Polls, qemuCoSleepNs } from "../../sched/index.ts";
import { driverEventListeners } from "../driver-events.ts";
import { overlayOpen } from "../overlay.ts";
import { rawOpen } from "../raw.ts";
import { bufferOf, inMain, runDisk, type TextDisk, textDisk } from "../test-support.ts";
import { parseBlkdebugConfig } from "./config.ts";
import { type BlkdebugOptions, blkdebugOpen } from "./open.ts";

type Rules = Omit<BlkdebugOptions, "nodeName" | "image">;

/** raw above blkdebug above an overlay of 4 KiB. */
function* debugged(rules: Rules): Polls<TextDisk & { bs: BlockDriverState }> {
  const image = yield* overlayOpen({ nodeName: "image", size: 4096 });
  const debug = yield* blkdebugOpen({ nodeName: "debug", image, ...rules });
  const bs = yield* rawOpen("disk", debug);
  return { ...(yield* textDisk(bs)), bs };
}

describe("the rules of blkdebug", () => {
  it("fail what follows their event, where they say, once or for ever", () => {
    runDisk(function* (): Polls<void> {
      const { writeText, readText } = yield* debugged({
        injectError: [
          { event: "write_aio", iotype: "write", errno: ENOSPC, sector: 1, once: true },
          { event: "read_aio", iotype: "read", immediately: true, sector: 2 },
        ],
      });
      expect(yield* writeText(0, "zero")).toBe(0);
      expect(yield* writeText(512, "one")).toBe(-ENOSPC);
      expect(yield* writeText(512, "one")).toBe(0);
      expect(yield* readText(512, 3)).toBe("one");
      expect(yield* readText(1000, 100)).toBe(String(-EIO));
      expect(yield* readText(1000, 100)).toBe(String(-EIO));
    });
  });

  it("wait for their state, which others set", () => {
    runDisk(function* (): Polls<void> {
      const { blk, writeText } = yield* debugged({
        setState: [
          { event: "write_aio", state: 1, newState: 2 },
          { event: "flush_to_disk", state: 2, newState: 5 },
        ],
        injectError: [{ event: "write_aio", state: 5, iotype: "write" }],
      });
      expect(yield* writeText(0, "a")).toBe(0);
      expect(yield* writeText(0, "b")).toBe(0);
      expect(yield* blkFlush(blk)).toBe(0);
      expect(yield* writeText(0, "c")).toBe(-EIO);
    });
  });

  it("are active until the next event that has some, and an errno of 0 is none", () => {
    runDisk(function* (): Polls<void> {
      const { writeText, readText, blk } = yield* debugged({
        injectError: [
          { event: "none", iotype: "read" },
          { event: "flush_to_disk", errno: 0 },
        ],
      });
      expect(yield* writeText(0, "a")).toBe(0);
      expect(yield* readText(0, 1)).toBe(String(-EIO));
      expect(yield* blkFlush(blk)).toBe(0);
      expect(yield* readText(0, 1)).toBe("a");
    });
  });

  it("know every kind of request", () => {
    runDisk(function* (): Polls<void> {
      const { blk } = yield* debugged({
        injectError: [
          { event: "none", iotype: "write-zeroes", errno: 1 },
          { event: "none", iotype: "discard", errno: 2 },
          { event: "none", iotype: "flush", errno: 3 },
        ],
      });
      expect(yield* inMain(blkCoPwriteZeroes(blk, 0, 512))).toBe(-1);
      expect(yield* inMain(blkCoPdiscard(blk, 0, 512))).toBe(-2);
      expect(yield* blkFlush(blk)).toBe(-3);
    });
  });
});

describe("the configuration of blkdebug", () => {
  it("is read from text as QEMU reads it", () => {
    const text = `# comment

[inject-error]
event = "l2_load"
errno = "28"
once = "on"
[set-state "named"]
  event = "read_aio"
state = "0x1"
new_state = "2"`;
    const rules = parseBlkdebugConfig(text);
    expect(rules.map((rule) => Object.values(rule).join(" "))).toEqual([
      "inject-error l2_load 0 28 true false  ",
      "set-state read_aio 1 2",
    ]);
  });

  it.each([
    ["[break]\n", "There is no option group 'break'"],
    ['event = "x"', "no group defined"],
    ["[set-state]\nrubbish", "parse error"],
    ['[set-state]\nerrno = "5"', "Invalid parameter 'errno'"],
    ["[set-state]\n", "Missing event name for rule"],
    ['[inject-error]\nevent = "x"', "invalid parameter value: x"],
    ['[inject-error]\nevent = "none"\nsector = "-"', "Parameter 'sector' expects a number"],
    ['[inject-error]\nevent = "none"\nonce = "1"', "Parameter 'once' expects 'on' or 'off'"],
  ])("is refused: %j", (text, message) => {
    expect(() => parseBlkdebugConfig(text)).toThrow(message);
  });

  it("is refused with limits that cannot be met, and nothing is left", () => {
    runDisk(function* (): Polls<void> {
      for (const [rules, text] of [
        [{ align: 3 }, "align 3"],
        [{ align: 512, maxTransfer: 700 }, "max-transfer 700"],
        [{ optWriteZero: 1024, maxWriteZero: 1536 }, "max-write-zero 1536"],
        [{ align: 4096, optDiscard: 512 }, "opt-discard 512"],
      ] as const) {
        const image = yield* overlayOpen({ nodeName: "image", size: 4096 });
        const opened = yield* settle(() => blkdebugOpen({ nodeName: "debug", image, ...rules }));
        if (opened.ok) throw new Error("it was opened");
        expect(opened.error.message).toBe(`Cannot meet constraints with ${text}`);
        expect(opened.error.errno).toBe(EINVAL);
        expect(image.closed).toBe(true);
      }
    });
  });

  it("asks for permissions and keeps them from others", () => {
    runDisk(function* (): Polls<void> {
      const image = yield* overlayOpen({ nodeName: "image", size: 4096 });
      const perms = { takeChildPerms: BLK_PERM_WRITE, unshareChildPerms: BLK_PERM_RESIZE };
      const debug = yield* blkdebugOpen({ nodeName: "debug", image, ...perms });
      expect(graphToTextWithPerms([debug])).toBe("debug -image{w/rwu}-> image");
    });
  });
});

describe("the limits of blkdebug", () => {
  it("cut requests, so that none is larger and none crosses a boundary", () => {
    const log: string[] = [];
    runDisk(function* (): Polls<void> {
      const image = yield* bdrvOpenDriver(tellingDriver(log), "image", { totalBytes: 16_384 });
      const align = 512;
      const limits = { align, maxTransfer: 1024, optWriteZero: 2048, maxWriteZero: 4096 };
      const more = { optDiscard: 2048, maxDiscard: 4096 };
      const debug = yield* blkdebugOpen({ nodeName: "debug", image, ...limits, ...more });
      const disk = yield* textDisk(debug);
      log.push("|");
      expect(yield* disk.writeText(0, "x".repeat(2560))).toBe(0);
      log.push("|");
      expect(yield* disk.readText(512, 1536)).toHaveLength(1536);
      log.push("|");
      expect(yield* inMain(blkCoPwriteZeroes(disk.blk, 1536, 8704))).toBe(0);
      log.push("|");
      expect(yield* inMain(blkCoPdiscard(disk.blk, 1000, 9000))).toBe(0);
    });
    expect(log.join(" ").replaceAll(/\d+/g, (bytes) => String(Number(bytes) / 512))).toBe(
      [
        "| w0+2 w2+2 w4+1",
        "| r1+2 r3+1",
        // The first 512 bytes are less than a piece, and so written; then two pieces, two more, and the rest.
        "| w3+1 z4+8 z12+8",
        // 24 bytes alone are dropped; so is what is left behind the last block.
        "| d2+2 d4+8 d12+4 d16+3",
      ].join(" "),
    );
  });
});

/** A driver that writes down what reaches it. */
function tellingDriver(log: string[]): BlockDriver {
  const tell = function* (what: string): Co<number> {
    log.push(what);
    return 0;
  };
  return {
    formatName: "telling",
    isFilter: false,
    coPreadv: (_bs, offset, bytes) => tell(`r${offset}+${bytes}`),
    coPwritev: (_bs, offset, bytes) => tell(`w${offset}+${bytes}`),
    coPwriteZeroes: (_bs, offset, bytes) => tell(`z${offset}+${bytes}`),
    coPdiscard: (_bs, offset, bytes) => tell(`d${offset}+${bytes}`),
    getlength: (bs) => bs.totalBytes,
  };
}

describe("the breakpoints of blkdebug", () => {
  it("hold the next request, keep a drain waiting, and let it go on by tag", () => {
    const log = runDisk(function* (log): Polls<void> {
      driverEventListeners().push((event) => void log.push(String(Object.values(event)[1])));
      const { bs, blk, writeText } = yield* debugged({});
      expect(bdrvDebugBreakpoint(bs, "rubbish", "A")).toBe(-ENOENT);
      expect(bdrvDebugBreakpoint(bs, "write_aio", "A")).toBe(0);
      expect(bdrvDebugIsSuspended(bs, "A")).toBe(false);
      expect(bdrvDebugResume(bs, "A")).toBe(-ENOENT);
      const held = writer(blk, "held");
      expect(bdrvDebugIsSuspended(bs, "A")).toBe(true);
      // It holds one request, the first.
      expect(yield* writeText(10, "free")).toBe(0);
      const resumer = guest(machine.mainContext, function* (): Co<void> {
        yield* qemuCoSleepNs(1000);
        log.push(held.done ? "too early;" : "drain waits;");
        bdrvDebugResume(bs, "A");
      });
      yield* bdrvDrainedBegin(bs, NO_SITE);
      log.push(`drained, in_flight=${bs.inFlight}`);
      yield* bdrvDrainedEnd(bs, NO_SITE);
      yield* joinGuests(held, resumer);
      expect(bdrvDebugRemoveBreakpoint(bs, "A")).toBe(-ENOENT);
    });
    expect(log).toBe(
      "blkdebug: Suspended request 'A' drain waits; blkdebug: Resuming request 'A' drained, in_flight=0",
    );
  });

  it("are removed with all that they hold, be it held twice", () => {
    runDisk(function* (): Polls<void> {
      const { bs, blk } = yield* debugged({});
      bdrvDebugBreakpoint(bs, "write_aio", "A");
      bdrvDebugBreakpoint(bs, "write_aio", "B");
      const held = writer(blk, "held");
      expect(bdrvDebugResume(bs, "B")).toBe(0);
      expect(held.done).toBe(false);
      bdrvDebugBreakpoint(bs, "write_aio", "A");
      expect(bdrvDebugRemoveBreakpoint(bs, "A")).toBe(0);
      yield* joinGuests(held, writer(blk, "free"));
      expect(bdrvDebugIsSuspended(bs, "A")).toBe(false);
    });
  });
});

/** A guest of main that writes `text` at the start. */
function writer(blk: BlockBackend, text: string): Guest {
  return guest(machine.mainContext, function* (): Co<void> {
    expect(yield* blkCoPwritev(blk, 0, text.length, qiovOf(bufferOf(text)))).toBe(0);
  });
}
