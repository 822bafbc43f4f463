export {
  BLOCK_JOB_SLICE_TIME_NS,
  BlockJob,
  type BlockJobDriver,
  type BlockJobInfo,
  type BlockJobOptions,
  blockJobCreate,
  blockJobGet,
  blockJobGetAioContext,
  blockJobGetLocked,
  blockJobIsInternal,
  blockJobNextLocked,
  blockJobQueryLocked,
  blockJobRatelimitGetDelay,
  blockJobSetSpeedLocked,
} from "./block-job.ts";
export {
  blockJobErrorAction,
  blockJobIostatusResetLocked,
} from "./block-job-error.ts";
export { blockLayerToText, type LeftOut } from "./block-layer-text.ts";
export {
  jobCancelLocked,
  jobCompleteLocked,
  jobUserCancelLocked,
} from "./cancel.ts";
export {
  blockJobAddBdrv,
  blockJobHasBdrv,
  blockJobRemoveAllBdrv,
  childJob,
  type JobPermissions,
} from "./child-job.ts";
export { jobFinalizeLocked } from "./completion.ts";
export {
  allJobs,
  JOB_DEFAULT,
  JOB_INTERNAL,
  JOB_MANUAL_DISMISS,
  JOB_MANUAL_FINALIZE,
  Job,
  type JobCompletionFunc,
  type JobDriver,
  type JobOptions,
  type JobStatus,
  JobTxn,
  type JobType,
  type JobVerb,
} from "./job.ts";
export { type BlockErrorAction, type JobEvent, jobEventListeners } from "./job-events.ts";
export {
  jobLock,
  jobUnlock,
  withJobLock,
  withJobLockPolls,
} from "./job-lock.ts";
export {
  jobCreate,
  jobDismissLocked,
  jobEarlyFail,
  jobGetLocked,
  jobNext,
  jobNextLocked,
  jobRefLocked,
  jobUnrefLocked,
} from "./life.ts";
export { type MirrorOptions, mirrorStart } from "./mirror/mirror.ts";
export type { MirrorSyncMode } from "./mirror/state.ts";
export { type Notifier, NotifierList, notifierListAdd, notifierRemove } from "./notifier.ts";
export {
  jobPause,
  jobPauseLocked,
  jobPausePoint,
  jobResume,
  jobResumeLocked,
  jobUserPausedLocked,
  jobUserPauseLocked,
  jobUserResumeLocked,
} from "./pause.ts";
export {
  jobProgressIncreaseRemaining,
  jobProgressSetRemaining,
  jobProgressUpdate,
  ProgressMeter,
  progressGetSnapshot,
  progressIncreaseRemaining,
  progressSetRemaining,
  progressWorkDone,
} from "./progress.ts";
export { RateLimit, ratelimitCalculateDelay, ratelimitSetSpeed } from "./ratelimit.ts";
export {
  jobEnter,
  jobEnterCondLocked,
  jobSleepNs,
  jobStart,
  jobTransitionToReady,
  jobYield,
} from "./run.ts";
export {
  JobSTT,
  JobVerbTable,
  jobApplyVerbLocked,
  jobCancelRequested,
  jobIsCancelled,
  jobIsCancelledLocked,
  jobIsCompleted,
  jobIsCompletedLocked,
  jobIsInternal,
  jobIsReady,
  jobIsReadyLocked,
} from "./status.ts";
export {
  jobCancelSync,
  jobCancelSyncAll,
  jobCancelSyncLocked,
  jobCompleteSyncLocked,
  jobFinishSyncLocked,
  jobSetAioContext,
} from "./sync.ts";
export { jobTxnNew, jobTxnUnref, jobTxnUnrefLocked } from "./txn.ts";
