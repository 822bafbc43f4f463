// Images with leaks and corruptions: our check counts what `qemu-img check` counts, and our repair mends what it does.

import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { BdrvCheckResult, bdrvUnref } from "#core/graph";
import { bdrvCheck } from "#core/io";
import type { Polls } from "#core/sched";
import { NO_QEMU, openImage, qemu, runOnFiles, scratchFolder } from "./test-support.ts";

const CLUSTER = 65_536;
const COPIED = 1n << 63n;
const offsetOf = (entry: bigint) => Number(entry & 0xff_ffff_ffff_fe00n);
const l1Of = (image: Buffer) => Number(image.readBigUInt64BE(40));
const l2Of = (image: Buffer) => offsetOf(image.readBigUInt64BE(l1Of(image)));
const entryAt = (image: Buffer, cluster: number) => l2Of(image) + 8 * cluster;
const reftableOf = (image: Buffer) => Number(image.readBigUInt64BE(48));
const countAt = (image: Buffer, cluster: number) =>
  Number(image.readBigUInt64BE(reftableOf(image))) + 2 * cluster;
const dataCluster = (image: Buffer, cluster: number) =>
  offsetOf(image.readBigUInt64BE(entryAt(image, cluster))) / CLUSTER;

/** What is done to an image with eight clusters of data. */
const DAMAGES: readonly (readonly [string, (image: Buffer) => void])[] = [
  ["nothing", () => undefined],
  ["a cluster that nothing names", (image) => image.writeBigUInt64BE(0n, entryAt(image, 3))],
  [
    "two clusters that nothing names, counted often",
    (image) => {
      for (const cluster of [3, 4]) {
        image.writeUInt16BE(9, countAt(image, dataCluster(image, cluster)));
        image.writeBigUInt64BE(0n, entryAt(image, cluster));
      }
    },
  ],
  [
    "data that is counted as free",
    (image) => image.writeUInt16BE(0, countAt(image, dataCluster(image, 2))),
  ],
  [
    "data that is counted twice",
    (image) => image.writeUInt16BE(2, countAt(image, dataCluster(image, 2))),
  ],
  [
    "a table that is counted as free",
    (image) => image.writeUInt16BE(0, countAt(image, l2Of(image) / CLUSTER)),
  ],
  [
    "data that is not said to be used once",
    (image) => {
      const entry = image.readBigUInt64BE(entryAt(image, 2));
      image.writeBigUInt64BE(entry & ~COPIED, entryAt(image, 2));
    },
  ],
  [
    "a table that is not said to be used once",
    (image) => {
      const entry = image.readBigUInt64BE(l1Of(image));
      image.writeBigUInt64BE(entry & ~COPIED, l1Of(image));
    },
  ],
  [
    "data that two clusters of the guest have",
    (image) => {
      image.writeBigUInt64BE(image.readBigUInt64BE(entryAt(image, 2)), entryAt(image, 3));
    },
  ],
  ["no block of counts", (image) => image.writeBigUInt64BE(0n, reftableOf(image))],
];

/** What a check says: how much is wrong, and how much it mended. */
interface Verdict {
  readonly corruptions: number;
  readonly leaks: number;
  readonly corruptionsFixed: number;
  readonly leaksFixed: number;
}

/** Null when it gave up. */
function qemuVerdict(path: string, ...flags: string[]): Verdict | null {
  const args = ["check", "--output=json", "-f", "qcow2", ...flags, path];
  const { stdout } = spawnSync("qemu-img", args, { encoding: "utf8" });
  if (!stdout.includes("{")) return null;
  const found: Record<string, number> = JSON.parse(stdout.slice(stdout.indexOf("{")));
  return {
    corruptions: found.corruptions ?? 0,
    leaks: found.leaks ?? 0,
    corruptionsFixed: found["corruptions-fixed"] ?? 0,
    leaksFixed: found["leaks-fixed"] ?? 0,
  };
}

async function ourVerdict(path: string, fix: number): Promise<Verdict> {
  let result = new BdrvCheckResult();
  await runOnFiles(function* (): Polls<void> {
    result = new BdrvCheckResult();
    const bs = yield* openImage(path, { readOnly: fix === 0 });
    expect(yield* bdrvCheck(bs, result, fix)).toBe(0);
    yield* bdrvUnref(bs);
  });
  const { corruptions, leaks, corruptionsFixed, leaksFixed } = result;
  return { corruptions, leaks, corruptionsFixed, leaksFixed };
}

describe.skipIf(NO_QEMU !== "")(`an image that qemu-img check finds wrong${NO_QEMU}`, () => {
  const folder = scratchFolder();
  const at = (name: string) => join(folder.path, name);
  afterAll(() => folder.remove());

  const reads = (path: string): Buffer => {
    qemu("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, at("back.raw"));
    return readFileSync(at("back.raw"));
  };

  it.each(DAMAGES)("%s", async (_, damage) => {
    const path = at("image.qcow2");
    qemu("qemu-img", "create", "-q", "-f", "qcow2", path, "1M");
    qemu("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 512k", path);
    const image = readFileSync(path);
    damage(image);
    writeFileSync(path, image);
    const found = qemuVerdict(path);
    expect(await ourVerdict(path, 0), "found").toEqual(found);
    for (const [flags, fix] of [
      ["leaks", 1],
      ["all", 3],
    ] as const) {
      const copies = [at("ours.qcow2"), at("theirs.qcow2")] as const;
      for (const copy of copies) copyFileSync(path, copy);
      const ours = await ourVerdict(copies[0], fix);
      const theirs = qemuVerdict(copies[1], "-r", flags);
      // There, counts that are too low are mended by making all of them anew, which it does not do for leaks.
      if (theirs !== null && flags === "leaks") expect(ours, "leaks mended").toEqual(theirs);
      const [oursAfter, theirsAfter] = copies.map((copy) => qemuVerdict(copy));
      if (flags === "all") expect(oursAfter, "all mended").toEqual(theirsAfter);
      expect(reads(copies[0]).equals(reads(copies[1])), "what is read then").toBe(true);
    }
  });
});
