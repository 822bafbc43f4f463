// `null-co`: requests succeed at once, in the coroutine; with a latency they sleep first.

import type { BlockDriver, BlockDriverState, Qiov } from "../graph/state.ts";
import { guestZero } from "../io/guest-copy.ts";
import { type Co, qemuCoSleepNs } from "../sched/index.ts";
import { nullCoBlockStatus, nullStateOf } from "./null-state.ts";

/** C: bdrv_null_co. */
export const nullCoDriver: BlockDriver = {
  formatName: "null-co",
  isFilter: false,
  isProtocol: true,
  coPreadv: (bs, _offset, bytes, qiov) => nullCoCommon(bs, bytes, qiov),
  coPwritev: (bs) => nullCoCommon(bs, 0, null),
  coPwriteZeroes: (bs) => nullCoCommon(bs, 0, null),
  coPdiscard: (bs) => nullCoCommon(bs, 0, null),
  coFlushToDisk: (bs) => nullCoCommon(bs, 0, null),
  coBlockStatus: nullCoBlockStatus,
  getlength: (bs) => nullStateOf(bs).length,
  getAllocatedFileSize: () => 0,
  reopenPrepare: () => undefined,
};

/** null_co_common (block/null.c:122). */
function* nullCoCommon(bs: BlockDriverState, bytes: number, qiov: Qiov | null): Co<number> {
  const { latencyNs, readZeroes } = nullStateOf(bs);
  if (latencyNs > 0) yield* qemuCoSleepNs(latencyNs);
  if (readZeroes && qiov !== null) guestZero(qiov, bytes);
  return 0;
}
