import { describe, expect, it } from "vitest";
import { ECANCELED } from "../base/index.ts";
import { bdrvReplaceNode, bdrvTryChangeAioContext } from "../graph/index.ts";
import { EventLog, type NodeOf, runGraph } from "../graph/test-support.ts";
import {
  bdrvDrainAllBegin,
  bdrvDrainAllEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvFlush,
} from "../io/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  aioPoll,
  type Co,
  clockNs,
  iothreadCreate,
  machine,
  type Polls,
} from "../sched/index.ts";
import {
  type BlockJob,
  type BlockJobDriver,
  blockJobAddBdrv,
  blockJobCreate,
  blockJobSetSpeedLocked,
  type Job,
  jobCancelSync,
  jobFinishSyncLocked,
  jobIsCancelled,
  jobNext,
  jobPause,
  jobPausePoint,
  jobResume,
  jobSleepNs,
  jobStart,
  withJobLock,
  withJobLockPolls,
} from "./index.ts";

const NO_SITE = 0 as never;

/** Works in `rounds` sleeps of 1000 ns; notes where it is. */
function worker(log: string[], rounds: number, result = 0): BlockJobDriver {
  return {
    jobType: "commit",
    *coRun(job: Job): Co<number> {
      log.push("run");
      for (let round = 0; round < rounds && !jobIsCancelled(job); round++) {
        yield* jobSleepNs(job, 1000);
        log.push(`round${round}`);
      }
      return result;
    },
    *prepare(): Polls<number> {
      log.push("prepare");
      return 0;
    },
    *commit(): Polls<void> {
      log.push("commit");
    },
    *abort(): Polls<void> {
      log.push("abort");
    },
    *clean(): Polls<void> {
      log.push("clean");
    },
  };
}

function* startOn(node: NodeOf, name: string, driver: BlockJobDriver): Polls<BlockJob> {
  const blockJob = yield* blockJobCreate("job0", driver, node(name));
  jobStart(blockJob.job);
  return blockJob;
}

function* finish(job: Job): Polls<number> {
  return yield* withJobLockPolls(() => jobFinishSyncLocked(job, null));
}

/** Run the main loop until the job has completed. */
function* completion(job: Job): Polls<number> {
  while (job.status !== "null") yield* aioPoll(machine.mainContext, true);
  return job.ret;
}

describe("a job", () => {
  it.each([
    { result: 0, end: "prepare commit clean", lock: "none" as const },
    { result: -5, end: "abort clean", lock: "none" as const },
    { result: 0, end: "prepare commit clean", lock: "aio" as const },
  ])(
    "that ends with $result completes in main, under lock $lock: $end",
    ({ result, end, lock }) => {
      const log: string[] = [];
      const body = function* (node: NodeOf): Polls<void> {
        const ctx = iothreadCreate("io1");
        yield* bdrvTryChangeAioContext(node("disk"), ctx, null);
        yield* aioContextAcquire(ctx);
        const { job } = yield* startOn(node, "disk", worker(log, 1, result));
        aioContextRelease(ctx);
        expect(yield* completion(job)).toBe(result);
        expect(node("disk").refcnt).toBe(1);
        expect(node("disk").aioContext).toBe(machine.mainContext);
        expect(ctx.lock.depth).toBe(0);
        expect(jobNext(null)).toBe(null);
      };
      const text = runGraph("disk", body, { lock });
      expect(log.join(" ")).toBe(`run round0 ${end}`);
      expect(text).toBe("disk");
    },
  );

  it("that is cancelled ends with -ECANCELED, even before it has started", () => {
    const log: string[] = [];
    runGraph("disk", function* (node): Polls<void> {
      const { job } = yield* startOn(node, "disk", worker(log, 9));
      expect(yield* jobCancelSync(job, true)).toBe(-ECANCELED);
      const { job: idle } = yield* blockJobCreate("job1", worker(log, 9), node("disk"));
      expect(yield* jobCancelSync(idle, true)).toBe(-ECANCELED);
    });
    expect(log.join(" ")).toBe("run round0 abort clean abort clean");
  });

  it("is paused and idle inside a drain of its node, once for each edge in a drain of everything", () => {
    runGraph("disk\nbase", function* (node): Polls<void> {
      const blockJob = yield* startOn(node, "disk", worker([], 100));
      const { job } = blockJob;
      yield* blockJobAddBdrv(blockJob, "base", node("base"));
      yield* bdrvDrainedBegin(node("disk"), NO_SITE);
      expect([job.pauseCount, job.paused, job.busy]).toEqual([1, true, false]);
      yield* bdrvDrainedEnd(node("disk"), NO_SITE);
      expect(job.pauseCount).toBe(0);
      yield* bdrvDrainAllBegin(NO_SITE);
      expect([job.pauseCount, job.paused, job.busy]).toEqual([2, true, false]);
      yield* bdrvDrainAllEnd(NO_SITE);
      expect(job.pauseCount).toBe(0);
      yield* jobCancelSync(job, true);
    });
  });

  it("keeps its edge where it is when the node is replaced", () => {
    const text = runGraph("user -file-> disk\nnew", function* (node): Polls<void> {
      const blockJob = yield* startOn(node, "disk", worker([], 100));
      yield* bdrvReplaceNode(node("disk"), node("new"));
      expect(node("disk").rawParents.first?.opaque).toBe(blockJob);
      yield* jobCancelSync(blockJob.job, true);
    });
    expect(text).toBe("disk\nuser -file-> new\nnew");
  });

  it("moves with its node, and goes on there", () => {
    const log: string[] = [];
    runGraph("disk", function* (node): Polls<void> {
      const ctx = iothreadCreate("io1");
      const driver: BlockJobDriver = {
        jobType: "commit",
        *coRun(job): Co<number> {
          while (!jobIsCancelled(job)) {
            expect(machine.currentContext).toBe(job.aioContext);
            yield* jobSleepNs(job, 1000);
            log.push(job.aioContext.name);
          }
          return 0;
        },
      };
      const { job } = yield* startOn(node, "disk", driver);
      yield* bdrvTryChangeAioContext(node("disk"), ctx, null);
      expect(job.aioContext).toBe(ctx);
      yield* jobCancelSync(job, true);
    });
    expect(log).toEqual(["io1"]);
  });

  it.each([
    { without: [] as const, name: "sleeps in full (patch 9)", early: false },
    { without: [9] as const, name: "is woken early without patch 9", early: true },
  ])("that is drained while it sleeps $name", ({ without, early }) => {
    runGraph(
      "disk",
      function* (node): Polls<void> {
        let slept = 0;
        const driver: BlockJobDriver = {
          jobType: "commit",
          *coRun(job): Co<number> {
            const start = clockNs();
            yield* jobSleepNs(job, 1000);
            slept = clockNs() - start;
            return 0;
          },
        };
        const { job } = yield* startOn(node, "disk", driver);
        yield* bdrvDrainedBegin(node("disk"), NO_SITE);
        yield* bdrvDrainedEnd(node("disk"), NO_SITE);
        yield* completion(job);
        expect(slept < 1000).toBe(early);
      },
      { without },
    );
  });

  // The series has it so: whoever raises the limit of a job that sleeps for the old one waits for the old one's sleep.
  it.each([
    { without: [] as const, name: "sleeps on with patch 9", slept: 1000 },
    { without: [9] as const, name: "goes on at once without patch 9", slept: 0 },
  ])("that sleeps for its limit, which is taken away, $name", ({ without, slept }) => {
    runGraph(
      "disk",
      function* (node): Polls<void> {
        const times: number[] = [];
        const driver: BlockJobDriver = {
          jobType: "commit",
          *coRun(job): Co<number> {
            times.push(clockNs());
            yield* jobSleepNs(job, 1000);
            times.push(clockNs());
            return 0;
          },
        };
        const blockJob = yield* startOn(node, "disk", driver);
        while (times.length === 0) yield* aioPoll(machine.mainContext, false);
        withJobLock(() => blockJobSetSpeedLocked(blockJob, 0));
        yield* completion(blockJob.job);
        expect((times[1] ?? 0) - (times[0] ?? 0)).toBe(slept);
      },
      { without },
    );
  });

  it("may drain and flush while it completes", () => {
    const log: string[] = [];
    runGraph("disk", function* (node): Polls<void> {
      const driver: BlockJobDriver = {
        ...worker(log, 1),
        *prepare(): Polls<number> {
          yield* bdrvDrainedBegin(node("disk"), NO_SITE);
          yield* bdrvFlush(node("disk"));
          yield* bdrvDrainedEnd(node("disk"), NO_SITE);
          return 0;
        },
      };
      const { job } = yield* startOn(node, "disk", driver);
      expect(yield* completion(job)).toBe(0);
    });
    expect(log.join(" ")).toBe("run round0 commit clean");
  });

  it("leaves its gate, its pauses and its idleness in the trace, each on behalf of a section", () => {
    const probe = new EventLog([
      "job_pause",
      "job_resume",
      "job_gate_read",
      "job_busy",
      "job_busy_read",
      "task_begin",
      "task_end",
    ]);
    runGraph(
      "disk",
      function* (node): Polls<void> {
        const driver: BlockJobDriver = {
          jobType: "commit",
          *coRun(job): Co<number> {
            yield* jobPausePoint(job);
            return 0;
          },
        };
        const { job } = yield* blockJobCreate("job0", driver, node("disk"));
        probe.lines.length = 0;
        jobPause(job);
        jobStart(job);
        yield* bdrvDrainedBegin(node("disk"), NO_SITE);
        jobResume(job);
        yield* bdrvDrainedEnd(node("disk"), NO_SITE);
        yield* finish(job);
      },
      { probe },
    );
    expect(probe.lines).toMatchInlineSnapshot(`
      [
        "job_pause job=1 new=2 section=0 edge=0",
        "job_resume job=1 new=1 section=0 edge=0",
        "job_busy job=1 busy=1",
        "task_begin id=1 co=1",
        "job_gate_read job=1 value=1",
        "job_gate_read job=1 value=1",
        "job_busy job=1 busy=0",
        "task_end id=1 co=1",
        "job_pause job=1 new=2 section=2 edge=1",
        "job_busy_read job=1 busy=0 section=2",
        "job_resume job=1 new=1 section=0 edge=0",
        "job_resume job=1 new=0 section=2 edge=1",
        "job_busy job=1 busy=1",
        "task_begin id=2 co=1",
        "job_gate_read job=1 value=0",
        "job_gate_read job=1 value=0",
        "task_end id=2 co=1",
        "job_busy job=1 busy=0",
        "job_pause job=1 new=1 section=3 edge=1",
        "job_busy_read job=1 busy=0 section=3",
        "job_resume job=1 new=0 section=3 edge=1",
      ]
    `);
  });
});
