// The memory of an operation that moves bytes.

import { Buffer } from "node:buffer";
import { assert } from "#core/base";
import type { HostOp } from "#core/sched";

/** All of it: the operation's bytes begin at its `iovOffset`. */
export function dataOf({ iov }: HostOp): Uint8Array {
  assert(iov !== null, "an operation that moves bytes has a buffer");
  assert(iov.data !== null, "live memory has contents");
  return iov.data;
}

/** The bytes that are moved. */
export function contentsOf(op: HostOp): Uint8Array {
  return dataOf(op).subarray(op.iovOffset, op.iovOffset + op.bytes);
}

/** Fewer are copied one by one. */
const VIEW_BYTES_MIN = 64;

/** Copy `bytes` bytes from `at` of `from` to `start` of `to`: a header without the views that Buffer.copy makes of a part. */
export function copyBytes(
  from: Buffer,
  at: number,
  to: Uint8Array,
  start: number,
  bytes: number,
): void {
  if (bytes >= VIEW_BYTES_MIN) from.copy(to, start, at, at + bytes);
  else for (let i = 0; i < bytes; i++) to[start + i] = from[at + i] as number;
}

/** Copy them to `to`, from `at` on. Without a view of the bytes, which would cost more than copying four thousand of them. */
export function copyFrom(op: HostOp, to: Buffer, at: number): void {
  const data = dataOf(op);
  const { iovOffset, bytes } = op;
  if (data instanceof Buffer) data.copy(to, at, iovOffset, iovOffset + bytes);
  else to.set(contentsOf(op), at);
}
