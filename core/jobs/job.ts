// The state of jobs (C: include/qemu/job.h): a coroutine that works on the graph for long, seen and steered from outside.
//
//                 job_start                     all of its transaction are through        job_finalize
//   undefined → created → running ─────────────→ waiting ───────────────→ pending ───────────→ concluded → null
//                          ↑ ↓  ↘ ready ────────↗                            ↓                 ↑  dismissed
//                       paused     ↑ ↓                        (any of them)  → aborting ───────┘
//                               standby
//
// `pauseCount` says how many want it paused: the user (section 0) and one drained section for each edge. `busy` says whether
// the coroutine runs or may be entered without being asked. A drain waits until `busy` is false: then the job is at a pause
// point, sleeps in front of one, or completes. The last is a lie that QEMU tells on purpose, because completing drains.
// Between two pauses a job is one request task (design D9).
//
// State only. Its tables: status.ts; birth and death: life.ts; running: run.ts; pausing: pause.ts; ending: completion.ts;
// cancelling: cancel.ts; from outside, until it is over: sync.ts; transactions: txn.ts; jobs on nodes: block-job.ts; and of
// these the first: mirror/mirror.ts.

import type { JobId, SectionId } from "../base/index.ts";
import type { EdgeParent } from "../graph/state.ts";
import type { JOB_STATUSES } from "../probe/index.ts";
import {
  type AioContext,
  type Co,
  type Coroutine,
  machine,
  type Polls,
  perMachine,
  type Timer,
  timerNew,
} from "../sched/index.ts";
import type { BlockJob } from "./block-job.ts";
import { NotifierList } from "./notifier.ts";
import { ProgressMeter } from "./progress.ts";

/** C: JobStatus. */
export type JobStatus = (typeof JOB_STATUSES)[number];

/** C: JobVerb. */
export type JobVerb =
  | "cancel"
  | "pause"
  | "resume"
  | "set-speed"
  | "complete"
  | "finalize"
  | "dismiss";

/** C: JobType. The first four are block jobs. */
export type JobType =
  | "commit"
  | "stream"
  | "mirror"
  | "backup"
  | "create"
  | "amend"
  | "snapshot-load"
  | "snapshot-save"
  | "snapshot-delete";

/** Flags of job_create (C: JobCreateFlags). */
export const JOB_DEFAULT = 0;
/** Nobody outside sees it: it has no name, and says nothing. */
export const JOB_INTERNAL = 1;
/** It stays pending until it is told to finalize. */
export const JOB_MANUAL_FINALIZE = 2;
/** It stays concluded until it is dismissed. */
export const JOB_MANUAL_DISMISS = 4;

/** What a kind of job does (C: JobDriver). No callback runs with job_mutex held. */
export interface JobDriver {
  readonly jobType: JobType;
  /** The work, in the job's context: 0 or a negated errno, `job.err` may say more. It must reach a pause point now and then. */
  readonly coRun?: (job: Job) => Co<number>;
  /** At a pause point, before it pauses: let nothing be in flight. And after it has paused. In the job's context. */
  readonly pause?: (job: Job) => Co<void>;
  readonly resume?: (job: Job) => Co<void>;
  /** The user's pause is over. Main context. */
  readonly userResume?: (job: Job) => undefined;
  /** A job that is ready is told to come to its end. Main context; a BlockError refuses. */
  readonly requestCompletion?: (job: Job) => undefined | Polls<void>;
  /** Ends of a transaction, in the main context under the lock of the job's: `prepare` may still fail. They may poll. */
  readonly prepare?: (job: Job) => Polls<number>;
  readonly commit?: (job: Job) => Polls<void>;
  readonly abort?: (job: Job) => Polls<void>;
  readonly clean?: (job: Job) => Polls<void>;
  /** Whether this cancel is one by force, which needs no further I/O; missing: every cancel is. Main context. */
  readonly cancel?: (job: Job, force: boolean) => boolean;
  /** The job is freed. Main context, under the lock of the job's. */
  readonly free?: (job: Job) => Polls<void>;
}

/** Told how the job ended, in the main context under the lock of the job's (C: BlockCompletionFunc). May poll. */
export type JobCompletionFunc = (ret: number) => undefined | Polls<void>;

/** How a job is made. */
export interface JobOptions {
  /** The transaction that it belongs to; default one of its own. */
  readonly txn?: JobTxn | null;
  /** JOB_*. */
  readonly flags?: number;
  readonly cb?: JobCompletionFunc;
  /** The driver's own state. */
  readonly opaque?: unknown;
}

/** Jobs that end together, well or not (C: JobTxn). Protected by job_mutex. */
export class JobTxn {
  /** One of its jobs has failed, and ends the others. */
  aborting = false;
  /** Newest first. */
  readonly jobs: Job[] = [];
  refcnt = 1;
}

/** C: Job. Its fields are protected by job_mutex, unless they say something else. */
export class Job implements EdgeParent {
  readonly id: JobId;
  /** C: id; null for an internal job. */
  readonly name: string | null;
  readonly driver: JobDriver;
  readonly autoFinalize: boolean;
  readonly autoDismiss: boolean;
  readonly cb: JobCompletionFunc | null;
  /** The driver's own state. */
  opaque: unknown;
  /** The block job that this is the Job of. */
  blockJob: BlockJob | null = null;
  /** How far it is; has a mutex of its own. */
  readonly progress = new ProgressMeter();
  /** Runs the job; set once, when it is started. */
  co: Coroutine | null = null;
  /** Where its coroutine runs. Read in main or under job_mutex; written in main under job_mutex while it is paused. */
  aioContext: AioContext;

  refcnt = 1;
  status: JobStatus = "undefined";
  readonly sleepTimer: Timer;
  /** On whose behalf it is to pause (C: pause_count); one entry a level, 0 is the user. */
  readonly quiescedFor: SectionId[] = [];
  /** False while its coroutine sleeps and may be entered; true while a completion is pending. */
  busy = false;
  /** At a pause point: no code of it runs, nothing of it is in flight. */
  paused = true;
  /** The user has paused it, and only the user resumes it. */
  userPaused = false;
  /** It is to end, perhaps not at once. */
  cancelled = false;
  /** It is to end without any further I/O. */
  forceCancel = false;
  /** `coRun` has returned; nobody enters the coroutine any more. */
  deferredToMainLoop = false;
  /** What `coRun` or `prepare` returned; final when it has concluded. */
  ret = 0;
  /** Why it failed. */
  err: string | null = null;
  txn: JobTxn | null = null;
  /** The one who woke it last was a job_resume that read the pause count as zero. */
  resumed = false;

  readonly onFinalizeCancelled = new NotifierList<Job>();
  readonly onFinalizeCompleted = new NotifierList<Job>();
  readonly onPending = new NotifierList<Job>();
  readonly onReady = new NotifierList<Job>();
  /** The coroutine has yielded or ended. */
  readonly onIdle = new NotifierList<Job>();

  constructor(parts: JobParts) {
    const { id, name, driver, ctx, flags, cb, opaque, wake } = parts;
    this.id = id;
    this.name = name;
    this.driver = driver;
    this.aioContext = ctx;
    this.autoFinalize = (flags & JOB_MANUAL_FINALIZE) === 0;
    this.autoDismiss = (flags & JOB_MANUAL_DISMISS) === 0;
    this.cb = cb;
    this.opaque = opaque;
    this.sleepTimer = timerNew(machine.mainContext, () => {
      wake(this);
      return undefined;
    });
  }

  /** C: pause_count. */
  get pauseCount(): number {
    return this.quiescedFor.length;
  }
}

/** What a Job is born with; `wake` is called when its sleep is over. */
export interface JobParts {
  readonly id: JobId;
  readonly name: string | null;
  readonly driver: JobDriver;
  readonly ctx: AioContext;
  readonly flags: number;
  readonly cb: JobCompletionFunc | null;
  readonly opaque: unknown;
  readonly wake: (job: Job) => void;
}

/** All jobs, newest first (C: jobs). Protected by job_mutex. */
export const allJobs: () => Job[] = perMachine((): Job[] => []);
