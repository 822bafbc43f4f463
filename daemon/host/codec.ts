// Guest data made smaller or larger, on libuv's thread pool. Zstandard comes with Node 22.15 and later.

import zlib from "node:zlib";
import { EIO, ENOSPC, ENOTSUP, must } from "#core/base";
import type { HostTransform } from "#core/sched";

/** Called once, with the length of the result or a negated errno. */
type TransformDone = (ret: number) => void;
type Packed = (error: Error | null, result: Uint8Array) => void;
type Packer = (data: Uint8Array, options: zlib.ZlibOptions, done: Packed) => void;

/** The functions of zlib that the types of Node 20 do not have. */
const zstd = zlib as unknown as Partial<Record<"zstdCompress" | "zstdDecompress", Packer>>;

/** Readers of qcow2 images have a window of 4 KiB. */
const WINDOW_BITS = 12;

/** Carry `op` out. */
export function transform(op: HostTransform, done: TransformDone): void {
  const from = must(op.from.data, "live memory has contents");
  const to = must(op.to.data, "live memory has contents");
  const data = from.subarray(op.fromStart, op.fromStart + op.fromBytes);
  const pack = packerOf(op);
  if (pack === undefined) {
    setImmediate(done, -ENOTSUP);
    return;
  }
  pack(data, optionsOf(op), (error, result) => {
    if (error !== null) return done(-EIO);
    if (result.length > op.toBytes) return done(-ENOSPC);
    to.set(result, op.toStart);
    return done(result.length);
  });
}

function packerOf({ codec, direction }: HostTransform): Packer | undefined {
  if (codec === "zstd") return direction === "compress" ? zstd.zstdCompress : zstd.zstdDecompress;
  return direction === "compress" ? zlib.deflateRaw : zlib.inflateRaw;
}

/** What follows compressed data in its last sector belongs to others, and is not looked at. */
function optionsOf({ codec, direction, toBytes }: HostTransform): zlib.ZlibOptions {
  if (direction === "decompress") return { maxOutputLength: toBytes };
  return codec === "zlib" ? { windowBits: WINDOW_BITS } : {};
}
