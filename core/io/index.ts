export {
  bdrvCoBlockStatus,
  bdrvCoCommonBlockStatusAbove,
  type StatusAbove,
  type StatusBase,
  type StatusRange,
} from "./block-status.ts";
export { bdrvCheck, bdrvCoCheck } from "./check.ts";
export { bdrvCheckRequest32 } from "./check-request.ts";
export {
  bdrvChildCbDrainedBegin,
  bdrvChildCbDrainedEnd,
  bdrvChildCbDrainedPoll,
} from "./child-cb-drain.ts";
export {
  bdrvCoDrain,
  bdrvCoDrainAllBegin,
  bdrvCoDrainedBegin,
  bdrvCoDrainedBeginNoPoll,
  bdrvCoDrainedEnd,
  bdrvCoSubtreeDrainedBegin,
  bdrvCoSubtreeDrainedEnd,
  bdrvDrainedBeginNoPoll,
} from "./co-drain.ts";
export { bdrvDisableCopyOnRead, bdrvEnableCopyOnRead } from "./copy-on-read.ts";
export { bdrvCoCopyRange } from "./copy-range.ts";
export {
  bdrvDebugBreakpoint,
  bdrvDebugEvent,
  bdrvDebugIsSuspended,
  bdrvDebugRemoveBreakpoint,
  bdrvDebugResume,
  blkdbgEvent,
} from "./debug-event.ts";
export { bdrvCoPdiscard } from "./discard.ts";
export { bdrvDrain, bdrvDrainedBegin, bdrvDrainedEnd } from "./drain.ts";
export {
  bdrvDrainAll,
  bdrvDrainAllBegin,
  bdrvDrainAllCount,
  bdrvDrainAllEnd,
  bdrvDrainAllEndQuiesce,
  bdrvDrainAllNewNode,
} from "./drain-all.ts";
export { bdrvDrainPoll } from "./drain-poll.ts";
export { bdrvCoFlush } from "./flush.ts";
export { guestCopy, guestZero, qiovAfter, qiovOf } from "./guest-copy.ts";
export { bdrvDecInFlight, bdrvIncInFlight, bdrvWakeup, taskShare } from "./in-flight.ts";
export { bdrvGetInfo } from "./info.ts";
export { bdrvIsInserted } from "./inserted.ts";
export { bdrvGetAllocatedFileSize, bdrvGetlength, refreshTotalSectors } from "./length.ts";
export * from "./limits.ts";
export {
  bdrvCoParentDrainedBeginSingle,
  bdrvParentDrainedBeginSingle,
  bdrvParentDrainedEndSingle,
} from "./parent-drain.ts";
export { bdrvIoPlug, bdrvIoUnplug } from "./plug.ts";
export { bdrvCoPreadv } from "./read.ts";
export {
  bdrvCoPdiscardSnapshot,
  bdrvCoPreadvSnapshot,
  bdrvCoSnapshotBlockStatus,
} from "./snapshot.ts";
export {
  bdrvApplySubtreeDrain,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedBeginUnlocked,
  bdrvSubtreeDrainedEnd,
  bdrvSubtreeDrainedEndUnlocked,
  bdrvUnapplySubtreeDrain,
} from "./subtree.ts";
export {
  bdrvFlush,
  bdrvPdiscard,
  bdrvPread,
  bdrvPreadv,
  bdrvPwrite,
  bdrvPwritev,
  bdrvPwriteZeroes,
  bdrvTruncate,
} from "./sync.ts";
export {
  type Allocation,
  bdrvBlockStatus,
  bdrvBlockStatusAbove,
  bdrvCommonBlockStatusAbove,
  bdrvIsAllocated,
  bdrvIsAllocatedAbove,
  bdrvLoadVmstate,
  bdrvSaveVmstate,
} from "./sync-status.ts";
export { bdrvCoTruncate } from "./truncate.ts";
export { bdrvCoReadvVmstate, bdrvCoWritevVmstate } from "./vmstate.ts";
export { bdrvCoPwritev } from "./write.ts";
export {
  bdrvWriteThresholdSet,
  type WriteThresholdEvent,
  writeThresholdListeners,
} from "./write-threshold.ts";
export { bdrvCoPwriteZeroes } from "./write-zeroes.ts";
