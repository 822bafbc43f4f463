import { describe, expect, it } from "vitest";
import { type DiskOptions, SimulatedHost } from "#explorer";
import { blkGetlength, blkTruncate } from "../backend/index.ts";
import { ENOSPC, ENOTSUP } from "../base/index.ts";
import type { PreallocMode } from "../graph/index.ts";
import { bdrvGetAllocatedFileSize } from "../io/index.ts";
import type { HostOp, Polls } from "../sched/index.ts";
import { fileOpen } from "./file.ts";
import { rawOpen } from "./raw.ts";
import { runDisk, textDisk } from "./test-support.ts";

class Noting extends SimulatedHost {
  readonly asked: string[] = [];
  override submit(op: HostOp): number | null {
    this.asked.push(op.type);
    return super.submit(op);
  }
}

interface Grown {
  readonly ret: number;
  readonly why: string;
  readonly length: number;
  /** Bytes that the file takes on the disk, a page of which it had before. */
  readonly allocated: number;
  readonly text: string;
  readonly asked: readonly string[];
}

/** A file of 5 bytes, resized through raw. */
function resized(to: number, prealloc: PreallocMode, disk: DiskOptions = {}): Grown {
  const host = new Noting({ seed: 1, disk });
  const grown: Grown[] = [];
  runDisk(function* (): Polls<void> {
    const bs = yield* fileOpen({ nodeName: "f", path: "/a.img", create: true });
    const { blk, writeText, readText } = yield* textDisk(yield* rawOpen("raw", bs));
    yield* writeText(0, "hello");
    host.asked.length = 0;
    let why = "";
    const errorSetg = (message: string): void => {
      why = message;
    };
    const ret = yield* blkTruncate(blk, to, { exact: true, prealloc, errorSetg });
    const asked = [...new Set(host.asked)];
    const length = host.disk.files.get("/a.img")?.size ?? -1;
    expect(blkGetlength(blk)).toBe(Math.ceil(length / 512) * 512);
    const text = yield* readText(0, 8);
    grown.push({ ret, why, length, allocated: bdrvGetAllocatedFileSize(bs), text, asked });
  }, host);
  const [only] = grown;
  if (only === undefined) throw new Error("the run ended early");
  return only;
}

const MEGA = 1 << 20;
const SAME = { length: 5, allocated: 4096, text: "hello..." };

describe("a file that is made longer", () => {
  it("takes no room for what is new, or some, or has zeroes there, as it is asked for", () => {
    const text = "hello...";
    const length = 3 * MEGA;
    const plain = { ret: 0, why: "", length, text };
    expect(resized(length, "off")).toEqual({ ...plain, allocated: 4096, asked: [] });
    expect(resized(length, "falloc")).toEqual({ ...plain, allocated: length, asked: ["allocate"] });
    expect(resized(length, "full")).toEqual({
      ...{ ...plain, allocated: length },
      asked: ["write", "flush"],
    });
  });

  it("is written to where the host takes no room by itself", () => {
    const grown = resized(MEGA, "falloc", { allocates: false });
    expect(grown).toMatchObject({ ret: 0, allocated: MEGA, asked: ["allocate", "write"] });
  });

  it("has its old length again when that fails, and it is said why", () => {
    const full = { spaceBytes: MEGA };
    const why = "Could not preallocate new data: No space left on device";
    expect(resized(2 * MEGA, "falloc", full)).toMatchObject({ ret: -ENOSPC, why, ...SAME });
    const resize = "Could not resize file: No space left on device";
    expect(resized(2 * MEGA, "full", full)).toMatchObject({ ret: -ENOSPC, why: resize, ...SAME });
    expect(resized(2 * MEGA, "off", full)).toMatchObject({ ret: -ENOSPC, why: resize, ...SAME });
    const faults = [{ path: "a.img", types: ["write"] as const, offset: MEGA, errno: ENOSPC }];
    const write = "Could not write zeros for preallocation: No space left on device";
    expect(resized(2 * MEGA, "full", { faults })).toMatchObject({
      ret: -ENOSPC,
      why: write,
      ...SAME,
    });
    const flush = [{ path: "a.img", types: ["flush"] as const }];
    const lost = "Could not flush file to disk: Input/output error";
    expect(resized(2 * MEGA, "full", { faults: flush })).toMatchObject({ why: lost, ...SAME });
  });
});

describe("a file that is made shorter", () => {
  it("is so, but not with preallocation, and no file has metadata", () => {
    expect(resized(2, "off")).toMatchObject({ ret: 0, length: 2, text: "he......" });
    const shrink = "Cannot use preallocation for shrinking files";
    for (const mode of ["falloc", "full"] as const)
      expect(resized(2, mode)).toMatchObject({ ret: -ENOTSUP, why: shrink, ...SAME });
    const why = "Unsupported preallocation mode: metadata";
    expect(resized(MEGA, "metadata")).toMatchObject({ ret: -ENOTSUP, why, ...SAME });
  });
});
