// How far a job has come (C: block/progress_meter.c): what is done and what there is in all, under a mutex of its own, so that
// anyone may ask without job_mutex.

import { assert } from "../base/index.ts";
import { QemuMutex, qemuMutexLock, qemuMutexUnlock } from "../sched/index.ts";
import type { Job } from "./job.ts";

/** C: ProgressMeter. The unit is the job's own, bytes mostly. */
export class ProgressMeter {
  readonly lock = new QemuMutex("progress");
  current = 0;
  total = 0;
}

/** progress_get_snapshot (progress_meter.c:38): both numbers as of one moment. Common. */
export function progressGetSnapshot(meter: ProgressMeter): { current: number; total: number } {
  qemuMutexLock(meter.lock);
  const { current, total } = meter;
  qemuMutexUnlock(meter.lock);
  return { current, total };
}

/** progress_work_done (progress_meter.c:47): `done` more is done. Common. */
export function progressWorkDone(meter: ProgressMeter, done: number): void {
  assert(Number.isSafeInteger(done), "progress is counted in whole units");
  assert(done >= 0, "what is done stays done");
  qemuMutexLock(meter.lock);
  meter.current += done;
  qemuMutexUnlock(meter.lock);
}

/** progress_set_remaining (progress_meter.c:53): `remaining` is still to be done. Common. */
export function progressSetRemaining(meter: ProgressMeter, remaining: number): void {
  assert(Number.isSafeInteger(remaining), "progress is counted in whole units");
  assert(remaining >= 0, "what remains is not negative");
  qemuMutexLock(meter.lock);
  meter.total = meter.current + remaining;
  qemuMutexUnlock(meter.lock);
}

/** progress_increase_remaining (progress_meter.c:59): `delta` more is to be done than was thought. Common. */
export function progressIncreaseRemaining(meter: ProgressMeter, delta: number): void {
  assert(Number.isSafeInteger(delta), "progress is counted in whole units");
  assert(delta >= 0, "a total does not shrink");
  qemuMutexLock(meter.lock);
  meter.total += delta;
  qemuMutexUnlock(meter.lock);
}

/** job_progress_update (job.c:491): `done` more is done; with or without job_mutex. Common. */
export function jobProgressUpdate({ progress }: Job, done: number): void {
  progressWorkDone(progress, done);
}

/** job_progress_set_remaining (job.c:496): `remaining` is still to be done; with or without job_mutex. Common. */
export function jobProgressSetRemaining({ progress }: Job, remaining: number): void {
  progressSetRemaining(progress, remaining);
}

/** job_progress_increase_remaining (job.c:501): `delta` more is to be done; with or without job_mutex. Common. */
export function jobProgressIncreaseRemaining({ progress }: Job, delta: number): void {
  progressIncreaseRemaining(progress, delta);
}
