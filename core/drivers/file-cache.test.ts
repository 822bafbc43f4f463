import { describe, expect, it } from "vitest";
import { SimulatedHost } from "#explorer";
import { blkFlush } from "../backend/index.ts";
import { EINVAL, type HostHandle } from "../base/index.ts";
import {
  type BlockDriverState,
  bdrvReopen,
  bdrvSetCache,
  bdrvSetInheritsFrom,
  CACHED,
  settle,
} from "../graph/index.ts";
import type { HostCallRequest, HostOp, HostResult, Polls } from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import { rawOpen } from "./raw.ts";
import { runDisk, textDisk } from "./test-support.ts";

/** Files that are open past the cache come in blocks; notes what is read, written and flushed. */
class Disk extends SimulatedHost {
  readonly asked: string[] = [];
  readonly #direct = new Set<HostHandle>();
  readonly #blocks: number;

  /** `blocks` 0: there is no block that will do; below: such files cannot be opened. */
  constructor(blocks = 512) {
    super({ seed: 1 });
    this.#blocks = blocks;
  }

  override call(request: HostCallRequest): HostResult {
    if (request.call === "open" && request.direct === true) {
      if (this.#blocks < 0) return { ret: -EINVAL, value: 0 };
      const opened = super.call(request);
      this.#direct.add(opened.value as HostHandle);
      return opened;
    }
    if (request.call === "close") this.asked.push("close");
    if (request.call !== "alignment" || !this.#direct.has(request.handle))
      return super.call(request);
    return this.#blocks === 0 ? { ret: -EINVAL, value: 0 } : { ret: 0, value: this.#blocks };
  }

  override submit(op: HostOp): number | null {
    const how = this.#direct.has(op.handle) ? "direct " : "";
    this.asked.push(`${how}${op.type}${op.bytes > 0 ? ` ${op.offset}+${op.bytes}` : ""}`);
    return super.submit(op);
  }
}

const FILE = { nodeName: "f", path: "/a.img", create: true };
const DIRECT = { direct: true, noFlush: false };
const NO_FLUSH = { direct: false, noFlush: true };

describe("cache.direct of a file", () => {
  it("has it read and written in blocks of the disk, with what is around read before it is written", () => {
    const disk = new Disk();
    runDisk(function* (): Polls<void> {
      const bs = yield* fileOpen({ ...FILE, cache: DIRECT });
      const { writeText, readText } = yield* textDisk(yield* rawOpen("raw", bs));
      expect(yield* writeText(0, "x".repeat(1024))).toBe(0);
      expect(yield* writeText(600, "hello")).toBe(0);
      expect(yield* readText(598, 9)).toBe("xxhelloxx");
    }, disk);
    expect(disk.asked.filter((one) => !one.includes("flush"))).toEqual([
      "direct write 0+1024",
      "direct read 512+512",
      "direct write 512+512",
      "direct read 512+512",
    ]);
  });

  it("comes and goes with a reopen, and with that of a parent, if nobody asked for it", () => {
    const disk = new Disk();
    const reopen = (bs: BlockDriverState, on: boolean): Polls<void> =>
      bdrvReopen(bs, { "cache.direct": on }, true);
    runDisk(function* (): Polls<void> {
      const file = yield* fileOpen(FILE);
      const raw = yield* rawOpen("raw", file);
      bdrvSetInheritsFrom(file, raw, null);
      bdrvSetCache(raw, CACHED);
      const { writeText } = yield* textDisk(raw);
      yield* writeText(0, "a");
      yield* reopen(raw, true);
      expect([file.options["cache.direct"], file.requestAlignment]).toEqual([true, 512]);
      yield* writeText(0, "b");
      yield* reopen(raw, false);
      expect(file.requestAlignment).toBe(1);
      yield* writeText(0, "c");
      yield* reopen(file, true);
      yield* reopen(raw, false);
      expect(file.options["cache.direct"]).toBe(true);
    }, disk);
    expect(disk.asked.filter((one) => !one.includes("flush"))).toEqual([
      ...["write 0+1", "close", "direct read 0+512", "direct write 0+512", "close", "write 0+1"],
      "close",
    ]);
  });

  it("is refused in QEMU's words where it cannot be, and what was open is as it was", () => {
    const said = function* (disk: Disk, into: string[]): Polls<void> {
      const opened = yield* settle(() => fileOpen({ ...FILE, nodeName: "d", cache: DIRECT }));
      into.push(opened.ok ? "opened" : opened.error.message);
      const bs = yield* fileOpen(FILE);
      const reopened = yield* settle(() => bdrvReopen(bs, { "cache.direct": true }, true));
      into.push(reopened.ok ? "reopened" : reopened.error.message);
      expect([bs.options["cache.direct"], bs.requestAlignment]).toEqual([false, 1]);
      const { writeText } = yield* textDisk(bs);
      expect(yield* writeText(0, "a")).toBe(0);
      expect(disk.asked).toContain("write 0+1");
    };
    const messages: string[] = [];
    for (const disk of [new Disk(-1), new Disk(0)]) runDisk(() => said(disk, messages), disk);
    const none = "Could not open '/a.img': filesystem does not support O_DIRECT";
    const blocks = "Could not find working O_DIRECT alignment";
    expect(messages).toEqual([none, none, blocks, blocks]);
  });
});

describe("cache.no-flush", () => {
  it("keeps flushes from the disk of the node that has it, and of no other", () => {
    const flushes = (
      set: (raw: BlockDriverState, file: BlockDriverState) => Polls<void>,
    ): number => {
      const disk = new Disk();
      runDisk(function* (): Polls<void> {
        const file = yield* fileOpen(FILE);
        const raw = yield* rawOpen("raw", file);
        yield* set(raw, file);
        const { blk, writeText } = yield* textDisk(raw);
        disk.asked.length = 0;
        yield* writeText(0, "a");
        expect(yield* blkFlush(blk)).toBe(0);
        disk.asked.push("end");
      }, disk);
      const during = disk.asked.slice(0, disk.asked.indexOf("end"));
      return during.filter((one) => one === "flush").length;
    };
    const nothing = function* (): Polls<void> {};
    expect(flushes(nothing)).toBe(1);
    expect(
      flushes(function* (raw): Polls<void> {
        bdrvSetCache(raw, NO_FLUSH);
      }),
    ).toBe(1);
    expect(
      flushes(function* (_raw, file): Polls<void> {
        bdrvSetCache(file, NO_FLUSH);
      }),
    ).toBe(0);
    expect(flushes((_raw, file) => bdrvReopen(file, { "cache.no-flush": true }, true))).toBe(0);
    expect(
      flushes(function* (raw, file): Polls<void> {
        bdrvSetInheritsFrom(file, raw, null);
        yield* bdrvReopen(raw, { "cache.no-flush": true }, true);
        yield* bdrvReopen(raw, { "cache.no-flush": false }, true);
      }),
    ).toBe(1);
  });
});
