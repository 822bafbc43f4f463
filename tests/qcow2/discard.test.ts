// What a guest discards is given back by the image's file, when the node lets discards through and is not told to keep it.

import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { blkCoFlush, blkCoPdiscard, blkCoPwriteZeroes } from "#core/backend";
import type { Qcow2OpenOptions } from "#core/drivers";
import { BDRV_REQ_MAY_UNMAP } from "#core/graph";
import type { Co, Polls } from "#core/sched";
import {
  inCoroutine,
  NO_QEMU,
  qemu,
  qemuCheck,
  runOnFiles,
  scratchFolder,
  withImage,
} from "./test-support.ts";

const MIB = 1 << 20;
/** A file system may need a block more to say where a file is now that it has a hole (ext4, once the data is on the disk). */
const MAP_BYTES = 64 * 1024;

describe.skipIf(NO_QEMU !== "")(`a discard${NO_QEMU}`, () => {
  const folder = scratchFolder();
  afterAll(() => folder.remove());

  it.each<[string, Partial<Qcow2OpenOptions>, boolean, boolean]>([
    ["is passed on by default", {}, false, true],
    ["of zeroes that may be freed, too", {}, true, true],
    ["is not, when that is not wanted", { passDiscardRequest: false }, false, false],
  ])("%s", async (_, options, asZeroes, isFreed) => {
    const path = join(folder.path, "image.qcow2");
    qemu("qemu-img", "create", "-q", "-f", "qcow2", path, "8M");
    qemu("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 8M", path);
    const blocks = () => statSync(path).blocks * 512;
    const before = blocks();
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(
        path,
        function* (blk): Polls<void> {
          const discard = (): Co<number> =>
            asZeroes
              ? blkCoPwriteZeroes(blk, MIB, 6 * MIB, BDRV_REQ_MAY_UNMAP)
              : blkCoPdiscard(blk, MIB, 6 * MIB);
          expect(yield* inCoroutine(discard)).toBe(0);
          expect(yield* inCoroutine(() => blkCoFlush(blk))).toBe(0);
        },
        options,
      );
    });
    const kept = (isFreed ? 6 * MIB : 0) - (before - blocks());
    expect(Math.abs(kept)).toBeLessThanOrEqual(MAP_BYTES);
    expect(qemuCheck(path)).toBe("");
    const reads = ["read -P 7 0 1M", "read -P 0 1M 6M", "read -P 7 7M 1M"];
    const out = qemu("qemu-io", "-r", ...reads.flatMap((one) => ["-c", one]), path);
    expect(out).not.toContain("failed");
  });
});
