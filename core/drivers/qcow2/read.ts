// Reading: piece by piece, each piece looked up under the lock and read without it.

import { assert, EIO } from "../../base/index.ts";
import { backingOf } from "../../graph/access.ts";
import type { BdrvChild, BlockDriverState, Qiov } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { guestZero, qiovAfter } from "../../io/guest-copy.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode, qemuCoMutexLock, qemuCoMutexUnlock } from "../../sched/index.ts";
import { readCompressed } from "./compressed.ts";
import { dataRequestBegin, dataRequestEnd } from "./data-request.ts";
import { type Extent, mapRange, placeOf } from "./mapping.ts";
import { imageFile } from "./metadata-io.ts";
import { stateOf } from "./state.ts";

const SITE_PREADV = site("qcow2_co_preadv_part");
const SITE_BACKING = site("qcow2_co_preadv_task");
const SITE_DATA = site("qcow2_data_child");

/** qcow2_co_preadv_part: 0 or a negated errno. */
export function* qcow2CoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_PREADV);
  assert(bytes >= 0, "byte counts are not negative");
  const state = stateOf(bs);
  for (let done = 0; done < bytes; ) {
    if (state.corrupt) return -EIO;
    yield* qemuCoMutexLock(state.lock);
    const extent = yield* mapRange(bs, offset + done, bytes - done);
    const request = dataRequestBegin(state);
    qemuCoMutexUnlock(state.lock);
    const ret =
      typeof extent === "number"
        ? extent
        : yield* readExtent(bs, extent, offset + done, qiovAfter(qiov, done));
    dataRequestEnd(state, request);
    if (ret < 0 || typeof extent === "number") return ret;
    done += extent.bytes;
  }
  return 0;
}

/** qcow2_co_preadv_task: read one run into `qiov`. */
function* readExtent(bs: BlockDriverState, extent: Extent, offset: number, qiov: Qiov): Co<number> {
  switch (extent.kind) {
    case "data":
      yield* blkdbgFileEvent(bs, "read_aio");
      return yield* bdrvCoPreadv(dataChild(bs), placeOf(extent), extent.bytes, qiov);
    case "compressed":
      return yield* readCompressed(bs, extent, offset, qiov);
    case "zero":
      guestZero(qiov, extent.bytes);
      return 0;
    case "unallocated": {
      const backing = backingOf(bs, SITE_BACKING);
      if (backing !== null) {
        yield* blkdbgFileEvent(bs, "read_backing_aio");
        return yield* bdrvCoPreadv(backing, offset, extent.bytes, qiov);
      }
      guestZero(qiov, extent.bytes);
      return 0;
    }
  }
}

/** C: s->data_file: where guest data is. */
export function dataChild(bs: BlockDriverState): BdrvChild {
  ioCode(bs.aioContext, SITE_DATA);
  return stateOf(bs).dataFile ?? imageFile(bs);
}
