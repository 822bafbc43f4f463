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
  const isFrame = op.codec === "zstd" && op.direction === "decompress";
  const whole = isFrame ? data.subarray(0, zstdFrameBytes(data)) : data;
  pack(whole, optionsOf(op), (error, result) => {
    if (error !== null) return done(-EIO);
    if (result.length > op.toBytes) return done(-ENOSPC);
    to.set(result, op.toStart);
    return done(result.length);
  });
}

/**
 * Bytes of the frame at the start of `data` (RFC 8878): what follows it in the last sector of a compressed cluster belongs to others,
 * and Node takes it for another frame. All of `data` when it is no whole frame.
 */
export function zstdFrameBytes(data: Uint8Array): number {
  const descriptor = data[4] ?? 0;
  const isSingle = (descriptor >> 5) & 1;
  const windowBytes = 1 - isSingle;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [isSingle, 2, 4, 8][descriptor >> 6] ?? 0;
  let at = 5 + windowBytes + dictionaryBytes + sizeBytes;
  while (at + 3 <= data.length) {
    const block = (data[at] ?? 0) | ((data[at + 1] ?? 0) << 8) | ((data[at + 2] ?? 0) << 16);
    // One byte, repeated, has the length that it stands for.
    const isRun = ((block >> 1) & 3) === 1;
    at += 3 + (isRun ? 1 : block >> 3);
    if ((block & 1) === 1) return Math.min(data.length, at + 4 * ((descriptor >> 2) & 1));
  }
  return data.length;
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
