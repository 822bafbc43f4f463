// Images of random geometry, made by us and by qemu-img, with all that can be asked for.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import zlib from "node:zlib";
import type { Prng } from "#core/base";
import { fileOpen, qcow2Create } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import type { Polls } from "#core/sched";
import { Subject } from "./subject.ts";
import { qemu } from "./test-support.ts";

/** What an image is like. */
interface Geometry {
  readonly version: 2 | 3;
  readonly clusterBytes: number;
  readonly refcountBits: number;
  readonly size: number;
  readonly lazyRefcounts: boolean;
  readonly extendedL2: boolean;
  readonly compression: "zlib" | "zstd";
  readonly backing: "none" | "raw" | "qcow2";
  readonly dataFile: "none" | "plain" | "raw";
  readonly cacheBytes: number;
}

const HAS_ZSTD = "zstdCompress" in zlib;

/** A geometry that may be. */
function drawGeometry(prng: Prng): Geometry {
  const version = prng.chance(1, 4) ? 2 : 3;
  const isV3 = version === 3;
  const extendedL2 = isV3 && prng.chance(1, 3);
  const clusterBits = extendedL2 ? 14 + prng.below(6) : 9 + prng.below(13);
  const dataFile = isV3 && prng.chance(1, 4) ? (prng.chance(1, 2) ? "raw" : "plain") : "none";
  const backing =
    dataFile === "raw" || prng.chance(1, 2) ? "none" : prng.chance(1, 2) ? "raw" : "qcow2";
  const clusters = 40 + prng.below(200);
  const size = Math.min(clusters * 2 ** clusterBits, 8 << 20) - 512 * prng.below(3);
  return {
    version,
    clusterBytes: 2 ** clusterBits,
    refcountBits: isV3 ? 2 ** prng.below(7) : 16,
    size: size - (size % 512),
    lazyRefcounts: isV3 && prng.chance(1, 4),
    extendedL2,
    compression: isV3 && HAS_ZSTD && prng.chance(1, 3) ? "zstd" : "zlib",
    backing,
    dataFile,
    cacheBytes: prng.chance(1, 2) ? 1 : 1 << 20,
  };
}

/** Bytes that can be compressed, and some that cannot, and zeroes between. */
export function contentsOf(prng: Prng, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const part = 512 + prng.below(Math.max(1, Math.floor(length / 12)));
  for (let from = 0; from < length; from += part) {
    const end = Math.min(length, from + 1 + prng.below(part));
    const kind = prng.below(4);
    if (kind < 2) bytes.fill(prng.below(256), from, end);
    if (kind === 2) for (let i = from; i < end; i++) bytes[i] = prng.below(256);
  }
  return bytes;
}

function subjectOf(folder: string, geometry: Geometry, how: string): Subject {
  const { cacheBytes, backing, dataFile, size, ...rest } = geometry;
  return new Subject(folder, {
    ...rest,
    description: `${how} ${JSON.stringify(geometry)}`,
    hasBacking: backing !== "none",
    hasDataFile: dataFile !== "none",
    openOptions: { l2CacheBytes: cacheBytes, refcountCacheBytes: cacheBytes },
    shadow: new Uint8Array(size),
  });
}

/** A backing file, which may be shorter than the disk; its name. The disk holds what it does. */
function makeBacking(subject: Subject, kind: "raw" | "qcow2", prng: Prng): string {
  const { folder, shadow } = subject;
  const contents = contentsOf(prng, Math.max(512, shadow.length - 512 * prng.below(200)));
  const at = (name: string) => join(folder, name);
  writeFileSync(at("base.raw"), contents);
  if (kind === "qcow2")
    qemu("qemu-img", "convert", "-f", "raw", "-O", "qcow2", at("base.raw"), at("base.qcow2"));
  shadow.set(contents.subarray(0, shadow.length));
  return `base.${kind}`;
}

/** An image that our driver will make. */
export interface ImageOfOurs {
  readonly subject: Subject;
  readonly make: () => Polls<void>;
}

/** What image our driver will make; a backing file is there already. */
export function drawOurs(folder: string, prng: Prng): ImageOfOurs {
  const geometry = drawGeometry(prng);
  const subject = subjectOf(folder, geometry, "ours");
  const { backing, dataFile: kind, cacheBytes: _cacheBytes, ...rest } = geometry;
  const backingFile = backing === "none" ? "" : makeBacking(subject, backing, prng);
  const dataFileName = join(folder, "image.data");
  const make = function* (): Polls<void> {
    const file = yield* fileOpen({ nodeName: "", path: subject.path, create: true });
    const dataFile =
      kind === "none" ? null : yield* fileOpen({ nodeName: "", path: dataFileName, create: true });
    yield* qcow2Create({
      ...rest,
      file,
      backingFile,
      backingFormat: backing === "none" ? "" : backing,
      dataFileRaw: kind === "raw",
      ...(dataFile === null ? {} : { dataFile, dataFileName }),
    });
    yield* bdrvUnref(file);
    if (dataFile !== null) yield* bdrvUnref(dataFile);
  };
  return { subject, make };
}

/** An image that qemu-img makes: an empty one, or a disk that it converts. */
export function makeTheirs(folder: string, prng: Prng): Subject {
  const geometry = drawGeometry(prng);
  const options = optionsOf(folder, geometry, prng);
  const isConverted = prng.chance(1, 2);
  // qemu-img compresses neither into a data file nor into room that it takes beforehand.
  const canCompress = geometry.dataFile === "none" && !/preallocation=[^o]/.test(`${options}`);
  const flags = isConverted && canCompress && prng.chance(1, 2) ? ["-c"] : [];
  const how = `qemu-img ${isConverted ? "convert" : "create"} ${flags} -o ${options}`;
  const subject = subjectOf(folder, geometry, how);
  const { backing, size } = geometry;
  const base = backing === "none" ? "" : makeBacking(subject, backing, prng);
  if (!isConverted) {
    const named = base === "" ? [] : ["-b", base, "-F", backing];
    const args = ["create", "-q", "-f", "qcow2", ...named, "-o", options, subject.path];
    qemu("qemu-img", ...args, String(size));
    return subject;
  }
  const disk = join(folder, "disk.raw");
  subject.shadow = contentsOf(prng, size);
  writeFileSync(disk, subject.shadow);
  const named = base === "" ? [] : ["-B", base, "-F", backing];
  // With a backing file only what differs from it is written; its name is relative to the image.
  const args = ["convert", "-f", "raw", "-O", "qcow2", ...flags, ...named, "-o", options];
  qemu("qemu-img", ...args, disk, subject.path);
  return subject;
}

/** Options of `qemu-img create` and `convert`. */
function optionsOf(folder: string, geometry: Geometry, prng: Prng): string {
  const { version, clusterBytes, refcountBits, dataFile, backing, extendedL2 } = geometry;
  const options = [
    `compat=${version === 2 ? "0.10" : "1.1"}`,
    `cluster_size=${clusterBytes}`,
    `refcount_bits=${refcountBits}`,
  ];
  if (geometry.lazyRefcounts) options.push("lazy_refcounts=on");
  if (extendedL2) options.push("extended_l2=on");
  if (geometry.compression === "zstd") options.push("compression_type=zstd");
  if (dataFile !== "none") options.push(`data_file=${join(folder, "image.data")}`);
  if (dataFile === "raw") options.push("data_file_raw=on");
  // What is laid out hides a backing file, but where subclusters can say that they have nothing.
  if (backing === "none" || extendedL2)
    options.push(`preallocation=${prng.pick(["off", "metadata", "falloc", "full"])}`);
  return options.join(",");
}
