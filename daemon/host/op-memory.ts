// The memory of an operation that moves bytes.

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

/** Copy them to `to`, from `at` on. Without a view of the bytes, which would cost more than copying four thousand of them. */
export function copyFrom(op: HostOp, to: Buffer, at: number): void {
  const data = dataOf(op);
  const { iovOffset, bytes } = op;
  if (data instanceof Buffer) data.copy(to, at, iovOffset, iovOffset + bytes);
  else to.set(contentsOf(op), at);
}
