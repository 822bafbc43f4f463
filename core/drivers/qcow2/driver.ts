// `qcow2`: the table of the driver. How it works: README.md.

import { EACCES, EINVAL, EIO, strerror } from "../../base/index.ts";
import { BlockError, settle } from "../../graph/block-error.ts";
import type { ReopenState } from "../../graph/block-options.ts";
import type { BlockDriver, BlockDriverState } from "../../graph/state.ts";
import { Ev, site } from "../../probe/index.ts";
import {
  type Co,
  machine,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  runInCoroutine,
} from "../../sched/index.ts";
import { reopenBitmapsRw } from "./bitmap-load.ts";
import {
  canStoreNewDirtyBitmap,
  removePersistentDirtyBitmap,
  reopenBitmapsRo,
  storePersistentDirtyBitmaps,
} from "./bitmap-store.ts";
import { qcow2CoBlockStatus } from "./block-status.ts";
import { cacheCleanTimerDel, cacheCleanTimerInit } from "./cache-clean.ts";
import { qcow2CoCopyRangeFrom, qcow2CoCopyRangeTo } from "./copy-range.ts";
import { INCOMPAT_CORRUPT, INCOMPAT_DIRTY } from "./format.ts";
import { setIncompatible, updateHeader } from "./header-update.ts";
import { qcow2GetInfo, qcow2GetSpecificInfo } from "./info.ts";
import { qcow2CoInvalidateCache } from "./invalidate.ts";
import { qcow2NowIsData, qcow2NowPreadv, qcow2NowPwritev } from "./now.ts";
import { prepareToWrite } from "./prepare.ts";
import { qcow2CoPreadv } from "./read.ts";
import { qcow2CoCheck } from "./repair.ts";
import { Qcow2State, stateOf } from "./state.ts";
import { qcow2CoTruncate } from "./truncate.ts";
import { writePlain } from "./write.ts";
import { writeCaches } from "./write-back.ts";
import { qcow2CoPwritevCompressed } from "./write-compressed.ts";
import { qcow2CoPdiscard, qcow2CoPwriteZeroes } from "./zero.ts";

const SITE_INACTIVATE = site("qcow2_inactivate");
const SITE_REOPEN = site("qcow2_reopen_prepare");
const SITE_REOPEN_POST = site("qcow2_reopen_commit_post");
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
  reopenCommitPost: qcow2ReopenCommitPost,
  reopenAbort: qcow2ReopenAbort,
  supportsPersistentDirtyBitmap: (bs) => stateOf(bs).header.version >= 3,
  canStoreNewDirtyBitmap,
  coRemovePersistentDirtyBitmap: removePersistentDirtyBitmap,
};

/** qcow2_reopen_prepare: before nobody may write, all is written; before somebody may, the image must be one to write to. Polls. */
function* qcow2ReopenPrepare({ bs, readOnly }: ReopenState): Polls<void> {
  const { header } = stateOf(bs);
  if (readOnly === bs.readOnly) return;
  if (!readOnly && (header.incompatible & INCOMPAT_CORRUPT) !== 0)
    throw new BlockError(EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
  if (!readOnly) return;
  yield* reopenBitmapsRo(bs);
  const ret = yield* runInCoroutine(bs.aioContext, () => writeAll(bs), SITE_REOPEN);
  if (ret < 0) throw new BlockError(-ret, "Could not write the tables of the image");
}

/**
 * qcow2_reopen_commit_post: a node that was read-only may write now, so the image gets what one that is opened to write gets. Polls.
 * Differs from QEMU, which leaves out all but the bitmaps here, and so goes on with counts that are out of date. When the image cannot
 * be put in order, the node serves nothing any more, as it is too late to refuse; bitmaps that cannot be marked stay read-only, as
 * in QEMU, and nothing can be written.
 */
function* qcow2ReopenCommitPost({ bs }: ReopenState): Polls<void> {
  const state = stateOf(bs);
  if (bs.readOnly || state.preparedToWrite) return;
  const ret = yield* runInCoroutine(bs.aioContext, () => prepareToWrite(bs), SITE_REOPEN_POST);
  if (ret < 0) state.corrupt = true;
  const done = yield* settle(() => reopenBitmapsRw(bs));
  const problem = ret < 0 ? strerror(-ret) : done.ok ? "" : done.error.message;
  if (problem !== "") note(`${bs.nodeName}: Failed to make the image writable: ${problem}`);
}

/** qcow2_reopen_abort: who was to be read-only is not. Polls. */
function* qcow2ReopenAbort({ bs, readOnly }: ReopenState): Polls<void> {
  if (bs.readOnly || !readOnly) return;
  stateOf(bs).preparedToWrite = true;
  const done = yield* settle(() => reopenBitmapsRw(bs));
  if (!done.ok) note(`${bs.nodeName}: Failed to make the image writable: ${done.error.message}`);
}

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
  const ret = yield* runInCoroutine(bs.aioContext, () => writeAll(bs), SITE_INACTIVATE);
  return ret < 0 || stored.ok ? ret : -EINVAL;
}

/** What changed in memory is on the disk, and the image is not dirty any more. 0 or a negated errno. */
function* writeAll(bs: BlockDriverState): Co<number> {
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.lock);
  let ret = yield* writeCaches(bs);
  if (ret >= 0 && (state.header.incompatible & INCOMPAT_DIRTY) !== 0)
    ret = yield* setIncompatible(bs, INCOMPAT_DIRTY, false);
  qemuCoMutexUnlock(state.lock);
  if (ret >= 0) state.preparedToWrite = false;
  return ret;
}

/** For a recording, and whoever reads it: what users of QEMU see on stderr. */
function note(text: string): void {
  machine.probe.emit(Ev.note, machine.probe.intern(text));
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
