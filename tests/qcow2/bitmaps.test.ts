// Persistent bitmaps in images that QEMU's programs share with us: made there and kept up here, and the other way round.

import { closeSync, copyFileSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type BlockBackend, blkCoPwritev, blkSetPerm, blkTruncate } from "#core/backend";
import { EINVAL, ENOTSUP } from "#core/base";
import {
  bdrvCanStoreNewDirtyBitmap,
  bdrvCreateDirtyBitmap,
  bdrvDirtyBitmapSetPersistence,
  bdrvDisableDirtyBitmap,
  bdrvQueryDirtyBitmaps,
  bdrvRemovePersistentDirtyBitmap,
} from "#core/bitmaps";
import { checkRefcounts } from "#core/drivers";
import {
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  type BlockDriverState,
  BlockError,
  bdrvActivateAll,
  bdrvInactivateAll,
  bdrvReopenSetReadOnly,
  bdrvUnref,
  settle,
} from "#core/graph";
import type { Polls } from "#core/sched";
import { outside } from "../record-replay/sound-run.ts";
import {
  bitmapInfo,
  bufferWith,
  dirtyAreas,
  inCoroutine,
  NO_QEMU,
  openImage,
  qemu,
  qemuCheck,
  runOnFiles,
  scratchFolder,
  withImage,
} from "./test-support.ts";

const MIB = 1 << 20;

/** What is known of the bitmaps of a node, the newest first. */
function bitmapsOf(bs: BlockDriverState): string[] {
  return bdrvQueryDirtyBitmaps(bs).map((info) => {
    const flags = (["recording", "busy", "persistent", "inconsistent"] as const).filter(
      (flag) => info[flag],
    );
    return `${info.name} ${info.count / info.granularity} ${flags.join("+")}`;
  });
}

/** Write a byte at each of these MiB. Polls. */
function* writeAt(blk: BlockBackend, ...mibs: number[]): Polls<number> {
  let ret = 0;
  for (const mib of mibs) {
    const qiov = { buffer: bufferWith(new Uint8Array(512).fill(7)), start: 0 };
    ret = Math.min(ret, yield* inCoroutine(() => blkCoPwritev(blk, mib * MIB, 512, qiov)));
  }
  return ret;
}

/** What a program does that writes to an image without knowing any of its features. */
function clearAutoclear(path: string): void {
  const file = openSync(path, "r+");
  writeSync(file, new Uint8Array(8), 0, 8, 88);
  closeSync(file);
}

describe.skipIf(NO_QEMU !== "")(`persistent bitmaps${NO_QEMU}`, () => {
  const folder = scratchFolder();
  let images = 0;
  let path = "";
  const create = (...args: string[]): void => {
    path = join(folder.path, `image-${images++}.qcow2`);
    qemu("qemu-img", "create", "-q", "-f", "qcow2", ...args, path, "8M");
  };
  const bitmap = (...args: string[]) => qemu("qemu-img", "bitmap", "-f", "qcow2", ...args);

  afterEach(() => expect(qemuCheck(path)).toBe(""));

  it.each(["512", "65536"])(
    "made by qemu-img are kept up by us, with clusters of %s bytes",
    async (clusterBytes) => {
      create("-o", `cluster_size=${clusterBytes}`);
      bitmap("--add", "-g", "1048576", path, "on");
      bitmap("--add", "--disable", "-g", "65536", path, "off");
      let seen: string[] = [];
      await runOnFiles(function* (): Polls<void> {
        yield* withImage(path, function* (blk, bs): Polls<void> {
          expect(yield* writeAt(blk, 1, 2, 5)).toBe(0);
          seen = bitmapsOf(bs);
        });
      });
      expect(seen).toEqual(["off 0 persistent", "on 3 recording+persistent"]);
      expect(bitmapInfo(path)).toEqual(["on 1048576 auto", "off 65536 "]);
      expect(dirtyAreas(path, "on")).toEqual([
        [1 * MIB, 2 * MIB],
        [5 * MIB, MIB],
      ]);
      expect(dirtyAreas(path, "off")).toEqual([]);
    },
  );

  it("made by us are read, merged, cleared and removed by qemu-img", async () => {
    create();
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (blk, bs): Polls<void> {
        for (const name of ["a", "b", "c"]) {
          bdrvCanStoreNewDirtyBitmap(bs, name, 65_536);
          const made = bdrvCreateDirtyBitmap(bs, 65_536, name);
          bdrvDirtyBitmapSetPersistence(made, true);
          yield* writeAt(blk, "abc".indexOf(name));
          if (name === "b") bdrvDisableDirtyBitmap(made);
        }
        bdrvCreateDirtyBitmap(bs, 512, "in memory only");
      });
    });
    expect(bitmapInfo(path)).toEqual(["c 65536 auto", "b 65536 ", "a 65536 auto"]);
    expect(dirtyAreas(path, "a").map(([at]) => at / MIB)).toEqual([0, 1, 2]);
    expect(dirtyAreas(path, "b").map(([at]) => at / MIB)).toEqual([1]);
    bitmap("--merge", "b", path, "c");
    bitmap("--clear", path, "a");
    bitmap("--remove", path, "b");
    bitmap("--disable", path, "c");
    let seen: string[] = [];
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (_blk, bs): Polls<void> {
        seen = bitmapsOf(bs);
        yield* bdrvRemovePersistentDirtyBitmap(bs, "a");
      });
    });
    expect(seen).toEqual(["a 0 recording+persistent", "c 2 persistent"]);
    // It is in memory still, and persistent: so it is stored again.
    expect(bitmapInfo(path)).toEqual(["c 65536 ", "a 65536 auto"]);
  });

  it("are inconsistent when the image was not closed, and can be removed then", async () => {
    create();
    bitmap("--add", path, "b0");
    await runOnFiles(function* (): Polls<void> {
      // As if the power had failed: the file is copied while it is open.
      yield* withImage(path, function* (): Polls<void> {
        outside(() => copyFileSync(path, `${path}.cut`));
      });
    });
    expect(bitmapInfo(`${path}.cut`)).toEqual(["b0 65536 in-use+auto"]);
    path = `${path}.cut`;
    let seen: string[] = [];
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (blk, bs): Polls<void> {
        seen = bitmapsOf(bs);
        expect(yield* writeAt(blk, 1)).toBe(0);
        expect(yield* blkTruncate(blk, 16 * MIB)).toBe(-ENOTSUP);
      });
    });
    expect(seen).toEqual(["b0 0 persistent+inconsistent"]);
    expect(bitmapInfo(path)).toEqual(["b0 65536 in-use+auto"]);
    bitmap("--remove", path, "b0");
    expect(bitmapInfo(path)).toEqual([]);
  });

  it("are read-only in an image that is, and writable when it is reopened", async () => {
    create();
    bitmap("--add", "-g", "1048576", path, "b0");
    await runOnFiles(function* (): Polls<void> {
      const before = outside(() => bitmapInfo(path));
      yield* withImage(path, function* (blk, bs): Polls<void> {
        yield* writeAt(blk, 3);
        yield* blkSetPerm(blk, { perm: BLK_PERM_CONSISTENT_READ, sharedPerm: BLK_PERM_ALL });
        yield* bdrvReopenSetReadOnly(bs, true);
        // What is stored is right, and nobody is at work on it.
        expect(outside(() => bitmapInfo(path))).toEqual(before);
        expect(bitmapsOf(bs)).toEqual(["b0 1 recording+persistent"]);
        yield* bdrvReopenSetReadOnly(bs, false);
        yield* blkSetPerm(blk, { perm: BLK_PERM_ALL, sharedPerm: BLK_PERM_ALL });
        expect(yield* writeAt(blk, 4)).toBe(0);
      });
      const bs = yield* openImage(path, { readOnly: true });
      expect(bs.dirtyBitmaps.map(({ readonly }) => readonly)).toEqual([true]);
      yield* bdrvUnref(bs);
    });
    expect(dirtyAreas(path, "b0")).toEqual([[3 * MIB, 2 * MIB]]);
  });

  it("are stored when the image is handed over, and loaded when it comes back", async () => {
    create();
    bitmap("--add", "-g", "1048576", path, "b0");
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (blk, bs): Polls<void> {
        yield* writeAt(blk, 3);
        // A guest that is to go elsewhere has stopped to write.
        yield* blkSetPerm(blk, { perm: BLK_PERM_CONSISTENT_READ, sharedPerm: BLK_PERM_ALL });
        yield* bdrvInactivateAll();
        expect(outside(() => bitmapInfo(path))).toEqual(["b0 1048576 auto"]);
        expect(bitmapsOf(bs)).toEqual([]);
        // The other machine.
        outside(() => qemu("qemu-io", "-f", "qcow2", "-c", "write -P 9 6M 4k", path));
        yield* bdrvActivateAll();
        yield* blkSetPerm(blk, { perm: BLK_PERM_ALL, sharedPerm: BLK_PERM_ALL });
        expect(outside(() => bitmapInfo(path))).toEqual(["b0 1048576 in-use+auto"]);
        expect(yield* writeAt(blk, 5)).toBe(0);
        expect(bitmapsOf(bs)).toEqual(["b0 3 recording+persistent"]);
      });
    });
    expect(dirtyAreas(path, "b0")).toEqual([
      [3 * MIB, MIB],
      [5 * MIB, 2 * MIB],
    ]);
    const read = qemu("qemu-io", "-r", "-c", "read -P 9 6M 4k", "-c", "read -P 7 5M 512", path);
    expect(read).not.toContain("failed");
  });

  it("grow with the disk", async () => {
    create();
    bitmap("--add", "-g", "1048576", path, "b0");
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (blk): Polls<void> {
        expect(yield* blkTruncate(blk, 16 * MIB)).toBe(0);
        yield* writeAt(blk, 15);
      });
    });
    expect(dirtyAreas(path, "b0")).toEqual([[15 * MIB, MIB]]);
  });

  it("are dropped when a program that does not know them has written to the image", async () => {
    create();
    bitmap("--add", path, "b0");
    clearAutoclear(path);
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (_blk, bs): Polls<void> {
        expect(bitmapsOf(bs)).toEqual([]);
      });
    });
    expect(bitmapInfo(path)).toEqual([]);
    qemu("qemu-img", "check", "-q", "-r", "leaks", path);
  });

  it("are counted by our own check, and by a repair", async () => {
    create("-o", "lazy_refcounts=on");
    bitmap("--add", path, "b0");
    qemu("qemu-io", "-c", "write 0 4M", path);
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (blk): Polls<void> {
        yield* writeAt(blk, 6);
        outside(() => copyFileSync(path, `${path}.cut`));
      });
      yield* withImage(`${path}.cut`, function* (_blk, bs): Polls<void> {
        expect(yield* inCoroutine(() => checkRefcounts(bs))).toEqual({
          corruptions: [],
          leaks: [],
        });
      });
    });
    expect(qemuCheck(`${path}.cut`)).toBe("");
  });

  it("cannot be stored where the format has no place for them", async () => {
    const refused: [string, number, string, string][] = [
      ["compat=0.10", 65_536, "b0", "Cannot store dirty bitmaps in qcow2 v2 files"],
      ["compat=1.1", 2 ** 32, "b0", "Granularity exceeds maximum (2147483648 bytes)"],
      ["compat=1.1", 512, "b".repeat(1024), "Name length exceeds maximum (1023 characters)"],
    ];
    for (const [options, granularity, name, why] of refused) {
      create("-o", options);
      await runOnFiles(function* (): Polls<void> {
        yield* withImage(path, function* (_blk, bs): Polls<void> {
          const said = yield* settle(function* (): Polls<void> {
            bdrvCanStoreNewDirtyBitmap(bs, name, granularity);
          });
          const what = `Can't make bitmap '${name}' persistent in '${bs.nodeName}'`;
          expect(said).toEqual({ ok: false, error: new BlockError(EINVAL, `${what}: ${why}`) });
        });
      });
    }
  });
});
