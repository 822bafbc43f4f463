// An image of 64 GiB with a cache of 1 MiB: what is read of its tables is what requests need, and what is kept of them is bounded.

import { describe, expect, it } from "vitest";
import {
  type BlockBackend,
  blkCoPreadv,
  blkCoPwritev,
  blkNewWithBs,
  blkUnref,
} from "#core/backend";
import { fileOpen, qcow2Create, qcow2Open } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import { type Co, hostAllocate, type Polls } from "#core/sched";
import type { SimulatedHost } from "#explorer";
import { outside } from "../record-replay/sound-run.ts";
import { runSimulated } from "./simulated.ts";
import { bufferWith, inCoroutine } from "./test-support.ts";

const PATH = "images/large";
const DISK_BYTES = 64 * 2 ** 30;
const CLUSTER = 65_536;
/** Slices of 4 KiB of L2 tables that are looked at, all over the disk: twice as many as the cache holds. */
const SLICES = 512;
const APART = DISK_BYTES / SLICES;
const CACHE_BYTES = 1 << 20;
/** Slices that fit into the cache. */
const CACHED = CACHE_BYTES / 4096;

/** Counts reads of the file; those of a guest's 512 bytes are not of tables. */
function countReads({ disk }: SimulatedHost): { tables: number; bytes: number } {
  const count = { tables: 0, bytes: 0 };
  const perform = disk.perform.bind(disk);
  disk.perform = (file, operation) => {
    if (operation.type === "read" && !(operation.bytes === 512 && operation.offset > CLUSTER)) {
      count.tables++;
      count.bytes += operation.bytes;
    }
    return perform(file, operation);
  };
  return count;
}

/** Read a sector that each of these slices knows. Polls. */
function* readAt(blk: BlockBackend, slices: Iterable<number>): Polls<void> {
  for (const slice of slices) {
    const qiov = { buffer: hostAllocate(512), start: 0 };
    const read = (): Co<number> => blkCoPreadv(blk, slice * APART, 512, qiov);
    expect(yield* inCoroutine(read)).toBe(0);
    expect(outside(() => qiov.buffer.data?.[0])).toBe(1 + (slice % 255));
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("a sparse image of 64 GiB", () => {
  it("is served from a cache of 1 MiB, and no table is read for nothing", () => {
    runSimulated(1, function* (_world, host): Polls<void> {
      const made = yield* fileOpen({ nodeName: "", path: PATH, create: true });
      yield* qcow2Create({ file: made, size: DISK_BYTES });
      const bs = yield* qcow2Open({ nodeName: "", file: made, l2CacheBytes: CACHE_BYTES });
      const blk = yield* blkNewWithBs(bs);
      for (const slice of range(0, SLICES)) {
        const qiov = { buffer: bufferWith(new Uint8Array(512).fill(1 + (slice % 255))), start: 0 };
        const write = (): Co<number> => blkCoPwritev(blk, slice * APART, 512, qiov);
        expect(yield* inCoroutine(write)).toBe(0);
      }
      yield* blkUnref(blk);
      yield* bdrvUnref(bs);

      const count = countReads(host);
      const file = yield* fileOpen({ nodeName: "", path: PATH });
      const again = yield* qcow2Open({ nodeName: "", file, l2CacheBytes: CACHE_BYTES });
      // The header and nothing else: its L1 table is read when something is asked for.
      expect(outside(() => ({ ...count }))).toEqual({ tables: 1, bytes: 512 });
      const reader = yield* blkNewWithBs(again);
      const tablesFor = function* (slices: Iterable<number>): Polls<number> {
        const before = outside(() => count.tables);
        yield* readAt(reader, slices);
        return outside(() => count.tables) - before;
      };
      // A page of the L1 table and a slice.
      expect(yield* tablesFor([7])).toBe(2);
      expect(yield* tablesFor([7, 7, 7])).toBe(0);
      // As many as the cache holds, once each; then all of them are there.
      expect(yield* tablesFor(range(8, 7 + CACHED))).toBe(CACHED - 1);
      expect(yield* tablesFor(range(7, 7 + CACHED))).toBe(0);
      // More than it holds, one after the other: each is read again every time, as the oldest has gone.
      expect(yield* tablesFor(range(0, SLICES))).toBeLessThanOrEqual(SLICES);
      expect(yield* tablesFor(range(0, SLICES))).toBe(SLICES);
      yield* blkUnref(reader);
      yield* bdrvUnref(again);
    });
  });
});
