// Making a file longer or shorter, with room on the disk for what is new, or with zeroes there, if that is asked for.

import { assert, type ByteOffset, ENOTSUP, type HostHandle, strerror } from "../base/index.ts";
import type { Qiov } from "../graph/state.ts";
import type { Truncation } from "../graph/truncation.ts";
import { guestZero, qiovOf } from "../io/guest-copy.ts";
import { alignDown } from "../io/limits.ts";
import { type Co, type HostOpType, hostAllocate, hostCall } from "../sched/index.ts";

/** Bytes of zeroes that are written at a time. */
const ZEROES_BYTES = 1 << 20;
/** Bytes for which room is taken at a time: what an event's integer holds. */
const ALLOCATE_BYTES = 2 ** 30;

/** An operation on the file: 0 or a negated errno. */
export type Submit = (
  type: HostOpType,
  offset: number,
  bytes: number,
  qiov: Qiov | null,
) => Co<number>;

/** The length that a file has, or a negated errno, and the one that it shall have. */
export interface Lengths {
  readonly from: number;
  readonly to: number;
}

/**
 * handle_aiocb_truncate (block/file-posix.c:2310): 0 or a negated errno, with the reason said to `how`; after a failure the file has its
 * old length. Files have exactly the length that is asked for. Common.
 */
export function* fileTruncate(
  handle: HostHandle,
  { from, to }: Lengths,
  { prealloc, errorSetg }: Truncation,
  submit: Submit,
): Co<number> {
  assert(to >= 0, "a file has no negative length");
  const failed = (ret: number, what: string): number => {
    if (ret < 0) errorSetg(`${what}: ${strerror(-ret)}`);
    return Math.min(ret, 0);
  };
  if (from < 0) return failed(from, "Could not stat file");
  const resize = (size: number): number =>
    hostCall({ call: "truncate", handle, size: size as ByteOffset }).ret;
  if (prealloc === "off") return failed(resize(to), "Could not resize file");
  if (prealloc === "metadata" || to < from) {
    errorSetg(
      to < from
        ? "Cannot use preallocation for shrinking files"
        : `Unsupported preallocation mode: ${prealloc}`,
    );
    return -ENOTSUP;
  }
  const ret =
    prealloc === "falloc"
      ? failed(yield* allocate(from, to, submit), "Could not preallocate new data")
      : yield* fill(from, to, submit, resize, failed);
  if (ret < 0) resize(from);
  return ret;
}

/** posix_fallocate: room for the new area, or zeroes in it, where the host cannot take any without writing. */
function* allocate(from: number, to: number, submit: Submit): Co<number> {
  for (let at = from; at < to; at += ALLOCATE_BYTES) {
    const ret = yield* submit("allocate", at, Math.min(to - at, ALLOCATE_BYTES), null);
    if (ret === -ENOTSUP) return yield* writeZeroes(at, to, submit);
    if (ret < 0) return ret;
  }
  return 0;
}

/** The length first, so that the file system knows how much is to come. */
function* fill(
  from: number,
  to: number,
  submit: Submit,
  resize: (size: number) => number,
  failed: (ret: number, what: string) => number,
): Co<number> {
  const resized = failed(resize(to), "Could not resize file");
  if (resized < 0) return resized;
  const written = yield* writeZeroes(from, to, submit);
  if (written < 0) return failed(written, "Could not write zeros for preallocation");
  return failed(yield* submit("flush", 0, 0, null), "Could not flush file to disk");
}

/** Pieces begin and end at multiples of their length, but for the first and the last: past the cache, they have to. */
function* writeZeroes(from: number, to: number, submit: Submit): Co<number> {
  const zeroes = qiovOf(hostAllocate(Math.min(to - from, ZEROES_BYTES)));
  guestZero(zeroes, zeroes.buffer.length);
  for (let at = from; at < to; ) {
    const end = Math.min(alignDown(at, ZEROES_BYTES) + ZEROES_BYTES, at + zeroes.buffer.length, to);
    const ret = yield* submit("write", at, end - at, zeroes);
    if (ret < 0) return ret;
    at = end;
  }
  return 0;
}
