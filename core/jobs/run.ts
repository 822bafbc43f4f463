// A job's coroutine: how it starts, sleeps, is entered again, and hands over to the main context when it is through.
//
//   main                            the job's context
//   job_start ───────────────────→  job_co_entry: pause point, then the driver's `coRun`
//                                     job_do_yield: busy = false; idle; job_mutex released; yields
//   job_enter (a timer, a drain) ─→   woken: moves itself to where the job is by now; goes on
//                                     `coRun` returns: deferred to the main loop, busy again
//   job_exit  ←─────────────────────  (completion.ts)
//
// Whoever enters a job wakes it early: a drain does so to get it to its pause point, and after the drain it goes on. Before patch
// 9 the rest of its sleep was lost with that, and its rate limit not kept.

import { assert, must, type VirtualNs } from "../base/index.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type AioContext,
  aioBhScheduleOneshot,
  aioCoEnter,
  aioCoSchedule,
  aioCoWake,
  type Co,
  type Coroutine,
  clockNs,
  globalStateCode,
  ioCode,
  machine,
  modelAssert,
  patchOn,
  qemuCoroutineCreate,
  qemuCoroutineYield,
  taskBegin,
  taskEnd,
  timerDel,
  timerMod,
} from "../sched/index.ts";
import { jobExit } from "./completion.ts";
import type { Job } from "./job.ts";
import { assertJobLocked, jobLock, jobUnlock, withJobLock, withoutJobLock } from "./job-lock.ts";
import { USER } from "./life.ts";
import { notifierListNotify } from "./notifier.ts";
import { jobPausePointLocked, jobShouldPauseLocked, unpause } from "./pause.ts";
import { jobIsCancelledLocked, jobStateTransitionLocked } from "./status.ts";

const SITE_START = site("job_start");
const SITE_ENTRY = site("job_co_entry");
const SITE_YIELD = site("job_yield");
const SITE_DO_YIELD = site("job_do_yield_locked");
const SITE_SLEEP = site("job_sleep_ns");
const SITE_ENTER_COND_LOCKED = site("job_enter_cond_locked");
const SITE_ENTER = site("job_enter");
const SITE_TRANSITION_TO_READY = site("job_transition_to_ready");

/** job_start (job.c:1130): let it run, unless somebody else wants it paused, too. Without job_mutex. */
export function jobStart(job: Job): void {
  globalStateCode(SITE_START);
  const co = withJobLock(() => {
    modelAssert(
      job.co === null && job.paused,
      "!job_started_locked(job) && job->paused",
      SITE_START,
    );
    modelAssert(job.driver.coRun !== undefined, "job->driver->run", SITE_START);
    job.co = qemuCoroutineCreate(() => jobCoEntry(job));
    unpause(job, USER, null);
    setBusy(job, true);
    job.paused = false;
    jobStateTransitionLocked(job, "running");
    return job.co;
  });
  aioCoEnter(job.aioContext, co);
}

/** job_co_entry (job.c:1111): a pause point, the work, and the way back to the main context. */
function* jobCoEntry(job: Job): Co<void> {
  const co = coroutineOf(job);
  const { coRun } = job.driver;
  assert(coRun !== undefined, "a job that was started has work");
  jobLock();
  const isHome = job.aioContext === machine.currentContext;
  modelAssert(isHome, "job->aio_context == qemu_get_current_aio_context()", SITE_ENTRY);
  taskBegin(co);
  yield* jobPausePointLocked(job);
  jobUnlock();
  const ret = yield* coRun(job);
  jobLock();
  job.ret = ret;
  job.deferredToMainLoop = true;
  setBusy(job, true);
  jobUnlock();
  taskEnd(co, co.task);
  aioBhScheduleOneshot(machine.mainContext, () => jobExit(job));
}

/** job_enter_cond_locked (job.c:535): enter the coroutine if it sleeps, is not through, and `may` allows. Releases job_mutex. */
export function jobEnterCondLocked(job: Job, may: ((job: Job) => boolean) | null = null): void {
  ioCode(null, SITE_ENTER_COND_LOCKED);
  assertJobLocked();
  const { co } = job;
  if (co === null || job.deferredToMainLoop || job.busy) return;
  if (may !== null && !may(job)) return;
  assert(!job.deferredToMainLoop, "a job that is through is not entered");
  timerDel(job.sleepTimer);
  setBusy(job, true);
  withoutJobLock(() => aioCoWake(co));
}

/** job_enter (job.c:562): go on, whatever it waits for. Without job_mutex. */
export function jobEnter(job: Job): void {
  ioCode(null, SITE_ENTER);
  withJobLock(() => jobEnterCondLocked(job));
}

/**
 * job_do_yield_locked (job.c:575): sleep until entered or, with a deadline, until then; go on in the job's context of that
 * moment. Releases job_mutex meanwhile.
 */
export function* jobDoYieldLocked(job: Job, deadlineNs: number | null): Co<void> {
  ioCode(null, SITE_DO_YIELD);
  assertJobLocked();
  const co = coroutineOf(job);
  if (deadlineNs !== null) timerMod(job.sleepTimer, deadlineNs as VirtualNs);
  setBusy(job, false);
  notifierListNotify(job.onIdle, job);
  jobUnlock();
  taskEnd(co, co.task);
  yield* qemuCoroutineYield();
  jobLock();
  for (let next = job.aioContext; machine.currentContext !== next; next = job.aioContext) {
    jobUnlock();
    yield* aioCoRescheduleSelf(co, next);
    jobLock();
  }
  modelAssert(job.busy, "job->busy", SITE_DO_YIELD);
  taskBegin(co);
  if (!job.resumed) return;
  // The zero that job_resume read before it woke this job, and for which the job goes on without reading it again.
  job.resumed = false;
  machine.probe.emit(Ev.job_gate_read, job.id, 0);
}

/** aio_co_reschedule_self (async.c:534): go on in `ctx`; scheduled from outside, or it could be entered before it yields. */
function* aioCoRescheduleSelf(co: Coroutine, ctx: AioContext): Co<void> {
  const here = must(machine.currentContext, "a coroutine runs in a context");
  aioBhScheduleOneshot(here, () => {
    aioCoSchedule(ctx, co);
    return undefined;
  });
  yield* qemuCoroutineYield();
}

/** job_yield (job.c:647): sleep until somebody enters the job; with a pause point. Without job_mutex. */
export function* jobYield(job: Job): Co<void> {
  ioCode(null, SITE_YIELD);
  jobLock();
  modelAssert(job.busy, "job->busy", SITE_YIELD);
  if (!jobIsCancelledLocked(job)) {
    if (!jobShouldPauseLocked(job)) yield* jobDoYieldLocked(job, null);
    yield* jobPausePointLocked(job);
  }
  jobUnlock();
  assert(job.busy, "a job that comes back runs");
}

/**
 * job_sleep_ns (job.c:664): sleep for `ns` nanoseconds unless cancelled, with a pause point behind. With patch 9 the whole of it,
 * however often somebody enters the job meanwhile. Without job_mutex.
 */
export function* jobSleepNs(job: Job, ns: number): Co<void> {
  ioCode(null, SITE_SLEEP);
  assert(ns >= 0, "a sleep is not negative");
  const deadlineNs = clockNs() + ns;
  jobLock();
  modelAssert(job.busy, "job->busy", SITE_SLEEP);
  if (!jobIsCancelledLocked(job)) yield* sleepUntil(job, deadlineNs);
  jobUnlock();
}

/** Differs from QEMU: without patch 9 the clock is read at the end, too, so that the trace has how much of the sleep was lost. */
function* sleepUntil(job: Job, deadlineNs: number): Co<void> {
  const { probe } = machine;
  probe.emitWide(Ev.job_sleep, deadlineNs, job.id);
  let leftNs: number;
  do {
    if (!jobShouldPauseLocked(job)) yield* jobDoYieldLocked(job, deadlineNs);
    yield* jobPausePointLocked(job);
    leftNs = Math.max(deadlineNs - clockNs(), 0);
  } while (patchOn(9) && leftNs > 0 && !jobIsCancelledLocked(job));
  probe.emitWide(Ev.job_sleep_end, leftNs, job.id, jobIsCancelledLocked(job) ? 1 : 0);
}

/** job_transition_to_ready (job.c:1018): from now on it can be told to complete. Without job_mutex. */
export function jobTransitionToReady(job: Job): void {
  ioCode(null, SITE_TRANSITION_TO_READY);
  withJobLock(() => {
    jobStateTransitionLocked(job, "ready");
    notifierListNotify(job.onReady, job);
  });
}

/** Set C's `busy`; a change is an event. Common. */
export function setBusy(job: Job, busy: boolean): void {
  assertJobLocked();
  if (job.busy === busy) return;
  job.busy = busy;
  machine.probe.emit(Ev.job_busy, job.id, busy ? 1 : 0);
}

function coroutineOf(job: Job): Coroutine {
  return must(job.co, "a job that runs has a coroutine");
}
