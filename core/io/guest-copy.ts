// The one place of the core that moves guest data between buffers (design D6). It moves bytes and never looks at them, and
// does nothing when a buffer is poisoned, as in replay all are: copying nothing into nothing decides nothing.

import { assert } from "../base/index.ts";
import type { Qiov } from "../graph/state.ts";
import type { GuestBuffer } from "../sched/index.ts";

/** Copy `bytes` from `from` to `to` (C: qemu_iovec_to_buf and its like). Common. */
export function guestCopy(to: Qiov, from: Qiov, bytes: number): void {
  assertInside(to, bytes);
  assertInside(from, bytes);
  const { data } = from.buffer;
  if (to.buffer.data === null || data === null) return;
  // A view costs more than a short copy.
  const isAll = bytes === data.length;
  to.buffer.data.set(isAll ? data : data.subarray(from.start, from.start + bytes), to.start);
}

/** Set `bytes` of `to` to zero (C: qemu_iovec_memset). Common. */
export function guestZero(to: Qiov, bytes: number): void {
  assertInside(to, bytes);
  if (to.buffer.data === null) return;
  to.buffer.data.fill(0, to.start, to.start + bytes);
}

/** `buffer` from `start` on. Common. */
export function qiovOf(buffer: GuestBuffer, start = 0): Qiov {
  assert(start >= 0, "a buffer has no bytes before its first");
  assert(start <= buffer.length, "a buffer has no bytes behind its last");
  return { buffer, start };
}

/** `qiov` from its byte `bytes` on. Common. */
export function qiovAfter(qiov: Qiov, bytes: number): Qiov {
  return qiovOf(qiov.buffer, qiov.start + bytes);
}

function assertInside(qiov: Qiov, bytes: number): void {
  assert(bytes >= 0, "byte counts are not negative");
  assert(qiov.start >= 0, "a buffer has no bytes before its first");
  assert(qiov.start + bytes <= qiov.buffer.length, "a copy stays inside its buffers");
}
