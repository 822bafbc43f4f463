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
