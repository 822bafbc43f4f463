// Images that QEMU's programs make, with every option that they have and this driver supports.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { blkCoPreadv, blkCoPwritev, blkNewWithBs, blkUnref } from "#core/backend";
import { assert, Prng } from "#core/base";
import { bdrvOpenPath } from "#core/drivers";
import { BLK_PERM_CONSISTENT_READ, bdrvUnref } from "#core/graph";
import { type Co, hostAllocate, type Polls } from "#core/sched";
import { outside } from "../record-replay/sound-run.ts";
import { bufferWith, inCoroutine, qemu, qemuCheck, runOnFiles } from "./test-support.ts";

/** Options of `qemu-img convert`; DATA stands for the path of a data file. */
export const CONVERT_OPTIONS: readonly string[] = [
  "compat=0.10",
  "compat=0.10,cluster_size=512",
  "compat=1.1,cluster_size=2M",
  "refcount_bits=1,cluster_size=512",
  "refcount_bits=2",
  "refcount_bits=64,cluster_size=4k",
  "lazy_refcounts=on",
  "extended_l2=on,cluster_size=128k",
  "extended_l2=on,cluster_size=16k,refcount_bits=8",
  "preallocation=metadata",
  "preallocation=full",
  "data_file=DATA",
  "data_file=DATA,data_file_raw=on",
  "compression_type=zlib,cluster_size=8k -c",
  "compat=0.10,cluster_size=2M -c",
  "extended_l2=on,cluster_size=64k -c",
];

export const DISK_BYTES = 1 << 20;

/** A disk with data, holes, and bytes that can be compressed. */
export function diskContents(): Uint8Array {
  const prng = new Prng(5, 1);
  const bytes = new Uint8Array(DISK_BYTES);
  for (let from = 0; from < DISK_BYTES; from += 48_000) {
    const kind = prng.below(3);
    if (kind === 0) bytes.fill(prng.below(256), from, from + 30_000);
    if (kind === 1) for (let i = from; i < from + 20_000; i++) bytes[i] = prng.below(256);
  }
  return bytes;
}

/** All that the disk of the image at `path` holds. Polls. */
export function* readDisk(path: string): Polls<Uint8Array> {
  const bs = yield* bdrvOpenPath({ path, readOnly: true });
  const blk = yield* blkNewWithBs(bs, { perm: BLK_PERM_CONSISTENT_READ });
  const buffer = hostAllocate(DISK_BYTES);
  const read = (): Co<number> => blkCoPreadv(blk, 0, DISK_BYTES, { buffer, start: 0 });
  assert((yield* inCoroutine(read)) === 0, "the disk can be read");
  yield* blkUnref(blk);
  yield* bdrvUnref(bs);
  return outside(() => buffer.data ?? new Uint8Array());
}

/** Write some bytes here and there into the image at `path`, and into `shadow`. Polls. */
export function* writeSome(path: string, shadow: Uint8Array): Polls<void> {
  const prng = new Prng(8, 1);
  const bs = yield* bdrvOpenPath({ path });
  const blk = yield* blkNewWithBs(bs);
  for (let i = 0; i < 12; i++) {
    const offset = prng.below(DISK_BYTES - 40_000);
    const bytes = new Uint8Array(1 + prng.below(40_000)).fill(1 + prng.below(255));
    const qiov = { buffer: bufferWith(bytes), start: 0 };
    const write = (): Co<number> => blkCoPwritev(blk, offset, bytes.length, qiov);
    assert((yield* inCoroutine(write)) === 0, "the disk can be written");
    shadow.set(bytes, offset);
  }
  yield* blkUnref(blk);
  yield* bdrvUnref(bs);
}

/**
 * Have qemu-img convert a disk with these options into an image in `folder`, read that, write to it, and have qemu-img look at it: what
 * is wrong, "" when nothing is.
 */
export async function convertProblem(folder: string, text: string): Promise<string> {
  const at = (name: string) => join(folder, name);
  const [options = "", ...flags] = text.replace("DATA", at("image.data")).split(" ");
  const shadow = diskContents();
  writeFileSync(at("disk.raw"), shadow);
  const path = at("image.qcow2");
  const args = ["convert", "-f", "raw", "-O", "qcow2", "-o", options, ...flags];
  qemu("qemu-img", ...args, at("disk.raw"), path);
  let problem = "";
  let disk = shadow;
  const compare = (actual: Uint8Array, what: string) => {
    if (Buffer.compare(actual, disk) !== 0) problem += `${what} differs; `;
  };
  await runOnFiles(function* (): Polls<void> {
    disk = Uint8Array.from(shadow);
    compare(yield* readDisk(path), "what we read");
    yield* writeSome(path, disk);
    compare(yield* readDisk(path), "what we read after writing");
  });
  problem += qemuCheck(path);
  qemu("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, at("back.raw"));
  compare(readFileSync(at("back.raw")), "what qemu-img reads");
  return problem;
}
