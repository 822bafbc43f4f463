export { blkCheckByteRequest, blkGetlength, blkIsAvailable, blkIsInserted } from "./available.ts";
export {
  type BlockCompletionFunc,
  blkAbortAioRequest,
  blkAioFlush,
  blkAioPdiscard,
  blkAioPreadv,
  blkAioPwritev,
  blkAioPwriteZeroes,
} from "./blk-aio.ts";
export { type BlkOptions, BlockBackend, type BlockDevOps, blkAll } from "./block-backend.ts";
export { blkGetAioContext, blkSetAioContext, blkSetAllowAioContextChange } from "./context.ts";
export { blkDrain, blkDrainAll } from "./drain.ts";
export { blkWaitWhileDrained } from "./gate.ts";
export { blkDecInFlight, blkIncInFlight } from "./in-flight.ts";
export {
  blkIoLimitsDisable,
  blkIoLimitsEnable,
  blkIoLimitsUpdateGroup,
  blkSetIoLimits,
} from "./io-limits.ts";
export {
  blkInsertBs,
  blkNew,
  blkNewWithBs,
  blkRef,
  blkRemoveBs,
  blkReplaceBs,
  blkUnref,
} from "./life.ts";
export { blkGetPerm, blkIsWritable, blkSetPerm, blkSupportsWritePerm } from "./permissions.ts";
export {
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPreadvPart,
  blkCoPwriteCompressed,
  blkCoPwritev,
  blkCoPwritevPart,
  blkCoPwriteZeroes,
  type QiovPart,
} from "./requests.ts";
export { blkBs, blkRoot } from "./root.ts";
export { childRoot } from "./root-edge.ts";
export {
  blkFlush,
  blkLoadVmstate,
  blkPdiscard,
  blkPread,
  blkPreadv,
  blkPreadvPart,
  blkPwrite,
  blkPwriteCompressed,
  blkPwritev,
  blkPwritevPart,
  blkPwriteZeroes,
  blkSaveVmstate,
  blkTruncate,
} from "./sync.ts";
export { blkCoCopyRange, blkCoTruncate, blkIoPlug, blkIoUnplug } from "./unqueued.ts";
