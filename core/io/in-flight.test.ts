import { describe, expect, it } from "vitest";
import {
  blkAbortAioRequest,
  blkAioPreadv,
  blkCoPreadv,
  blkNew,
  blkNewWithBs,
} from "../backend/index.ts";
import { EIO } from "../base/index.ts";
import { Ev, ProbeBase } from "../probe/index.ts";
import {
  type Co,
  hostAllocate,
  machine,
  type Polls,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
  qemuCoroutineSelf,
  taskBegin,
  taskEnd,
} from "../sched/index.ts";
import { taskShare } from "./in-flight.ts";
import { bdrvDecInFlight, bdrvDrainedBegin, bdrvIncInFlight, qiovOf } from "./index.ts";
import { guest, joinGuests, NO_SITE, runDrawn } from "./test-support.ts";

/** The life of tasks and counters as words, each with the task that it carries: `bs+:1` is a raise by task 1. */
class TaskLog extends ProbeBase {
  words: string[] = [];
  readonly #names = new Map<number, string>([
    [Ev.task_begin, "begin"],
    [Ev.task_end, "end"],
    [Ev.bs_in_flight_inc, "bs+"],
    [Ev.bs_in_flight_dec, "bs-"],
    [Ev.blk_in_flight_inc, "blk+"],
    [Ev.blk_in_flight_dec, "blk-"],
    [Ev.req_begin, "req("],
    [Ev.req_end, "req)"],
    [Ev.hook_begin, "hook"],
  ]);

  override emit(kind: number): void {
    const name = this.#names.get(kind);
    if (name !== undefined) this.words.push(`${name}:${this.task}`);
  }

  override emitWide(kind: number): void {
    this.emit(kind);
  }
}

function tasksOf(body: Parameters<typeof runDrawn>[1]): string {
  const probe = new TaskLog();
  runDrawn(
    "a",
    function* (test): Polls<void> {
      probe.words = [];
      yield* body(test);
    },
    { probe },
  );
  return probe.words.join(" ");
}

const buffer = () => qiovOf(hostAllocate(512));

describe("a request's task", () => {
  it("is from its first raise to its last lowering, the events of both included", () => {
    const words = tasksOf(function* ({ node }) {
      const blk = yield* blkNewWithBs(node("a"));
      (machine.probe as unknown as TaskLog).words = [];
      yield* joinGuests(
        guest(machine.mainContext, () => readOf(blkCoPreadv(blk, 0, 512, buffer()))),
      );
    });
    // Sections of the attach took tasks 1 and 2, for the hooks.
    expect(words).toBe("begin:3 blk+:3 req(:3 bs+:3 bs+:3 bs-:3 bs-:3 req):3 blk-:3 end:3");
  });

  it("is the same in the callback of an aio request that was done at once", () => {
    const words = tasksOf(function* (): Polls<void> {
      const blk = blkNew(machine.mainContext);
      let isDone = false;
      blkAioPreadv(blk, 0, 512, buffer(), () => {
        (machine.probe as unknown as TaskLog).words.push(`callback:${machine.probe.task}`);
        isDone = true;
        return undefined;
      });
      yield* joinGuests({
        get done() {
          return isDone;
        },
      });
    });
    expect(words).toBe("begin:1 blk+:1 req(:1 req):1 callback:1 blk-:1 end:1");
  });

  it("of an aborted request is its own, also when another request's coroutine aborts it", () => {
    const words = tasksOf(function* ({ node }): Polls<void> {
      const blk = blkNew(machine.mainContext);
      let isDone = false;
      yield* joinGuests(
        guest(machine.mainContext, function* (): Co<void> {
          bdrvIncInFlight(node("a"));
          blkAbortAioRequest(blk, -EIO, () => {
            isDone = true;
            return undefined;
          });
          bdrvDecInFlight(node("a"));
        }),
      );
      yield* joinGuests({
        get done() {
          return isDone;
        },
      });
    });
    expect(words).toBe("begin:1 bs+:1 begin:2 blk+:2 bs-:1 end:1 blk-:2 end:2");
  });

  it("straight at a node is a guest request of its own", () => {
    const words = tasksOf(function* ({ node }) {
      yield* joinGuests(
        guest(machine.mainContext, function* (): Co<void> {
          bdrvIncInFlight(node("a"));
          bdrvIncInFlight(node("a"));
          bdrvDecInFlight(node("a"));
          bdrvDecInFlight(node("a"));
          bdrvIncInFlight(node("a"));
          bdrvDecInFlight(node("a"));
        }),
      );
    });
    expect(words).toBe("begin:1 bs+:1 bs+:1 bs-:1 bs-:1 end:1 begin:2 bs+:2 bs-:2 end:2");
  });

  it("that somebody else began is not ended by a counter", () => {
    const words = tasksOf(function* ({ node }) {
      yield* joinGuests(
        guest(machine.mainContext, function* (): Co<void> {
          const co = qemuCoroutineSelf();
          const task = taskBegin(co);
          bdrvIncInFlight(node("a"));
          bdrvDecInFlight(node("a"));
          const helper = qemuCoroutineCreate(function* (): Co<void> {
            bdrvIncInFlight(node("a"));
            bdrvDecInFlight(node("a"));
          });
          taskShare(helper);
          qemuCoroutineEnter(helper);
          taskEnd(co, task);
        }),
      );
    });
    expect(words).toBe("begin:1 bs+:1 bs-:1 bs+:1 bs-:1 end:1");
  });

  it("is a driver hook's own, from the drain that starts it", () => {
    const words = tasksOf(function* ({ node }) {
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
    });
    expect(words).toBe("begin:1 bs+:1 hook:1 bs-:1 end:1");
  });

  it("does not exist at thread level", () => {
    const words = tasksOf(function* ({ node }) {
      bdrvIncInFlight(node("a"));
      bdrvDecInFlight(node("a"));
    });
    expect(words).toBe("bs+:0 bs-:0");
  });
});

function* readOf(read: Co<number>): Co<void> {
  yield* read;
}
