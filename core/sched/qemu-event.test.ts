import { expect, it } from "vitest";
import {
  aioBhScheduleOneshot,
  iothreadCreate,
  iothreadStopJoin,
  machine,
  type Polls,
  QemuEvent,
  qemuEventReset,
  qemuEventSet,
  qemuEventWait,
} from "./index.ts";
import { runMain } from "./test-support.ts";

const NO_SITE = 0 as never;

it("a thread that waits for an event stands still, its bottom halves too, until another sets it", () => {
  const { log, outcome } = runMain(function* (log): Polls<void> {
    const event = new QemuEvent();
    const ctx = iothreadCreate("io0");
    aioBhScheduleOneshot(machine.mainContext, () => void log.push("bh of main") as undefined);
    aioBhScheduleOneshot(ctx, () => {
      log.push("set");
      qemuEventSet(event);
      return undefined;
    });
    yield* qemuEventWait(event, NO_SITE);
    log.push("goes on");
    yield* qemuEventWait(event, NO_SITE);
    qemuEventReset(event);
    expect(event.isSet).toBe(false);
    yield* iothreadStopJoin(ctx);
  });
  expect(log).toBe("set goes on");
  expect(outcome).toBe("ok");
});

it("an event that nobody sets is a deadlock", () => {
  const { outcome } = runMain(function* (): Polls<void> {
    yield* qemuEventWait(new QemuEvent(), NO_SITE);
  });
  expect(outcome).toBe("deadlock");
});
