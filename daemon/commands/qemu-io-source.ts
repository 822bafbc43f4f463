// write -s FILE (C: qemu_io_alloc_from_file): a buffer with the bytes of a file, again and again.
//
// They come in through a node of their own, like all bytes of guests: a recording has none of them.

import { blkNewWithBs, blkPread, blkUnref } from "#core/backend";
import { strerror } from "#core/base";
import { fileOpen } from "#core/drivers";
import { BLK_PERM_CONSISTENT_READ, type BlockDriverState, bdrvUnref, settle } from "#core/graph";
import { guestCopy, qiovOf } from "#core/io";
import { type GuestBuffer, hostAllocate, type Polls } from "#core/sched";
import type { QemuIoSession } from "./qemu-io-session.ts";

/** A buffer of `bytes` from the file at `path`; null after saying why there is none. Polls. */
export function* bufferFromFile(
  session: QemuIoSession,
  path: string,
  bytes: number,
): Polls<GuestBuffer | null> {
  const refuse = (why: string): null => {
    session.print(`${path}: ${why}`);
    return null;
  };
  const opened = yield* settle(() =>
    fileOpen({ nodeName: "", path, readOnly: true, locking: "off" }),
  );
  if (!opened.ok) return refuse(strerror(opened.error.errno));
  const bs = opened.value;
  const length = bs.drv.getlength?.(bs) ?? 0;
  const pattern = hostAllocate(Math.min(Math.max(length, 0), bytes));
  const ret = length < 0 ? length : yield* readAll(bs, pattern);
  yield* bdrvUnref(bs);
  if (ret < 0) return refuse(strerror(-ret));
  return pattern.length === 0 ? refuse("file is empty") : repeated(pattern, bytes);
}

function* readAll(bs: BlockDriverState, buffer: GuestBuffer): Polls<number> {
  const blk = yield* blkNewWithBs(bs, { perm: BLK_PERM_CONSISTENT_READ });
  const ret = yield* blkPread(blk, 0, buffer.length, buffer);
  yield* blkUnref(blk);
  return ret;
}

function repeated(pattern: GuestBuffer, bytes: number): GuestBuffer {
  const buffer = hostAllocate(bytes);
  for (let at = 0; at < bytes; at += pattern.length)
    guestCopy(qiovOf(buffer, at), qiovOf(pattern), Math.min(pattern.length, bytes - at));
  return buffer;
}
