// Reading and writing the image's own bytes. What is read is metadata and is revealed, so that it is in a recording; what is
// written comes from memory that is the same in replay.

import { assert } from "../../base/index.ts";
import { fileOf } from "../../graph/access.ts";
import type { BdrvChild, BlockDriverState } from "../../graph/state.ts";
import { bdrvCoFlush } from "../../io/flush.ts";
import { qiovOf } from "../../io/guest-copy.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { bdrvCoPwritev } from "../../io/write.ts";
import { bdrvCoPwriteZeroes } from "../../io/write-zeroes.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  GuestBuffer,
  hostAllocate,
  hostReveal,
  ioCode,
  modelAssert,
} from "../../sched/index.ts";
import { stateOf } from "./state.ts";

const SITE_READ = site("qcow2_read_metadata");
const SITE_WRITE = site("qcow2_write_metadata");
const SITE_ZERO = site("qcow2_zero_metadata");
const SITE_BARRIER = site("qcow2_barrier");
const SITE_FILE = site("qcow2_file_child");

/** C: bs->file, which an open image has. */
export function imageFile(bs: BlockDriverState): BdrvChild {
  ioCode(bs.aioContext, SITE_FILE);
  const child = fileOf(bs, SITE_FILE);
  modelAssert(child !== null, "bs->file", SITE_FILE);
  return child;
}

/** `bytes` bytes of the image at `offset`, or a negated errno. */
export function* readMetadata(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): Co<Uint8Array<ArrayBuffer> | number> {
  ioCode(bs.aioContext, SITE_READ);
  assert(bytes > 0, "a read of metadata is for something");
  const buffer = hostAllocate(bytes);
  const ret = yield* bdrvCoPreadv(imageFile(bs), offset, bytes, qiovOf(buffer));
  return ret < 0 ? ret : hostReveal(SITE_READ, buffer, 0, bytes);
}

/** Write `data` at `offset` of the image; 0 or a negated errno. It is copied: the caller may go on changing it. */
export function* writeMetadata(bs: BlockDriverState, offset: number, data: Uint8Array): Co<number> {
  ioCode(bs.aioContext, SITE_WRITE);
  assert(data.length > 0, "a write of metadata is of something");
  const buffer = new GuestBuffer(data.length, Uint8Array.from(data));
  return yield* bdrvCoPwritev(imageFile(bs), offset, data.length, qiovOf(buffer));
}

/** Make a range of the image read as zeroes; 0 or a negated errno. */
export function* zeroMetadata(bs: BlockDriverState, offset: number, bytes: number): Co<number> {
  ioCode(bs.aioContext, SITE_ZERO);
  assert(bytes > 0, "zeroes are written somewhere");
  return yield* bdrvCoPwriteZeroes(imageFile(bs), offset, bytes);
}

/** What was written before is on the disk when this returns 0: guest data, and the image's tables. */
export function* barrier(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_BARRIER);
  const { dataFile } = stateOf(bs);
  if (dataFile !== null) {
    const ret = yield* bdrvCoFlush(nodeBehind(dataFile, SITE_BARRIER));
    if (ret < 0) return ret;
  }
  return yield* bdrvCoFlush(nodeBehind(imageFile(bs), SITE_BARRIER));
}
