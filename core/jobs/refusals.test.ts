// What jobs refuse: QEMU's text, its errno, and that nothing has changed, in tables. `runRefusal` compares the whole block layer
// before and after (blockLayerToText). At the end the sources are searched: a text that they
// can refuse with and that no test in their folders has fails the test.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EBUSY, EINVAL, EPERM, must } from "../base/index.ts";
import { BLK_PERM_ALL, BLK_PERM_CONSISTENT_READ, type BlockDriverState } from "../graph/index.ts";
import { CHAIN, READER, type RefusalRow, runRefusal, straight } from "../graph/test-support.ts";
import { type Co, machine, type Polls } from "../sched/index.ts";
import {
  type BlockJob,
  type BlockJobDriver,
  blockJobCreate,
  blockJobQueryLocked,
  blockJobSetSpeedLocked,
  JOB_INTERNAL,
  type Job,
  type JobDriver,
  jobCancelSync,
  jobCompleteLocked,
  jobCreate,
  jobDismissLocked,
  jobEarlyFail,
  jobFinalizeLocked,
  jobIsCancelled,
  jobSleepNs,
  jobStart,
  jobTransitionToReady,
  jobUserPauseLocked,
  jobUserResumeLocked,
  withJobLock,
  withJobLockPolls,
} from "./index.ts";

const IDLE_JOB: BlockJobDriver = {
  jobType: "stream",
  *coRun(): Co<number> {
    return 0;
  },
};

function jobOn(bs: BlockDriverState, name: string | null = "job0", flags = 0): Polls<BlockJob> {
  const perms = { perm: BLK_PERM_CONSISTENT_READ, sharedPerm: BLK_PERM_ALL };
  return blockJobCreate(name, IDLE_JOB, bs, { ...perms, flags });
}

/** A row about a job that was made, and not started. */
function ofJob(
  c: string,
  text: string,
  errno: number,
  edit: (job: Job) => Polls<unknown>,
  before: (job: Job) => void = () => undefined,
): RefusalRow {
  return {
    c,
    text,
    errno,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const { job } = yield* jobOn(node("top"));
      before(job);
      yield* refused(() => edit(job));
      yield* jobEarlyFail(job);
    },
  };
}

const isNot = (verb: string): string =>
  `Job 'job0' in state 'created' cannot accept command verb '${verb}'`;
const locked = (edit: () => unknown): Polls<void> => straight(() => withJobLock(edit));

const JOBS: readonly RefusalRow[] = [
  ofJob("job_apply_verb_locked", isNot("complete"), EPERM, (job) =>
    withJobLockPolls(() => jobCompleteLocked(job)),
  ),
  ofJob("job_apply_verb_locked", isNot("finalize"), EPERM, (job) =>
    withJobLockPolls(() => jobFinalizeLocked(job)),
  ),
  ofJob("job_apply_verb_locked", isNot("dismiss"), EPERM, (job) =>
    withJobLockPolls(() => jobDismissLocked(job)),
  ),
  ofJob(
    "job_user_pause_locked",
    "Job is already paused",
    EINVAL,
    (job) => locked(() => jobUserPauseLocked(job)),
    (job) => withJobLock(() => jobUserPauseLocked(job)),
  ),
  ofJob("job_user_resume_locked", "Can't resume a job that was not paused", EINVAL, (job) =>
    locked(() => jobUserResumeLocked(job)),
  ),
  ofJob(
    "block_job_set_speed_locked",
    "Parameter 'speed' expects a non-negative value",
    EINVAL,
    (job) => locked(() => blockJobSetSpeedLocked(must(job.blockJob, "it is one"), -1)),
  ),
  {
    ...ofJob("job_create", "Job ID 'job0' already in use", EINVAL, () => straight(() => undefined)),
    *body(node, refused): Polls<void> {
      const { job } = yield* jobOn(node("top"));
      yield* refused(() => jobOn(node("other")));
      yield* jobEarlyFail(job);
    },
  },
  {
    ...ofJob("job_complete_locked", "The active block job 'job0' cannot be completed", EBUSY, () =>
      straight(() => undefined),
    ),
    *body(node, refused): Polls<void> {
      const driver: BlockJobDriver = {
        jobType: "stream",
        *coRun(job): Co<number> {
          jobTransitionToReady(job);
          while (!jobIsCancelled(job)) yield* jobSleepNs(job, 1);
          return 0;
        },
      };
      const { job } = yield* blockJobCreate("job0", driver, node("top"), READER);
      jobStart(job);
      expect(job.status).toBe("ready");
      yield* refused(() => withJobLockPolls(() => jobCompleteLocked(job)));
      yield* jobCancelSync(job, true);
    },
  },
  {
    ...ofJob("job_create", "An explicit job ID is required", EINVAL, () =>
      straight(() => undefined),
    ),
    *body(_node, refused): Polls<void> {
      yield* refused(() =>
        straight(() => jobCreate(null, IDLE_JOB as JobDriver, machine.mainContext)),
      );
    },
  },
  {
    ...ofJob("job_create", "Invalid job ID '0job'", EINVAL, () => straight(() => undefined)),
    *body(node, refused): Polls<void> {
      yield* refused(() => jobOn(node("top"), "0job"));
    },
  },
  {
    ...ofJob("job_create", "Cannot specify job ID for internal job", EINVAL, () =>
      straight(() => undefined),
    ),
    *body(node, refused): Polls<void> {
      yield* refused(() => jobOn(node("top"), "job0", JOB_INTERNAL));
    },
  },
  {
    ...ofJob("block_job_query_locked", "Cannot query QEMU internal jobs", EINVAL, () =>
      straight(() => undefined),
    ),
    *body(node, refused): Polls<void> {
      const blockJob = yield* jobOn(node("top"), null, JOB_INTERNAL);
      yield* refused(() => locked(() => blockJobQueryLocked(blockJob)));
      yield* jobEarlyFail(blockJob.job);
    },
  },
];

describe.each([["jobs", JOBS]] as const)(
  "what %s cannot do is refused, and nothing has changed:",
  (_of, rows) => {
    it.each(rows)("$c: $text", (row) => {
      expect(runRefusal(row)).toBeGreaterThan(0);
    });
  },
);

it("there is no other text: each one in the sources is in a test", () => {
  const sources = ["graph", "backend", "jobs", "throttle"].flatMap((folder) => {
    const path = join(import.meta.dirname, "..", folder);
    return readdirSync(path)
      .filter((name) => name.endsWith(".ts"))
      .map((name) => ({ name, text: readFileSync(join(path, name), "utf8") }));
  });
  const tests = sources.filter(({ name }) => name.includes("test"));
  const missing = sources
    .filter(({ name }) => !name.includes("test"))
    .flatMap(({ name, text }) => textsOf(text).map((refusal) => ({ name, refusal })))
    .filter(({ refusal }) => !tests.some(({ text }) => patternOf(refusal).test(text)));
  expect(missing).toEqual([]);
});

/** The texts of `new BlockError(…, text)` that stand there as literals. */
function textsOf(source: string): string[] {
  const found = source.matchAll(/new BlockError\(\s*[-\w]+,\s*(`[^`]*`|"[^"]*")/g);
  return [...found].map((match) => (match[1] ?? "").slice(1, -1));
}

/** Anything for what a template puts in; the words around it to the letter. */
function patternOf(text: string): RegExp {
  const words = text.split(/\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/);
  return new RegExp(words.map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".+"));
}
