import { describe, expect, it } from "vitest";
import {
  aioBhScheduleOneshot,
  aioPoll,
  aioSetEventNotifier,
  EventNotifier,
  eventNotifierSet,
  eventNotifierTestAndClear,
  iothreadCreate,
  iothreadStopJoin,
  machine,
  type Polls,
} from "./index.ts";
import { runMain } from "./test-support.ts";

describe("an event notifier", () => {
  it("stays ready until it is cleared: a handler that does not clear it runs in every poll", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const notifier = new EventNotifier();
      const handler = (): undefined => void log.push("ready");
      aioSetEventNotifier(machine.mainContext, notifier, { isExternal: false, handler });
      eventNotifierSet(notifier);
      yield* aioPoll(machine.mainContext, true);
      yield* aioPoll(machine.mainContext, true);
      log.push(String(eventNotifierTestAndClear(notifier)));
      log.push(String(eventNotifierTestAndClear(notifier)));
      log.push(String(yield* aioPoll(machine.mainContext, false)));
    });
    expect(log).toBe("ready ready true false false");
  });

  it("that was set before it had a handler is seen by the first poll", () => {
    const { log } = runMain(function* (log): Polls<void> {
      const notifier = new EventNotifier();
      eventNotifierSet(notifier);
      const handler = (): undefined =>
        void log.push(eventNotifierTestAndClear(notifier) ? "seen" : "spurious");
      aioSetEventNotifier(machine.mainContext, notifier, { isExternal: false, handler });
      yield* aioPoll(machine.mainContext, true);
    });
    expect(log).toBe("seen");
  });

  it("set in another thread wakes the poll of its context, and one without a handler nobody's", () => {
    const wait = (handled: boolean): string =>
      runMain(function* (): Polls<void> {
        const ctx = machine.mainContext;
        const notifier = new EventNotifier();
        const handler = (): undefined => void eventNotifierTestAndClear(notifier);
        aioSetEventNotifier(ctx, notifier, { isExternal: false, handler });
        yield* aioPoll(ctx, false);
        const io = iothreadCreate("io");
        aioBhScheduleOneshot(io, () => eventNotifierSet(notifier) as undefined);
        if (!handled) {
          aioSetEventNotifier(ctx, notifier, { isExternal: false, handler: null });
          yield* aioPoll(ctx, false);
        }
        yield* aioPoll(ctx, true);
        yield* iothreadStopJoin(io);
      }).outcome;
    expect([wait(true), wait(false)]).toEqual(["ok", "deadlock"]);
  });
});
