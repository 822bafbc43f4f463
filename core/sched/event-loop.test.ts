import { describe, expect, it } from "vitest";
import { must } from "../base/index.ts";
import { Ev, ProbeBase } from "../probe/index.ts";
import {
  aioBhNew,
  aioBhScheduleOneshot,
  aioCoEnter,
  aioContextAcquire,
  aioContextRelease,
  aioCoSchedule,
  aioCoWake,
  aioDisableExternal,
  aioEnableExternal,
  aioPoll,
  aioSetFdHandler,
  aioWaitBhOneshot,
  aioWaitKick,
  aioWaitWhile,
  aioWaitWhileUnlocked,
  type Co,
  coRunOutside,
  globalStateCode,
  hostSubmit,
  iothreadCreate,
  iothreadStopJoin,
  machine,
  modelAssert,
  type Polls,
  qemuBhCancel,
  qemuBhDelete,
  qemuBhSchedule,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
  qemuCoroutineYield,
  qemuCoSleepNs,
  qemuInCoroutine,
  runInCoroutine,
  timerDel,
  timerMod,
  timerNew,
} from "./index.ts";
import { runMain, TestHost } from "./test-support.ts";

const NO_SITE = 0 as never;

describe("bottom halves", () => {
  it("run newest first within a slice", () => {
    const { log } = runMain(function* (log): Polls<void> {
      for (const name of ["a", "b", "c"]) {
        aioBhScheduleOneshot(machine.mainContext, () => void log.push(name) as undefined);
      }
      yield* aioPoll(machine.mainContext, false);
    });
    expect(log).toBe("c b a");
  });

  it("scheduled while a slice runs wait for the next poll", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ctx = machine.mainContext;
      aioBhScheduleOneshot(ctx, () => {
        log.push("first");
        aioBhScheduleOneshot(ctx, () => void log.push("second") as undefined);
        return undefined;
      });
      yield* aioPoll(ctx, false);
      log.push("|");
      yield* aioPoll(ctx, false);
    });
    expect(log).toBe("first | second");
  });

  it("of the outer slice are finished by a nested poll before the fresh ones", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ctx = machine.mainContext;
      aioBhScheduleOneshot(ctx, () => void log.push("outer-rest") as undefined);
      aioBhScheduleOneshot(ctx, function* (): Polls<void> {
        log.push("outer-first(");
        aioBhScheduleOneshot(ctx, () => void log.push("fresh") as undefined);
        yield* aioPoll(ctx, false);
        log.push(")");
      });
      yield* aioPoll(ctx, false);
    });
    expect(log).toBe("outer-first( outer-rest fresh )");
  });

  it("run once however often they are scheduled, not at all when cancelled, never after deletion", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ctx = machine.mainContext;
      const twice = aioBhNew(ctx, () => void log.push("twice") as undefined);
      qemuBhSchedule(twice);
      qemuBhSchedule(twice);
      const cancelled = aioBhNew(ctx, () => void log.push("cancelled") as undefined);
      qemuBhSchedule(cancelled);
      qemuBhCancel(cancelled);
      const deleted = aioBhNew(ctx, () => {
        log.push("self-deleted");
        qemuBhDelete(deleted);
        return undefined;
      });
      qemuBhSchedule(deleted);
      yield* aioPoll(ctx, false);
      yield* aioPoll(ctx, false);
    });
    expect(log).toBe("self-deleted twice");
  });
});

describe("coroutines", () => {
  it("given by aio_co_schedule are entered first in, first out", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ctx = machine.mainContext;
      for (const name of ["a", "b", "c"]) {
        aioCoSchedule(
          ctx,
          qemuCoroutineCreate(function* (): Co<void> {
            log.push(name);
          }),
        );
      }
      yield* aioPoll(ctx, false);
    });
    expect(log).toBe("a b c");
  });

  it("woken by a coroutine run after it yields, depth first, later batches first", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ctx = machine.mainContext;
      const leaf = (name: string) =>
        qemuCoroutineCreate(function* (): Co<void> {
          log.push(name);
        });
      const middle = qemuCoroutineCreate(function* (): Co<void> {
        log.push("middle");
        aioCoEnter(ctx, leaf("m1"));
        aioCoEnter(ctx, leaf("m2"));
      });
      const top = qemuCoroutineCreate(function* (): Co<void> {
        aioCoEnter(ctx, middle);
        aioCoEnter(ctx, leaf("t2"));
        log.push("top");
      });
      qemuCoroutineEnter(top);
    });
    expect(log).toBe("top middle m1 m2 t2");
  });

  it("come back to whoever entered them at their first yield", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const co = qemuCoroutineCreate(function* (): Co<void> {
        log.push(`in=${qemuInCoroutine()}`);
        yield* qemuCoroutineYield();
        log.push("again");
      });
      qemuCoroutineEnter(co);
      log.push(`back in=${qemuInCoroutine()}`);
      aioCoWake(co);
      log.push(`done=${co.done}`);
    });
    expect(log).toBe("in=true back in=false again done=true");
  });

  it.each([
    [
      "Co-routine re-entered recursively",
      function* (): Polls<void> {
        const co = qemuCoroutineCreate(function* (): Co<void> {
          qemuCoroutineEnter(co);
        });
        qemuCoroutineEnter(co);
      },
    ],
    [
      "aio_co_schedule: Co-routine was already scheduled",
      function* (): Polls<void> {
        const co = qemuCoroutineCreate(function* (): Co<void> {});
        aioCoSchedule(machine.mainContext, co);
        aioCoSchedule(machine.mainContext, co);
      },
    ],
    [
      "Co-routine was already scheduled",
      function* (): Polls<void> {
        const co = qemuCoroutineCreate(function* (): Co<void> {});
        aioCoSchedule(machine.mainContext, co);
        qemuCoroutineEnter(co);
      },
    ],
  ])("abort as QEMU's do: %s", (text, main) => {
    const { outcome, machine } = runMain(main as () => Polls<void>);
    expect(outcome).toBe("assertion");
    expect(must(machine.assertion, "an assertion ended the run").message).toBe(text);
  });

  it("wake each other thousands of times without growing the stack", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ping = qemuCoroutineCreate(function* (): Co<void> {
        for (let turn = 0; turn < 20_000; turn++) {
          aioCoWake(pong);
          yield* qemuCoroutineYield();
        }
        log.push("done");
      });
      const pong = qemuCoroutineCreate(function* (): Co<void> {
        for (;;) {
          yield* qemuCoroutineYield();
          aioCoWake(ping);
        }
      });
      qemuCoroutineEnter(pong);
      qemuCoroutineEnter(ping);
    });
    expect(log).toBe("done");
  });
});

describe("waiting", () => {
  it("in main for an iothread ends with a kick and not before", () => {
    const { outcome, log } = runMain(function* (log): Polls<void> {
      const ctx = iothreadCreate("io0");
      let busy = true;
      aioBhScheduleOneshot(ctx, () => {
        busy = false;
        log.push("lowered");
        aioWaitKick();
        return undefined;
      });
      log.push(`waited=${yield* aioWaitWhile(ctx, () => busy, NO_SITE)}`);
      yield* iothreadStopJoin(ctx);
    });
    expect([outcome, log]).toEqual(["ok", "lowered waited=true"]);
  });

  it("without a kick is a lost wake-up, reported as a deadlock", () => {
    const { outcome } = runMain(function* (): Polls<void> {
      const ctx = iothreadCreate("io0");
      let busy = true;
      aioBhScheduleOneshot(ctx, () => {
        busy = false;
        return undefined;
      });
      yield* aioWaitWhile(ctx, () => busy, NO_SITE);
    });
    expect(outcome).toBe("deadlock");
  });

  it("whose condition itself fails an assertion when a deadlock is explained ends as that deadlock", () => {
    const { outcome } = runMain(function* (): Polls<void> {
      let asked = 0;
      const busy = (): boolean => {
        modelAssert(++asked === 1, "asked once");
        return true;
      };
      yield* aioWaitWhile(machine.mainContext, busy, NO_SITE);
    });
    expect(outcome).toBe("deadlock");
  });

  it("in an iothread is not woken by aio_wait_kick, which wakes main alone; the report says so", () => {
    const lost: number[] = [];
    const probe = new (class extends ProbeBase {
      override emit(kind: number, a = -1): void {
        if (kind === Ev.wait_lost) lost.push(a);
      }
      override emitWide(): void {}
    })();
    const { outcome } = runMain(
      function* (): Polls<void> {
        const ctx = iothreadCreate("io0");
        let busy = true;
        aioBhScheduleOneshot(ctx, () => aioWaitWhileIn(ctx, () => busy));
        yield* waitUntilAsleep();
        busy = false;
        aioWaitKick();
        yield* iothreadJoinOnly(ctx);
      },
      { probe },
    );
    expect(outcome).toBe("deadlock");
    expect(lost).toEqual([1]);
  });

  it("between two iothreads is refused", () => {
    const { outcome, machine: m } = runMain(function* (): Polls<void> {
      const one = iothreadCreate("io0");
      const other = iothreadCreate("io1");
      aioBhScheduleOneshot(one, () => aioWaitWhileIn(other, () => true));
      yield* iothreadStopJoin(one);
    });
    expect(outcome).toBe("assertion");
    expect(m.assertion?.message).toBe("qemu_get_current_aio_context() == qemu_get_aio_context()");
  });

  it("aio_wait_bh_oneshot runs a bottom half elsewhere and waits for it", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ctx = iothreadCreate("io0");
      yield* aioWaitBhOneshot(
        ctx,
        () => void log.push(must(machine.currentContext, "runs").name) as undefined,
        NO_SITE,
      );
      log.push("after");
      yield* iothreadStopJoin(ctx);
    });
    expect(log).toBe("io0 after");
  });
});

function* aioWaitWhileIn(ctx: import("./index.ts").AioContext, busy: () => boolean): Polls<void> {
  yield* aioWaitWhile(ctx, busy, NO_SITE);
}

/** Poll main a few times so that the other contexts come to rest. */
function* waitUntilAsleep(): Polls<void> {
  for (let turn = 0; turn < 4; turn++) {
    aioBhScheduleOneshot(machine.mainContext, () => undefined);
    yield* aioPoll(machine.mainContext, true);
    yield* passTo();
  }
}

/** Let the others run: main sleeps on a timer. */
function* passTo(): Polls<void> {
  let fired = false;
  const timer = timerNew(machine.mainContext, () => {
    fired = true;
    return undefined;
  });
  timerMod(timer, 1 as never);
  while (!fired) yield* aioPoll(machine.mainContext, true);
}

function* iothreadJoinOnly(ctx: import("./index.ts").AioContext): Polls<void> {
  yield* aioWaitWhile(null, () => !ctx.finished, NO_SITE);
}

describe("the doors between the colours", () => {
  it("coRunOutside leaves the coroutine, runs at thread level and comes back with the result", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const result = yield* runInCoroutine(
        machine.mainContext,
        function* (): Co<number> {
          return yield* coRunOutside(machine.mainContext, function* (): Polls<number> {
            log.push(`inside=${qemuInCoroutine()}`);
            return 42;
          });
        },
        NO_SITE,
      );
      log.push(String(result));
    });
    expect(log).toBe("inside=false 42");
  });

  it("runInCoroutine in an iothread runs there and waits from main", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ctx = iothreadCreate("io0");
      const name = yield* runInCoroutine(
        ctx,
        function* (): Co<string> {
          yield* hostSubmit("flush", 1 as never, 0 as never, 0 as never, null, 0);
          return must(machine.currentContext, "runs").name;
        },
        NO_SITE,
      );
      log.push(name);
      yield* iothreadStopJoin(ctx);
    });
    expect(log).toBe("io0");
  });
});

describe("the AioContext lock", () => {
  it("is recursive in its thread, and makes another wait", () => {
    const { outcome, log } = runMain(
      function* (log): Polls<void> {
        const ctx = iothreadCreate("io0");
        yield* aioContextAcquire(ctx);
        yield* aioContextAcquire(ctx);
        aioBhScheduleOneshot(ctx, () => void log.push("handler") as undefined);
        yield* passTo();
        log.push("released");
        aioContextRelease(ctx);
        aioContextRelease(ctx);
        yield* iothreadStopJoin(ctx);
      },
      { lock: "aio" },
    );
    expect([outcome, log]).toEqual(["ok", "released handler"]);
  });

  it("is given up by AIO_WAIT_WHILE while main polls, and kept by its unlocked twin: QEMU's deadlock", () => {
    const wait = (unlocked: boolean) =>
      runMain(
        function* (): Polls<void> {
          const ctx = iothreadCreate("io0");
          yield* aioContextAcquire(ctx);
          let busy = true;
          aioBhScheduleOneshot(ctx, () => {
            busy = false;
            aioWaitKick();
            return undefined;
          });
          if (unlocked) yield* aioWaitWhileUnlocked(ctx, () => busy, NO_SITE);
          else yield* aioWaitWhile(ctx, () => busy, NO_SITE);
          aioContextRelease(ctx);
          yield* iothreadStopJoin(ctx);
        },
        { lock: "aio" },
      ).outcome;
    expect([wait(false), wait(true)]).toEqual(["ok", "deadlock"]);
  });
});

describe("external events", () => {
  it("are not dispatched while disabled, and are after the last enable", () => {
    const host = new TestHost();
    const { log } = runMain(
      function* (log): Polls<void> {
        const ctx = machine.mainContext;
        const fd = aioSetFdHandler(ctx, true, () => void log.push("client") as undefined);
        aioDisableExternal(ctx);
        aioDisableExternal(ctx);
        host.kickFd(fd.id);
        yield* passTo();
        aioEnableExternal(ctx);
        yield* passTo();
        log.push("enabled");
        aioEnableExternal(ctx);
        yield* passTo();
      },
      { host },
    );
    expect(log).toBe("enabled client");
  });
});

describe("timers", () => {
  it("fire in the order of their deadlines, and not after deletion", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const ctx = machine.mainContext;
      for (const at of [30, 10, 20]) {
        timerMod(
          timerNew(ctx, () => void log.push(String(at)) as undefined),
          at as never,
        );
      }
      const gone = timerNew(ctx, () => void log.push("gone") as undefined);
      timerMod(gone, 15 as never);
      timerDel(gone);
      while (log.length < 3) yield* aioPoll(ctx, true);
    });
    expect(log).toBe("10 20 30");
  });

  it("let a coroutine sleep", () => {
    const { log } = runMain(function* (log): Polls<void> {
      yield* runInCoroutine(
        machine.mainContext,
        function* (): Co<void> {
          yield* qemuCoSleepNs(500);
          log.push("slept");
        },
        NO_SITE,
      );
    });
    expect(log).toBe("slept");
  });
});

describe("the thread domain", () => {
  it("stops global-state code in an iothread with patch 12 on, and only notes it with the patch off", () => {
    const run = (without: readonly 12[]) =>
      runMain(
        function* (): Polls<void> {
          const ctx = iothreadCreate("io0");
          aioBhScheduleOneshot(ctx, () => {
            globalStateCode();
            return undefined;
          });
          yield* iothreadStopJoin(ctx);
        },
        { without },
      ).outcome;
    expect([run([]), run([12])]).toEqual(["assertion", "ok"]);
  });
});
