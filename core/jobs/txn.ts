// Transactions of jobs (C: JobTxn): their jobs wait for one another, then all of them commit, or all of them abort.
//
// Each job is in one, which it has for itself unless it was given one. A transaction lives as long as its creator or one of its
// jobs refers to it.

import { assert } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { ioCode, modelAssert, type Polls } from "../sched/index.ts";
import { type Job, JobTxn } from "./job.ts";
import { assertJobLocked, withJobLock } from "./job-lock.ts";
import { jobRefLocked, jobUnrefLocked } from "./life.ts";

const SITE_ADD = site("job_txn_add_job_locked");
const SITE_APPLY = site("job_txn_apply_locked");
const SITE_TXN_UNREF = site("job_txn_unref");
const SITE_TXN_UNREF_LOCKED = site("job_txn_unref_locked");
const SITE_TXN_REF_LOCKED = site("job_txn_ref_locked");
const SITE_TXN_DEL_JOB_LOCKED = site("job_txn_del_job_locked");

/** job_txn_new (job.c:104): an empty one, with the reference of its creator. Common. */
export function jobTxnNew(): JobTxn {
  return new JobTxn();
}

/** job_txn_unref (job.c:126): the creator lets go of it, without job_mutex. */
export function jobTxnUnref(txn: JobTxn): void {
  ioCode(null, SITE_TXN_UNREF);
  withJobLock(() => jobTxnUnrefLocked(txn));
}

/** job_txn_unref_locked (job.c:119). */
export function jobTxnUnrefLocked(txn: JobTxn): void {
  ioCode(null, SITE_TXN_UNREF_LOCKED);
  assertJobLocked();
  assert(txn.refcnt > 0, "a reference is dropped once");
  txn.refcnt--;
  assert(txn.refcnt > 0 || txn.jobs.length === 0, "each job of a transaction refers to it");
}

/** job_txn_ref_locked (job.c:113). */
export function jobTxnRefLocked(txn: JobTxn): void {
  ioCode(null, SITE_TXN_REF_LOCKED);
  assertJobLocked();
  assert(txn.refcnt > 0, "a transaction that is gone has no user");
  txn.refcnt++;
}

/** job_txn_add_job_locked (job.c:144). */
export function jobTxnAddJobLocked(txn: JobTxn, job: Job): void {
  ioCode(null, SITE_ADD);
  assertJobLocked();
  modelAssert(job.txn === null, "!job->txn", SITE_ADD);
  job.txn = txn;
  txn.jobs.unshift(job);
  jobTxnRefLocked(txn);
}

/** job_txn_del_job_locked (job.c:158): the job leaves its transaction, if it has not left it before. */
export function jobTxnDelJobLocked(job: Job): void {
  ioCode(null, SITE_TXN_DEL_JOB_LOCKED);
  assertJobLocked();
  const { txn } = job;
  if (txn === null) return;
  const at = txn.jobs.indexOf(job);
  assert(at >= 0, "a job is among those of its transaction");
  txn.jobs.splice(at, 1);
  job.txn = null;
  jobTxnUnrefLocked(txn);
}

/** job_txn_apply_locked (job.c:168): `apply` to each job of the transaction until one answers other than 0. Polls as `apply` does. */
export function* jobTxnApplyLocked(job: Job, apply: (job: Job) => Polls<number>): Polls<number> {
  ioCode(null, SITE_APPLY);
  assertJobLocked();
  const { txn } = job;
  assert(txn !== null, "a job that has not ended is in a transaction");
  jobRefLocked(job);
  let ret = 0;
  for (const other of [...txn.jobs]) {
    // C keeps the next one in a variable, and what `apply` polls may have ended that.
    modelAssert(other.txn === txn, "QLIST_FOREACH_SAFE: the next job has left", SITE_APPLY);
    ret = yield* apply(other);
    if (ret !== 0) break;
  }
  yield* jobUnrefLocked(job);
  return ret;
}
