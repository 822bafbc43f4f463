// Jobs (C: job.c), as far as drains need them: a coroutine that works on the graph for long, and stops at pause points while
// anyone wants it paused.
//
//   created (paused) → job_start → runs → pause point → … → coRun returns → job_exit, in the main context → gone
//
// `pauseCount` says how many want it paused: the user (section 0) and one drained section for each edge. `busy` says whether
// the coroutine runs or may be entered without being asked. A drain waits until `busy` is false: then the job is at a pause
// point, sleeps in front of one, or completes. The last is a lie that QEMU tells on purpose, because completing drains.
// Between two pauses a job is one request task (design D9). Jobs' edges: child-job.ts. States, verbs, transactions of jobs
// and the job mutex are the next issue's.

import { assert, ECANCELED, type JobId, must, type SectionId } from "../base/index.ts";
import type { BdrvChild, EdgeParent } from "../graph/index.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type AioContext,
  aioBhScheduleOneshot,
  aioCoEnter,
  aioContextAcquire,
  aioContextRelease,
  aioCoSchedule,
  aioCoWake,
  aioWaitKick,
  aioWaitWhileUnlocked,
  type Co,
  type Coroutine,
  clockNs,
  globalStateCode,
  machine,
  modelAssert,
  nextId,
  type Polls,
  patchOn,
  perMachine,
  qemuCoroutineCreate,
  qemuCoroutineYield,
  type Timer,
  taskBegin,
  taskEnd,
  timerDel,
  timerMod,
  timerNew,
} from "../sched/index.ts";
import { blockJobRemoveAllBdrv } from "./child-job.ts";

const SITE_CREATE = site("job_create");
const SITE_START = site("job_start");
const SITE_CANCEL = site("job_cancel");
const SITE_FINISH = site("job_finish_sync");
const SITE_EXIT = site("job_exit");
const SITE_RESUME = site("job_resume");
const SITE_YIELD = site("job_do_yield");
const SITE_SET_CONTEXT = site("job_set_aio_context");

/** The user, who pauses on behalf of no drained section. */
const USER = 0 as SectionId;

/** What a kind of job does (C: JobDriver). */
export interface JobDriver {
  readonly jobType: string;
  /** The work, in the job's context: 0 or a negated errno. It must reach a pause point now and then. */
  readonly coRun: (job: Job) => Co<number>;
  /** Completion, in the main context; `prepare` may still fail, then `commit` or `abort`, then `clean`. They may poll. */
  readonly prepare?: (job: Job) => Polls<number>;
  readonly commit?: (job: Job) => Polls<void>;
  readonly abort?: (job: Job) => Polls<void>;
  readonly clean?: (job: Job) => Polls<void>;
  /** Whether a busy job has work in flight that a drain must wait for; missing: it has. */
  readonly drainedPoll?: (job: Job) => boolean;
}

/** C: Job with its BlockJob. */
export class Job implements EdgeParent {
  readonly id: JobId;
  readonly name: string;
  readonly driver: JobDriver;
  /** The driver's own state. */
  opaque: unknown;
  aioContext: AioContext;
  /** On whose behalf it is to pause (C: pause_count); one entry a level, 0 is the user. */
  readonly quiescedFor: SectionId[] = [USER];
  busy = false;
  paused = true;
  cancelled = false;
  /** `coRun` has returned; nobody enters the coroutine any more. */
  deferredToMainLoop = false;
  /** Completion has begun (C: job_is_completed). */
  completed = false;
  ret = 0;
  co: Coroutine | null = null;
  readonly sleepTimer: Timer;
  /** Edges to the nodes that it works on, newest first (C: BlockJob.nodes). */
  readonly nodes: BdrvChild[] = [];

  constructor(id: JobId, name: string, driver: JobDriver, opaque: unknown, ctx: AioContext) {
    this.id = id;
    this.name = name;
    this.driver = driver;
    this.opaque = opaque;
    this.aioContext = ctx;
    this.sleepTimer = timerNew(machine.mainContext, () => {
      jobEnterCond(this);
      return undefined;
    });
  }

  /** C: pause_count. */
  get pauseCount(): number {
    return this.quiescedFor.length;
  }
}

const allJobs = perMachine((): Job[] => []);

/** job_next (job.c:338): the jobs that exist, newest first. */
export function jobList(): readonly Job[] {
  globalStateCode();
  return [...allJobs()];
}

/** job_create (job.c:385): a job that will run in `ctx`; it is paused until it is started. */
export function jobCreate(
  name: string,
  driver: JobDriver,
  ctx: AioContext,
  opaque: unknown = null,
): Job {
  globalStateCode(SITE_CREATE);
  assert(name.length > 0, "a job has a name");
  const job = new Job(nextId(machine, "job") as JobId, name, driver, opaque, ctx);
  machine.probe.emit(Ev.job_new, job.id, machine.probe.intern(name));
  machine.probe.emit(Ev.job_pause, job.id, job.pauseCount, USER, 0);
  allJobs().unshift(job);
  assert(job.pauseCount === 1, "a job is born paused");
  return job;
}

/** job_start (job.c:1130): let it run, unless somebody else wants it paused, too. */
export function jobStart(job: Job): void {
  globalStateCode(SITE_START);
  modelAssert(job.co === null && job.paused, "!job_started_locked(job) && job->paused", SITE_START);
  assert(!job.completed, "a job is started before it is cancelled");
  const co = qemuCoroutineCreate(() => jobCoEntry(job));
  job.co = co;
  lowerPauseCount(job, USER, null);
  setBusy(job, true);
  job.paused = false;
  aioCoEnter(job.aioContext, co);
}

/** job_co_entry (job.c:1111): a pause point, the work, and the way back to the main context. */
function* jobCoEntry(job: Job): Co<void> {
  const co = coroutineOf(job);
  assert(job.aioContext === machine.currentContext, "a job starts in its context");
  taskBegin(co);
  yield* jobPausePoint(job);
  job.ret = yield* job.driver.coRun(job);
  job.deferredToMainLoop = true;
  setBusy(job, true);
  taskEnd(co, co.task);
  aioBhScheduleOneshot(machine.mainContext, () => jobExit(job));
}

/** job_pause (job.c:716): one more wants it paused, on behalf of `section` (0: the user) through `child`. */
export function jobPause(
  job: Job,
  section: SectionId = USER,
  child: BdrvChild | null = null,
): void {
  assert(job.pauseCount >= 0, "a pause count is not negative");
  job.quiescedFor.push(section);
  assert(child === null || child.opaque === job, "an edge pauses its own parent");
  machine.probe.emit(Ev.job_pause, job.id, job.pauseCount, section, child === null ? 0 : child.id);
  if (!job.paused) jobEnterCond(job);
}

/** job_resume (job.c:732): undo one job_pause; the last one wakes the job, unless it sleeps and its timer will. */
export function jobResume(
  job: Job,
  section: SectionId = USER,
  child: BdrvChild | null = null,
): void {
  assert(child === null || child.opaque === job, "an edge resumes its own parent");
  lowerPauseCount(job, section, child);
  assert(job.pauseCount >= 0, "a pause count is not negative");
  if (job.pauseCount === 0 && job.sleepTimer.deadlineNs === null) jobEnterCond(job);
}

/**
 * job_pause_point (job.c:641): sleep here for as long as anyone wants the job paused.
 * Differs from QEMU: a job that was paused again before it could run looks again; QEMU goes on to its next pause point.
 */
export function* jobPausePoint(job: Job): Co<void> {
  assert(job.busy, "a job that comes to a pause point runs");
  while (shouldPause(job) && !job.cancelled) {
    job.paused = true;
    yield* jobDoYield(job, null);
    job.paused = false;
  }
  assert(job.busy, "a job that leaves a pause point runs");
}

/** job_yield (job.c:647): sleep until somebody enters the job. */
export function* jobYield(job: Job): Co<void> {
  assert(job.busy, "a job that yields runs");
  if (job.cancelled) return;
  if (!shouldPause(job)) yield* jobDoYield(job, null);
  yield* jobPausePoint(job);
  assert(job.busy, "a job that comes back runs");
}

/**
 * job_sleep_ns (job.c:664): sleep for `ns` nanoseconds, with a pause point behind. Whoever wakes the job early, as a drain
 * does, cuts the sleep short; with patch 9 it is slept in full.
 */
export function* jobSleepNs(job: Job, ns: number): Co<void> {
  assert(job.busy, "a job that goes to sleep runs");
  assert(ns >= 0, "a sleep is not negative");
  if (job.cancelled) return;
  const deadlineNs = clockNs() + ns;
  do {
    if (job.cancelled) return;
    if (!shouldPause(job)) yield* jobDoYield(job, deadlineNs);
    yield* jobPausePoint(job);
  } while (patchOn(9) && clockNs() < deadlineNs);
}

/** job_enter_cond (job.c:535): enter the coroutine, if it sleeps and is not through. */
export function jobEnterCond(job: Job): void {
  if (job.co === null || job.deferredToMainLoop || job.busy) return;
  assert(!job.completed, "a job that completes is through");
  timerDel(job.sleepTimer);
  setBusy(job, true);
  assert(job.sleepTimer.deadlineNs === null, "a job that is entered sleeps no more");
  aioCoWake(job.co);
}

/** job_cancel (job.c:1147), forced: it ends at its next pause point, or completes now if it never ran. Polls. */
export function* jobCancel(job: Job): Polls<void> {
  globalStateCode(SITE_CANCEL);
  assert(!job.completed, "a job that completes is not cancelled");
  job.cancelled = true;
  assert(job.ret <= 0, "a job's result is 0 or a negated errno");
  if (job.co === null) yield* jobCompleted(job);
  else jobEnterCond(job);
}

/**
 * job_finish_sync (job.c:1252): enter it until it has completed; its result, -ECANCELED if it was cancelled. Polls. For jobs
 * that were told to end: one that goes back to sleep each time is entered for ever (patch 9).
 */
export function* jobFinishSync(job: Job): Polls<number> {
  globalStateCode(SITE_FINISH);
  assert(job.co !== null || job.completed, "who waits for a job has started it");
  const busy = (): boolean => {
    jobEnterCond(job);
    return !job.completed;
  };
  yield* aioWaitWhileUnlocked(job.aioContext, busy, SITE_FINISH);
  assert(job.completed, "the job has completed");
  return job.cancelled && job.ret === 0 ? -ECANCELED : job.ret;
}

/** job_exit (job.c:1090): complete the job, from the main context. Polls. */
function* jobExit(job: Job): Polls<void> {
  globalStateCode(SITE_EXIT);
  // The lie: what follows drains nodes, and those drains must not wait for this job.
  setBusy(job, false);
  aioWaitKick();
  yield* jobCompleted(job);
}

/** job_completed (job.c:1073) for a job that is a transaction of its own: prepare, commit or abort, clean, free. Polls. */
function* jobCompleted(job: Job): Polls<void> {
  assert(!job.completed, "a job completes once");
  job.completed = true;
  const ctx = job.aioContext;
  const { prepare, commit, abort, clean } = job.driver;
  if (job.cancelled && job.ret === 0) job.ret = -ECANCELED;
  yield* aioContextAcquire(ctx);
  if (job.ret === 0 && prepare !== undefined) job.ret = yield* prepare(job);
  if (job.ret === 0 && commit !== undefined) yield* commit(job);
  if (job.ret !== 0 && abort !== undefined) yield* abort(job);
  if (clean !== undefined) yield* clean(job);
  yield* blockJobRemoveAllBdrv(job);
  aioContextRelease(ctx);
  const jobs = allJobs();
  jobs.splice(jobs.indexOf(job), 1);
  machine.probe.emit(Ev.job_free, job.id);
}

/** job_set_aio_context (job.c:360): the job, which does not run now, goes on in `ctx`. */
export function jobSetAioContext(job: Job, ctx: AioContext): void {
  globalStateCode(SITE_SET_CONTEXT);
  modelAssert(job.paused || job.completed, "job->paused || job_is_completed", SITE_SET_CONTEXT);
  job.aioContext = ctx;
  assert(job.aioContext === ctx, "the job has moved");
}

/** job_do_yield (job.c:575): sleep until entered or, with a deadline, until then; wake in the job's context of that moment. */
function* jobDoYield(job: Job, deadlineNs: number | null): Co<void> {
  const co = coroutineOf(job);
  if (deadlineNs !== null) timerMod(job.sleepTimer, deadlineNs as never);
  setBusy(job, false);
  aioWaitKick();
  taskEnd(co, co.task);
  yield* qemuCoroutineYield();
  while (machine.currentContext !== job.aioContext) yield* rescheduleSelf(co, job.aioContext);
  modelAssert(job.busy, "job->busy", SITE_YIELD);
  taskBegin(co);
}

/** aio_co_reschedule_self (async.c:534): go on in `ctx`; scheduled from outside, or it could be entered before it yields. */
function* rescheduleSelf(co: Coroutine, ctx: AioContext): Co<void> {
  const here = must(machine.currentContext, "a coroutine runs in a context");
  aioBhScheduleOneshot(here, () => {
    aioCoSchedule(ctx, co);
    return undefined;
  });
  yield* qemuCoroutineYield();
}

/** job_should_pause: the pause count, read where its zero lets the job go on. */
function shouldPause(job: Job): boolean {
  machine.probe.emit(Ev.job_gate_read, job.id, job.pauseCount);
  return job.pauseCount > 0;
}

function lowerPauseCount(job: Job, section: SectionId, child: BdrvChild | null): void {
  modelAssert(job.pauseCount > 0, "job->pause_count > 0", SITE_RESUME);
  const at = job.quiescedFor.lastIndexOf(section);
  const [level] = job.quiescedFor.splice(at < 0 ? job.pauseCount - 1 : at, 1);
  const edge = child === null ? 0 : child.id;
  machine.probe.emit(Ev.job_resume, job.id, job.pauseCount, level ?? USER, edge);
}

function setBusy(job: Job, busy: boolean): void {
  job.busy = busy;
  machine.probe.emit(Ev.job_busy, job.id, busy ? 1 : 0);
}

function coroutineOf(job: Job): Coroutine {
  return must(job.co, "a job that runs has a coroutine");
}
