// `qcow2`: the table of the driver. How it works: README.md.

import { EINVAL, EIO } from "../../base/index.ts";
import { settle } from "../../graph/block-error.ts";
import type { BlockDriver, BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  runInCoroutine,
} from "../../sched/index.ts";
import {
  canStoreNewDirtyBitmap,
  removePersistentDirtyBitmap,
  storePersistentDirtyBitmaps,
} from "./bitmap-store.ts";
import { qcow2CoBlockStatus } from "./block-status.ts";
import { cacheCleanTimerDel, cacheCleanTimerInit } from "./cache-clean.ts";
import { qcow2CoCopyRangeFrom, qcow2CoCopyRangeTo } from "./copy-range.ts";
import { updateHeader } from "./header-update.ts";
import { qcow2GetInfo, qcow2GetSpecificInfo } from "./info.ts";
import { qcow2CoInvalidateCache } from "./invalidate.ts";
import { qcow2NowIsData, qcow2NowPreadv, qcow2NowPwritev } from "./now.ts";
import { QCOW2_OPTION_NAMES } from "./options.ts";
import { qcow2CoPreadv } from "./read.ts";
import {
  note,
  qcow2ReopenAbort,
  qcow2ReopenCommit,
  qcow2ReopenCommitPost,
  qcow2ReopenPrepare,
  writeImage,
} from "./reopen.ts";
import { qcow2CoCheck } from "./repair.ts";
import { Qcow2State, stateOf } from "./state.ts";
import { qcow2CoTruncate } from "./truncate.ts";
import { writePlain } from "./write.ts";
import { writeCaches } from "./write-back.ts";
import { qcow2CoPwritevCompressed } from "./write-compressed.ts";
import { qcow2CoPdiscard, qcow2CoPwriteZeroes } from "./zero.ts";

const SITE_INACTIVATE = site("qcow2_inactivate");
const SITE_CHANGE_BACKING = site("qcow2_change_backing_file");

/** C: bdrv_qcow2. */
export const qcow2Driver: BlockDriver = {
  formatName: "qcow2",
  isFilter: false,
  supportsBacking: true,
  drvClose: qcow2Close,
  coPreadv: qcow2CoPreadv,
  coPwritev: writePlain,
  nowPreadv: qcow2NowPreadv,
  nowPwritev: qcow2NowPwritev,
  nowIsData: qcow2NowIsData,
  coPwritevCompressed: qcow2CoPwritevCompressed,
  coPwriteZeroes: qcow2CoPwriteZeroes,
  coPdiscard: qcow2CoPdiscard,
  coCopyRangeFrom: qcow2CoCopyRangeFrom,
  coCopyRangeTo: qcow2CoCopyRangeTo,
  coFlushToOs: qcow2CoFlushToOs,
  coTruncate: qcow2CoTruncate,
  coBlockStatus: qcow2CoBlockStatus,
  coCheck: qcow2CoCheck,
  inactivate: qcow2Inactivate,
  coInvalidateCache: qcow2CoInvalidateCache,
  detachAioContext: cacheCleanTimerDel,
  attachAioContext: cacheCleanTimerInit,
  getlength: (bs) => stateOf(bs).size,
  getInfo: qcow2GetInfo,
  getSpecificInfo: qcow2GetSpecificInfo,
  changeBackingFile: qcow2ChangeBackingFile,
  reopenPrepare: qcow2ReopenPrepare,
  reopenCommit: qcow2ReopenCommit,
  reopenCommitPost: qcow2ReopenCommitPost,
  reopenAbort: qcow2ReopenAbort,
  mutableOptions: QCOW2_OPTION_NAMES,
  supportsPersistentDirtyBitmap: (bs) => stateOf(bs).header.version >= 3,
  canStoreNewDirtyBitmap,
  coRemovePersistentDirtyBitmap: removePersistentDirtyBitmap,
};

/** qcow2_co_flush_to_os: what the tables say is written; the block layer then flushes the file. */
function* qcow2CoFlushToOs(bs: BlockDriverState): Co<number> {
  // An image that could not be opened has no state.
  if (!(bs.opaque instanceof Qcow2State)) return 0;
  const state = bs.opaque;
  if (state.corrupt) return -EIO;
  yield* qemuCoMutexLock(state.lock);
  const ret = yield* writeCaches(bs);
  qemuCoMutexUnlock(state.lock);
  return ret;
}

/** qcow2_close. Nothing is in flight. Polls. */
function* qcow2Close(bs: BlockDriverState): Polls<void> {
  if (!(bs.opaque instanceof Qcow2State)) return;
  cacheCleanTimerDel(bs);
  if (bs.opaque.corrupt) return;
  if (!bs.inactive) yield* qcow2Inactivate(bs);
}

/** qcow2_inactivate: bitmaps are stored, all is written, and the counts are right again. 0 or a negated errno. Polls. */
function* qcow2Inactivate(bs: BlockDriverState): Polls<number> {
  if (bs.readOnly) return 0;
  const stored = yield* settle(() => storePersistentDirtyBitmaps(bs, true));
  if (!stored.ok) {
    const what = `Lost persistent bitmaps during inactivation of node '${bs.nodeName}'`;
    note(`${what}: ${stored.error.message}`);
  }
  const ret = yield* runInCoroutine(bs.aioContext, () => writeImage(bs), SITE_INACTIVATE);
  return ret < 0 || stored.ok ? ret : -EINVAL;
}

/** qcow2_change_backing_file: into the header. Polls. */
function* qcow2ChangeBackingFile(
  bs: BlockDriverState,
  backingFile: string,
  backingFormat: string,
): Polls<number> {
  const change = function* (): Co<number> {
    const { lock } = stateOf(bs);
    yield* qemuCoMutexLock(lock);
    const ret = yield* updateHeader(bs, { backingFile, backingFormat });
    qemuCoMutexUnlock(lock);
    return ret;
  };
  const ret = yield* runInCoroutine(bs.aioContext, change, SITE_CHANGE_BACKING);
  if (ret < 0) return ret;
  bs.backingFile = backingFile;
  bs.backingFormat = backingFormat;
  return 0;
}
