// Reading: piece by piece, each piece looked up under the lock and read without it.

import { assert, EIO } from "../../base/index.ts";
import { backingOf } from "../../graph/access.ts";
import type { BdrvChild, BlockDriverState, Qiov } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { guestZero, qiovAfter } from "../../io/guest-copy.ts";
import { bdrvCoPreadv } from "../../io/read.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  coChain,
  coThen,
  ioCode,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  settled,
} from "../../sched/index.ts";
import { readCompressed } from "./compressed.ts";
import { dataRequestBegin, dataRequestEnd } from "./data-request.ts";
import { type Extent, mapRange, placeOf } from "./mapping.ts";
import { imageFile } from "./metadata-io.ts";
import { stateOf } from "./state.ts";

const SITE_PREADV = site("qcow2_co_preadv_part");
const SITE_BACKING = site("qcow2_co_preadv_task");
const SITE_DATA = site("qcow2_data_child");

/** qcow2_co_preadv_part: 0 or a negated errno. */
export function qcow2CoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_PREADV);
  assert(bytes >= 0, "byte counts are not negative");
  if (bytes === 0) return settled(0);
  return coChain(readPiece(bs, offset, bytes, qiov), (done) => {
    if (done < 0 || done === bytes) return settled(Math.min(done, 0));
    return readRest(bs, offset + done, bytes - done, qiovAfter(qiov, done));
  });
}

function* readRest(bs: BlockDriverState, offset: number, bytes: number, qiov: Qiov): Co<number> {
  for (let done = 0; done < bytes; ) {
    const ret = yield* readPiece(bs, offset + done, bytes - done, qiovAfter(qiov, done));
    if (ret < 0) return ret;
    done += ret;
  }
  return 0;
}

/** The first run of a read: how long it is, or a negated errno. */
function readPiece(bs: BlockDriverState, offset: number, bytes: number, qiov: Qiov): Co<number> {
  const state = stateOf(bs);
  if (state.corrupt) return settled(-EIO);
  return coChain(qemuCoMutexLock(state.lock), () =>
    coChain(mapRange(bs, offset, bytes), (extent) => {
      const request = dataRequestBegin(state);
      qemuCoMutexUnlock(state.lock);
      const read =
        typeof extent === "number" ? settled(extent) : readExtent(bs, extent, offset, qiov);
      return coThen(read, (ret) => {
        dataRequestEnd(state, request);
        return ret < 0 || typeof extent === "number" ? ret : extent.bytes;
      });
    }),
  );
}

/** qcow2_co_preadv_task: read one run into `qiov`. */
function readExtent(bs: BlockDriverState, extent: Extent, offset: number, qiov: Qiov): Co<number> {
  switch (extent.kind) {
    case "data":
      return coChain(blkdbgFileEvent(bs, "read_aio"), () =>
        bdrvCoPreadv(dataChild(bs), placeOf(extent), extent.bytes, qiov),
      );
    case "compressed":
      return readCompressed(bs, extent, offset, qiov);
    case "zero":
      guestZero(qiov, extent.bytes);
      return settled(0);
    case "unallocated": {
      const backing = backingOf(bs, SITE_BACKING);
      if (backing !== null)
        return coChain(blkdbgFileEvent(bs, "read_backing_aio"), () =>
          bdrvCoPreadv(backing, offset, extent.bytes, qiov),
        );
      guestZero(qiov, extent.bytes);
      return settled(0);
    }
  }
}

/** C: s->data_file: where guest data is. */
export function dataChild(bs: BlockDriverState): BdrvChild {
  ioCode(bs.aioContext, SITE_DATA);
  return stateOf(bs).dataFile ?? imageFile(bs);
}
