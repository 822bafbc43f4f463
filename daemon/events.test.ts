import { expect, it } from "vitest";
import type { VirtualNs } from "#core/base";
import { aioPoll, clockNs, machine, type Polls, timerMod, timerNew } from "#core/sched";
import { runMain } from "../core/sched/test-support.ts";
import { emitEvent, flushEvents } from "./events.ts";
import { Daemon } from "./state.ts";

/** What clients see, each as `second:event:who`, of a run that emits with `main`. */
function seen(main: (daemon: Daemon) => Polls<void>): string {
  return runMain(function* (log): Polls<void> {
    const onEvent = (event: string, data: unknown) => {
      const { "node-name": node, reference } = data as Record<string, string>;
      log.push(`${clockNs() / 1e9}:${event}:${node ?? reference}`);
    };
    yield* main(new Daemon(0, { onEvent }));
  }).log;
}

function bad(daemon: Daemon, node: string, sector = 0): void {
  const data = { type: "read", "node-name": node, "sector-num": sector, "sectors-count": 1 };
  emitEvent(daemon, "QUORUM_REPORT_BAD", data);
}

function* until(second: number): Polls<void> {
  let isOver = false;
  const timer = timerNew(machine.mainContext, () => {
    isOver = true;
    return undefined;
  });
  timerMod(timer, (second * 1e9) as VirtualNs);
  while (!isOver) yield* aioPoll(machine.mainContext, true);
}

it("a quorum's events come once a second for each child: the first at once, then the last", () => {
  const log = seen(function* (daemon): Polls<void> {
    for (let sector = 0; sector < 5; sector++) bad(daemon, "a", sector);
    bad(daemon, "b");
    yield* until(1.5);
    bad(daemon, "a");
    yield* until(5);
    bad(daemon, "a");
    flushEvents(daemon);
  });
  expect(log).toBe(
    "0:QUORUM_REPORT_BAD:a 0:QUORUM_REPORT_BAD:b 1:QUORUM_REPORT_BAD:a " +
      "2:QUORUM_REPORT_BAD:a 5:QUORUM_REPORT_BAD:a",
  );
});

it("what is held back when the daemon ends is sent", () => {
  const log = seen(function* (daemon): Polls<void> {
    for (const reference of ["a", "b", "c"])
      emitEvent(daemon, "QUORUM_FAILURE", { reference, "sector-num": 0, "sectors-count": 1 });
    flushEvents(daemon);
  });
  expect(log).toBe("0:QUORUM_FAILURE:a 0:QUORUM_FAILURE:c");
});

it("events of jobs, devices and exports are all sent", () => {
  const log = seen(function* (daemon): Polls<void> {
    for (const reference of ["a", "b", "c"])
      emitEvent(daemon, "BLOCK_EXPORT_DELETED", { id: reference, reference });
  });
  expect(log).toBe("0:BLOCK_EXPORT_DELETED:a 0:BLOCK_EXPORT_DELETED:b 0:BLOCK_EXPORT_DELETED:c");
});
