import { describe, expect, it } from "vitest";
import {
  aioCoEnter,
  aioPoll,
  type Co,
  CoQueue,
  CoRwlock,
  machine,
  type Polls,
  qemuCoQueueEmpty,
  qemuCoQueueNext,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  qemuCoRwlockDowngrade,
  qemuCoRwlockRdlock,
  qemuCoRwlockUnlock,
  qemuCoRwlockUpgrade,
  qemuCoRwlockWrlock,
  qemuCoroutineCreate,
  qemuCoSleepNs,
} from "./index.ts";
import { runMain } from "./test-support.ts";

/** Run `bodies` as coroutines of main, entered in this order, until all have ended; what they logged. */
function together(...bodies: ((log: string[]) => Co<void>)[]): string {
  return runMain(function* (log): Polls<void> {
    let left = bodies.length;
    for (const body of bodies) {
      const co = qemuCoroutineCreate(function* (): Co<void> {
        yield* body(log);
        left--;
      });
      aioCoEnter(machine.mainContext, co);
    }
    while (left > 0) yield* aioPoll(machine.mainContext, true);
  }).log;
}

/** Somebody who takes `lock`, says so, and keeps it for `ns`. */
function holder(lock: CoRwlock, kind: "read" | "write", name: string, ns = 10) {
  return function* (log: string[]): Co<void> {
    yield* kind === "read" ? qemuCoRwlockRdlock(lock) : qemuCoRwlockWrlock(lock);
    log.push(`${name}(`);
    yield* qemuCoSleepNs(ns);
    log.push(`${name})`);
    qemuCoRwlockUnlock(lock);
  };
}

describe("a CoQueue", () => {
  it("wakes in the order of arrival, and all that waited at the moment of a restart", () => {
    const queue = new CoQueue();
    const waiter = (name: string) =>
      function* (log: string[]): Co<void> {
        yield* qemuCoQueueWait(queue);
        log.push(name);
      };
    const waker = function* (log: string[]): Co<void> {
      qemuCoQueueNext(queue);
      yield* qemuCoSleepNs(1);
      log.push(`empty=${qemuCoQueueEmpty(queue)}`);
      qemuCoQueueRestartAll(queue);
      log.push(`empty=${qemuCoQueueEmpty(queue)}`);
    };
    expect(together(waiter("a"), waiter("b"), waiter("c"), waker)).toBe(
      "a empty=false empty=true b c",
    );
  });
});

describe("a CoRwlock", () => {
  it("lets readers in together, and a writer alone", () => {
    const lock = new CoRwlock();
    expect(
      together(
        holder(lock, "read", "r1"),
        holder(lock, "read", "r2", 20),
        holder(lock, "write", "w"),
      ),
    ).toBe("r1( r2( r1) r2) w( w)");
  });

  it("is fair: a reader that comes after a waiting writer waits for it, and brings the next reader along", () => {
    const lock = new CoRwlock();
    expect(
      together(
        holder(lock, "read", "r1"),
        holder(lock, "write", "w"),
        holder(lock, "read", "r2"),
        holder(lock, "read", "r3", 20),
      ),
    ).toBe("r1( r1) w( w) r2( r3( r2) r3)");
  });

  it("lets a writer become a reader, with no other writer in between", () => {
    const lock = new CoRwlock();
    const downgrades = function* (log: string[]): Co<void> {
      yield* qemuCoRwlockWrlock(lock);
      yield* qemuCoSleepNs(5);
      qemuCoRwlockDowngrade(lock);
      log.push("down");
      yield* qemuCoSleepNs(5);
      log.push("done");
      qemuCoRwlockUnlock(lock);
    };
    expect(together(downgrades, holder(lock, "read", "r", 1), holder(lock, "write", "w"))).toBe(
      "down r( r) done w( w)",
    );
  });

  it("lets a reader become the writer: at once when alone, else behind the writer that waits", () => {
    const lock = new CoRwlock();
    const upgrades = function* (log: string[]): Co<void> {
      yield* qemuCoRwlockRdlock(lock);
      yield* qemuCoSleepNs(5);
      yield* qemuCoRwlockUpgrade(lock);
      log.push("up");
      yield* qemuCoSleepNs(5);
      log.push("done");
      qemuCoRwlockUnlock(lock);
    };
    expect(together(upgrades)).toBe("up done");
    expect(together(upgrades, holder(lock, "write", "w"))).toBe("w( w) up done");
  });
});
