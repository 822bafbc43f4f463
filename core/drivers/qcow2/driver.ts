// `qcow2`: the table of the driver. How it works: README.md.

import { EACCES, EIO } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { ReopenState } from "../../graph/block-options.ts";
import type { BlockDriver, BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import {
  type Co,
  type Polls,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  runInCoroutine,
} from "../../sched/index.ts";
import { qcow2CoBlockStatus } from "./block-status.ts";
import { INCOMPAT_CORRUPT, INCOMPAT_DIRTY } from "./format.ts";
import { setIncompatible, updateHeader } from "./header-update.ts";
import { qcow2GetInfo, qcow2GetSpecificInfo } from "./info.ts";
import { qcow2CoPreadv } from "./read.ts";
import { qcow2CoCheck } from "./repair.ts";
import { Qcow2State, stateOf } from "./state.ts";
import { qcow2CoTruncate } from "./truncate.ts";
import { writePlain } from "./write.ts";
import { writeCaches } from "./write-back.ts";
import { qcow2CoPwritevCompressed } from "./write-compressed.ts";
import { qcow2CoPdiscard, qcow2CoPwriteZeroes } from "./zero.ts";

const SITE_CLOSE = site("qcow2_close");
const SITE_INACTIVATE = site("qcow2_inactivate");
const SITE_REOPEN = site("qcow2_reopen_prepare");
const SITE_CHANGE_BACKING = site("qcow2_change_backing_file");

/** C: bdrv_qcow2. */
export const qcow2Driver: BlockDriver = {
  formatName: "qcow2",
  isFilter: false,
  supportsBacking: true,
  drvClose: qcow2Close,
  coPreadv: qcow2CoPreadv,
  coPwritev: writePlain,
  coPwritevCompressed: qcow2CoPwritevCompressed,
  coPwriteZeroes: qcow2CoPwriteZeroes,
  coPdiscard: qcow2CoPdiscard,
  coFlushToOs: qcow2CoFlushToOs,
  coTruncate: qcow2CoTruncate,
  coBlockStatus: qcow2CoBlockStatus,
  coCheck: qcow2CoCheck,
  inactivate: (bs) => runInCoroutine(bs.aioContext, () => inactivate(bs), SITE_INACTIVATE),
  getlength: (bs) => stateOf(bs).size,
  getInfo: qcow2GetInfo,
  getSpecificInfo: qcow2GetSpecificInfo,
  changeBackingFile: qcow2ChangeBackingFile,
  reopenPrepare: qcow2ReopenPrepare,
};

/** qcow2_reopen_prepare: before nobody may write, all is written; before somebody may, the image must be one to write to. Polls. */
function* qcow2ReopenPrepare({ bs, readOnly }: ReopenState): Polls<void> {
  const { header } = stateOf(bs);
  if (readOnly === bs.readOnly) return;
  if (!readOnly && (header.incompatible & INCOMPAT_CORRUPT) !== 0)
    throw new BlockError(EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
  if (!readOnly) return;
  const ret = yield* runInCoroutine(bs.aioContext, () => inactivate(bs), SITE_REOPEN);
  if (ret < 0) throw new BlockError(-ret, "Could not write the tables of the image");
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
  if (!(bs.opaque instanceof Qcow2State) || bs.readOnly || bs.opaque.corrupt) return;
  yield* runInCoroutine(bs.aioContext, () => inactivate(bs), SITE_CLOSE);
}

/** qcow2_inactivate: all is written, and the counts are right again. 0 or a negated errno. */
function* inactivate(bs: BlockDriverState): Co<number> {
  const state = stateOf(bs);
  yield* qemuCoMutexLock(state.lock);
  let ret = yield* writeCaches(bs);
  if (ret >= 0 && (state.header.incompatible & INCOMPAT_DIRTY) !== 0)
    ret = yield* setIncompatible(bs, INCOMPAT_DIRTY, false);
  qemuCoMutexUnlock(state.lock);
  return ret;
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
