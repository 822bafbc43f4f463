// Zeroes that must not be written as data (BDRV_REQ_NO_FALLBACK; NBD_CMD_FLAG_FAST_ZERO, `write -n -z` of qemu-io).

import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { blkCoPwriteZeroes } from "#core/backend";
import { ENOTSUP } from "#core/base";
import { BDRV_REQ_NO_FALLBACK } from "#core/graph";
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

const KIB = 1024;

describe.skipIf(NO_QEMU !== "")(`zeroes without writing${NO_QEMU}`, () => {
  const folder = scratchFolder();
  afterAll(() => folder.remove());

  // Three clusters of data, the third compressed, then one of zeroes and one of nothing.
  it.each<[string, string, number, number, number]>([
    ["a whole cluster of data", "", 64 * KIB, 64 * KIB, 0],
    ["the start of a cluster of data", "", 64 * KIB, 4 * KIB, -ENOTSUP],
    ["the end of a cluster of data, and a whole one", "", 60 * KIB, 68 * KIB, -ENOTSUP],
    ["a part of a compressed cluster", "", 140 * KIB, 4 * KIB, -ENOTSUP],
    ["a part of a cluster of zeroes", "", 200 * KIB, 4 * KIB, 0],
    ["a part of a cluster of nothing", "", 260 * KIB, 4 * KIB, 0],
    ["a subcluster of data", "extended_l2=on", 64 * KIB, 2 * KIB, 0],
    ["a part of one", "extended_l2=on", 64 * KIB, 1 * KIB, -ENOTSUP],
    ["a subcluster of a compressed cluster", "extended_l2=on", 140 * KIB, 2 * KIB, -ENOTSUP],
  ])("%s %s", async (_, options, offset, bytes, expected) => {
    const path = join(folder.path, "image.qcow2");
    const more = options === "" ? [] : ["-o", options];
    qemu("qemu-img", "create", "-q", "-f", "qcow2", ...more, path, "1M");
    const writes = ["write -P 7 0 128k", "write -c -P 7 128k 64k", "write -z 192k 64k"];
    qemu("qemu-io", ...writes.flatMap((one) => ["-c", one]), path);
    await runOnFiles(function* (): Polls<void> {
      yield* withImage(path, function* (blk): Polls<void> {
        const zero = (): Co<number> => blkCoPwriteZeroes(blk, offset, bytes, BDRV_REQ_NO_FALLBACK);
        expect(yield* inCoroutine(zero)).toBe(expected);
      });
    });
    expect(qemuCheck(path)).toBe("");
    const zeroes = `read -P 0 ${offset} ${bytes}`;
    const reads = expected === 0 ? [zeroes] : ["read -P 7 0 192k"];
    const out = qemu("qemu-io", "-r", ...reads.flatMap((one) => ["-c", one]), path);
    expect(out).not.toContain("failed");
  });
});
