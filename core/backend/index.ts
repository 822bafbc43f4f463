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
export { type BlkErrorAction, type BlkEvent, blkEventListeners } from "./blk-events.ts";
export {
  type BlkOptions,
  BlockBackend,
  type BlockDeviceIoStatus,
  type BlockDevOps,
  type BlockdevOnError,
  blkAll,
  type DeviceState,
} from "./block-backend.ts";
export { blkCoBlockStatusAbove } from "./block-status.ts";
export { blkGetAioContext, blkSetAioContext, blkSetAllowAioContextChange } from "./context.ts";
export {
  blkAttachDev,
  blkByDev,
  blkDetachDev,
  blkDevChangeMediaCb,
  blkDevEjectRequest,
  blkDevHasRemovableMedia,
  blkDevHasTray,
  blkDevIsMediumLocked,
  blkDevIsTrayOpen,
  blkGetAttachedDev,
  blkGetAttachedDevId,
  blkSetDevOps,
} from "./device.ts";
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
  BdrvNextIterator,
  bdrvFirst,
  bdrvFirstBlk,
  bdrvHasBlk,
  bdrvNext,
  bdrvNextCleanup,
} from "./iterators.ts";
export {
  blkInsertBs,
  blkNew,
  blkNewWithBs,
  blkRef,
  blkRemoveBs,
  blkReplaceBs,
  blkUnref,
} from "./life.ts";
export {
  blockdevRemoveMedium,
  qmpBlockdevCloseTray,
  qmpBlockdevInsertAnonMedium,
  qmpBlockdevOpenTray,
  qmpEject,
} from "./medium.ts";
export { blkNowIsData } from "./now.ts";
export {
  blkErrorAction,
  blkGetErrorAction,
  blkGetOnError,
  blkIostatus,
  blkIostatusDisable,
  blkIostatusEnable,
  blkIostatusIsEnabled,
  blkIostatusReset,
  blkIostatusSetErr,
  blkSetOnError,
} from "./on-error.ts";
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
