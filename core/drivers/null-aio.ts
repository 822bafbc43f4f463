// `null-aio`: requests complete later, from the node's event loop: by a timer, or, without a latency, from a bottom half.

import { assert } from "../base/index.ts";
import type { BlockDriver, BlockDriverState, Qiov } from "../graph/state.ts";
import { guestZero } from "../io/guest-copy.ts";
import {
  aioBhScheduleOneshot,
  aioCoWake,
  type Co,
  qemuCoroutineSelf,
  qemuCoroutineYield,
  qemuCoSleepNs,
} from "../sched/index.ts";
import { nullCoBlockStatus, nullStateOf } from "./null-state.ts";

/** C: bdrv_null_aio. */
export const nullAioDriver: BlockDriver = {
  formatName: "null-aio",
  isFilter: false,
  isProtocol: true,
  coPreadv: (bs, _offset, bytes, qiov) => nullAioCommon(bs, bytes, qiov),
  coPwritev: (bs) => nullAioCommon(bs, 0, null),
  coPwriteZeroes: (bs) => nullAioCommon(bs, 0, null),
  coFlushToDisk: (bs) => nullAioCommon(bs, 0, null),
  coBlockStatus: nullCoBlockStatus,
  getlength: (bs) => nullStateOf(bs).length,
  getAllocatedFileSize: () => 0,
  reopenPrepare: () => undefined,
};

/** null_aio_common (block/null.c:183). */
function* nullAioCommon(bs: BlockDriverState, bytes: number, qiov: Qiov | null): Co<number> {
  const { latencyNs, readZeroes } = nullStateOf(bs);
  if (latencyNs > 0) yield* qemuCoSleepNs(latencyNs);
  else yield* throughBottomHalf();
  if (readZeroes && qiov !== null) guestZero(qiov, bytes);
  return 0;
}

/** null_bh_cb (block/null.c:164). */
function* throughBottomHalf(): Co<void> {
  const co = qemuCoroutineSelf();
  assert(co.ctx !== null, "a running coroutine has a context");
  aioBhScheduleOneshot(co.ctx, () => {
    aioCoWake(co);
    return undefined;
  });
  yield* qemuCoroutineYield();
}
