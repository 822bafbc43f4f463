import { describe, expect, it } from "vitest";
import { blkAioPreadv, blkCoPreadv, blkNewWithBs, blkSetAioContext } from "../backend/index.ts";
import { bdrvRef, bdrvSetBackingHd } from "../graph/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  type Co,
  hostAllocate,
  iothreadCreate,
  type LockRegime,
  type PatchNumber,
  type Polls,
} from "../sched/index.ts";
import { qiovOf } from "./guest-copy.ts";
import {
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedBeginUnlocked,
  bdrvSubtreeDrainedEnd,
  bdrvSubtreeDrainedEndUnlocked,
} from "./index.ts";
import { guest, joinGuests, NO_SITE, READ_NS, runDrawn, sleepMain } from "./test-support.ts";

describe("an edge that moves between subtree drains", () => {
  // QEMU's test_graph_change_drain_subtree: a and b share base; b's edge comes and goes inside drains.
  it("joins those of its new parent, and leaves them when it goes", () => {
    const { outcome } = runDrawn("a -backing-> base\nb", function* ({ node, counters }) {
      for (let i = 0; i < 3; i++) yield* bdrvSubtreeDrainedBegin(node("a"), NO_SITE);
      for (let i = 0; i < 2; i++) yield* bdrvSubtreeDrainedBegin(node("b"), NO_SITE);
      expect(counters()).toBe("base 3/3/3, a 3/3/3, b 2/2/2");
      bdrvRef(node("base"));
      yield* bdrvSetBackingHd(node("b"), node("base"));
      expect(counters()).toBe("base 5/5/5, a 5/3/5, b 5/2/5");
      yield* bdrvSetBackingHd(node("b"), null);
      expect(counters()).toBe("base 3/3/3, a 3/3/3, b 2/2/2");
      yield* bdrvSetBackingHd(node("b"), node("base"));
      for (let i = 0; i < 2; i++) yield* bdrvSubtreeDrainedEnd(node("b"), NO_SITE);
      expect(counters()).toBe("base 3/3/3, a 3/3/3, b 3/0/3");
      for (let i = 0; i < 3; i++) yield* bdrvSubtreeDrainedEnd(node("a"), NO_SITE);
      expect(counters()).toBe("base 0/0/0, a 0/0/0, b 0/0/0");
    });
    expect(outcome).toBe("ok");
  });
});

describe("an edge that comes to a drained subtree", () => {
  it("waits for the requests of its node, which the new parent's drain now covers", () => {
    const { log } = runDrawn(
      "b\nbase",
      function* ({ node, log }): Polls<void> {
        const blk = yield* blkNewWithBs(node("base"));
        yield* bdrvSubtreeDrainedBegin(node("b"), NO_SITE);
        blkAioPreadv(blk, 0, 512, qiovOf(hostAllocate(512)), (ret) => {
          log.push(`read=${ret}`);
          return undefined;
        });
        log.push("attach");
        bdrvRef(node("base"));
        yield* bdrvSetBackingHd(node("b"), node("base"));
        log.push("attached");
        yield* bdrvSubtreeDrainedEnd(node("b"), NO_SITE);
      },
      // Patch 10 drains both sides before, patch 11 would object to the rest.
      { without: [10, 11] },
    );
    expect(log).toBe("attach read=0 attached");
  });
});

describe("the unlocked twins", () => {
  interface Way {
    readonly lock: LockRegime;
    readonly without: readonly PatchNumber[];
    readonly holdsLock: boolean;
  }

  function drainFromMain({ lock, without, holdsLock }: Way): string {
    const run = runDrawn(
      "a",
      function* ({ node }): Polls<void> {
        const blk = yield* blkNewWithBs(node("a"), { allowAioContextChange: true });
        const ctx = iothreadCreate("io");
        yield* blkSetAioContext(blk, ctx);
        const reader = guest(ctx, function* (): Co<void> {
          yield* blkCoPreadv(blk, 0, 512, qiovOf(hostAllocate(512)));
        });
        yield* sleepMain(READ_NS / 2);
        if (holdsLock) yield* aioContextAcquire(ctx);
        yield* bdrvSubtreeDrainedBeginUnlocked(node("a"), NO_SITE);
        yield* bdrvSubtreeDrainedEndUnlocked(node("a"), NO_SITE);
        if (holdsLock) aioContextRelease(ctx);
        yield* joinGuests(reader);
      },
      { lock, without, ends: "any" },
    );
    return run.assertion === "" ? run.outcome : run.assertion;
  }

  const released = "aio_context_release: the lock is held by another thread";

  it.each([
    ["no lock regime", { lock: "none", without: [], holdsLock: false }, "ok"],
    ["the lock not held", { lock: "aio", without: [], holdsLock: false }, "ok"],
    // The iothread's coroutine needs the lock that main keeps while it waits.
    ["the lock held", { lock: "aio", without: [], holdsLock: true }, "deadlock"],
    [
      "the lock not held, without patch 7",
      { lock: "aio", without: [7], holdsLock: false },
      released,
    ],
    [
      "the lock not held, without patch 1",
      { lock: "aio", without: [1], holdsLock: false },
      released,
    ],
    ["the lock held, without patch 7", { lock: "aio", without: [7], holdsLock: true }, "ok"],
  ] as const)("with %s", (_name, way, expected) => {
    expect(drainFromMain(way)).toBe(expected);
  });
});
