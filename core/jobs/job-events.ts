// What jobs tell the outside world: QMP's events, as values. The monitor listens.
//
// Internal jobs say nothing. Listeners run straight through, some of them with job_mutex held.

import { perMachine } from "../sched/index.ts";
import type { Job, JobStatus, JobType } from "./job.ts";
import { NotifierList, notifierListNotify } from "./notifier.ts";

/** C: BlockErrorAction. */
export type BlockErrorAction = "report" | "ignore" | "stop";

/** How far a block job was when something happened to it. */
interface BlockJobProgress {
  readonly type: JobType;
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly speed: number;
}

/** An event, by QMP's name. */
export type JobEvent =
  | { readonly event: "JOB_STATUS_CHANGE"; readonly id: string; readonly status: JobStatus }
  | ({ readonly event: "BLOCK_JOB_COMPLETED"; readonly error?: string } & BlockJobProgress)
  | ({ readonly event: "BLOCK_JOB_CANCELLED" } & BlockJobProgress)
  | ({ readonly event: "BLOCK_JOB_READY" } & BlockJobProgress)
  | { readonly event: "BLOCK_JOB_PENDING"; readonly type: JobType; readonly id: string }
  | {
      readonly event: "BLOCK_JOB_ERROR";
      readonly device: string;
      readonly operation: "read" | "write";
      readonly action: BlockErrorAction;
    };

/** Who is told of events. */
export const jobEventListeners: () => NotifierList<JobEvent> = perMachine(
  () => new NotifierList<JobEvent>(),
);

/** qapi_event_send_*: tell the listeners the event that `make` makes for the job's name, unless it is internal. Common. */
export function jobEvent(job: Job, make: (name: string) => JobEvent): void {
  if (job.name === null) return;
  const listeners = jobEventListeners();
  if (listeners.notifiers.length > 0) notifierListNotify(listeners, make(job.name));
}
