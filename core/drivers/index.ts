export * from "./blkdebug/index.ts";
export { blkverifyDriver, blkverifyOpen } from "./blkverify.ts";
export { compressDriver, compressOpen } from "./compress.ts";
export {
  type CbwOptions,
  copyBeforeWriteDriver,
  copyBeforeWriteOpen,
  type OnCbwError,
} from "./copy-before-write.ts";
export { copyOnReadDriver, copyOnReadOpen } from "./copy-on-read.ts";
export { type DriverEvent, driverEvent, driverEventListeners } from "./driver-events.ts";
export { driverReferences } from "./driver-references.ts";
export { type FileOptions, fileDefaults, fileDriver, fileOpen } from "./file.ts";
export type { FileLocking } from "./file-locks.ts";
export { backingFilterDriver, filterDriver } from "./filter.ts";
export {
  type BlkdebugIoType,
  type InjectErrorRule,
  InjectErrorState,
  injectErrorDriver,
} from "./inject-error.ts";
export * from "./nbd/index.ts";
export { nullAioDriver } from "./null-aio.ts";
export { nullCoDriver } from "./null-co.ts";
export { type NullOptions, nullOpen } from "./null-state.ts";
export {
  bdrvOpenBackingFile,
  bdrvOpenPath,
  findImageFormat,
  type JsonImage,
  type NamedBacking,
  type OpenPathOptions,
  pathCombine,
} from "./open-path.ts";
export { type OverlayOptions, overlayDriver, overlayOpen } from "./overlay.ts";
export { type PreallocateOptions, preallocateDriver, preallocateOpen } from "./preallocate.ts";
export * from "./qcow2/index.ts";
export { quorumDriver, quorumOpen } from "./quorum.ts";
export { type QuorumOptions, quorumVoteOpen } from "./quorum-vote.ts";
export { rawDriver, rawOpen } from "./raw.ts";
export { snapshotAccessDriver, snapshotAccessOpen } from "./snapshot-access.ts";
export { throttleDriver, throttleOpen } from "./throttle.ts";
