export {
  blockJobAddBdrv,
  blockJobCreate,
  blockJobRemoveAllBdrv,
  childJob,
} from "./child-job.ts";
export {
  Job,
  type JobDriver,
  jobCancel,
  jobCreate,
  jobEnterCond,
  jobFinishSync,
  jobList,
  jobPause,
  jobPausePoint,
  jobResume,
  jobSetAioContext,
  jobSleepNs,
  jobStart,
  jobYield,
} from "./job.ts";
