// Guest data made smaller or larger, at once. Pure, but for the version of zlib: hence its answers are recorded like a disk's.

import zlib from "node:zlib";
import { EIO, ENOSPC, ENOTSUP, must } from "#core/base";
import type { HostTransform } from "#core/sched";

/** Carry `op` out: the length of the result, or a negated errno. Differs from the live host: no Zstandard. */
export function transformNow(op: HostTransform): number {
  if (op.codec === "zstd") return -ENOTSUP;
  const from = must(op.from.data, "simulated memory has contents");
  const to = must(op.to.data, "simulated memory has contents");
  const data = from.subarray(op.fromStart, op.fromStart + op.fromBytes);
  const result = op.direction === "compress" ? deflated(data) : inflated(data, op.toBytes);
  if (result === null) return -EIO;
  if (result.length > op.toBytes) return -ENOSPC;
  to.set(result, op.toStart);
  return result.length;
}

function deflated(data: Uint8Array): Uint8Array {
  return zlib.deflateRawSync(data, { windowBits: 12 });
}

/** Null for what is not compressed data. */
function inflated(data: Uint8Array, bytesMax: number): Uint8Array | null {
  try {
    return zlib.inflateRawSync(data, { maxOutputLength: bytesMax });
  } catch {
    return null;
  }
}
