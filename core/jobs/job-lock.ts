// job_mutex: protects the list of jobs and the fields of a Job that more than one thread looks at.
//
// A function called `…Locked` expects that the caller holds it, and asserts that; some release it for a while, around the
// driver's callbacks, the coroutine's yields and whatever polls. All others take it themselves. The monitor takes it around a
// look-up and the operation on what was found (withJobLock); drivers and the block layer use the self-locking functions.
//
// A BlockError leaves a `…Locked` function with the mutex held, as a return does.

import { assert } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import {
  machine,
  type Polls,
  perMachine,
  QemuMutex,
  qemuMutexLock,
  qemuMutexUnlock,
} from "../sched/index.ts";

const jobMutex = perMachine(() => new QemuMutex("job_mutex"));

/** job_lock (job.c:89). Common. */
export function jobLock(): void {
  qemuMutexLock(jobMutex());
}

/** job_unlock (job.c:94). Common. */
export function jobUnlock(): void {
  qemuMutexUnlock(jobMutex());
}

/** "Called with job_mutex held": what every `…Locked` function asserts. Common. */
export function assertJobLocked(): void {
  const mutex = jobMutex();
  assert(mutex.held, "the caller holds job_mutex");
  assert(mutex.holder === machine.currentContext, "the caller's thread holds job_mutex");
}

/** JOB_LOCK_GUARD, for code that runs straight through. Common. */
export function withJobLock<T>(body: () => T): T {
  return between(jobLock, jobUnlock, body);
}

/** JOB_LOCK_GUARD, at thread level, around what may release it for a while and poll. Polls. Common. */
export function* withJobLockPolls<T>(body: () => Polls<T>): Polls<T> {
  return yield* betweenPolls(jobLock, jobUnlock, body);
}

/** The other way round: released while `body` runs straight through, a driver's callback mostly. Common. */
export function withoutJobLock<T>(body: () => T): T {
  assertJobLocked();
  return between(jobUnlock, jobLock, body);
}

/** Released while `body` runs, which may poll. Polls. Common. */
export function* withoutJobLockPolls<T>(body: () => Polls<T>): Polls<T> {
  assertJobLocked();
  return yield* betweenPolls(jobUnlock, jobLock, body);
}

/** A refusal closes as a return does; an assertion ends the run where it stands. */
function between<T>(open: () => void, close: () => void, body: () => T): T {
  open();
  try {
    const value = body();
    close();
    return value;
  } catch (error) {
    if (error instanceof BlockError) close();
    throw error;
  }
}

function* betweenPolls<T>(open: () => void, close: () => void, body: () => Polls<T>): Polls<T> {
  open();
  try {
    const value = yield* body();
    close();
    return value;
  } catch (error) {
    if (error instanceof BlockError) close();
    throw error;
  }
}
