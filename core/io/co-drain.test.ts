import { describe, expect, it } from "vitest";
import { blkCoPreadv, blkNewWithBs, blkSetAioContext } from "../backend/index.ts";
import { edgeOf } from "../graph/index.ts";
import { EventLog } from "../graph/test-support.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  type Co,
  hostAllocate,
  iothreadCreate,
  machine,
  type PatchNumber,
  type Polls,
  qemuCoSleepNs,
} from "../sched/index.ts";
import {
  bdrvCoDrain,
  bdrvCoDrainedBegin,
  bdrvCoDrainedBeginNoPoll,
  bdrvCoDrainedEnd,
  bdrvCoParentDrainedBeginSingle,
  bdrvDecInFlight,
  bdrvDrainedEnd,
  bdrvIncInFlight,
  bdrvParentDrainedEndSingle,
  qiovOf,
} from "./index.ts";
import {
  type DrainTest,
  guest,
  joinGuests,
  NO_SITE,
  READ_NS,
  runDrawn,
  sleepMain,
} from "./test-support.ts";

describe("a coroutine that drains", () => {
  it("hands off: counter up, bottom half in the node's context, counter down, drain, and only then goes on", () => {
    const probe = new EventLog([
      "drain_begin",
      "bs_in_flight_inc",
      "bs_in_flight_dec",
      "bs_quiesce",
      "drain_poll_end",
      "drain_begun",
    ]);
    const { outcome } = runDrawn(
      "a",
      function* ({ node }): Polls<void> {
        const drainer = guest(machine.mainContext, () => bdrvCoDrainedBegin(node("a"), NO_SITE));
        yield* joinGuests(drainer);
      },
      { probe },
    );
    expect(outcome).toBe("ok");
    expect(probe.lines).toEqual([
      "drain_begin section=1 node=1 kind=1 -",
      "bs_in_flight_inc node=1 new=1",
      "bs_in_flight_dec node=1 new=0",
      "bs_quiesce node=1 new=1 section=1 edge=0",
      // The driver's hook.
      "bs_in_flight_inc node=1 new=1",
      "bs_in_flight_dec node=1 new=0",
      "drain_poll_end section=1",
      "drain_begun section=1",
    ]);
  });

  it("in an iothread drains its own node there, requests of others included", () => {
    const { log, outcome } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"), { allowAioContextChange: true });
      const ctx = iothreadCreate("io");
      yield* blkSetAioContext(blk, ctx);
      const reader = guest(ctx, function* (): Co<void> {
        log.push(`read=${yield* blkCoPreadv(blk, 0, 512, qiovOf(hostAllocate(512)))}`);
      });
      const drainer = guest(ctx, function* (): Co<void> {
        yield* qemuCoSleepNs(READ_NS / 2);
        log.push("begin");
        yield* bdrvCoDrainedBegin(node("a"), NO_SITE);
        log.push(`begun in_flight=${blk.inFlight} in ${machine.currentContext?.name}`);
        yield* bdrvCoDrainedEnd(node("a"), NO_SITE);
      });
      yield* joinGuests(reader, drainer);
      expect(node("a").quiesceCounter).toBe(0);
    });
    expect(log).toBe("begin read=0 begun in_flight=0 in io");
    expect(outcome).toBe("ok");
  });

  it("in main drains a node of an iothread", () => {
    const { log, outcome } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"), { allowAioContextChange: true });
      const ctx = iothreadCreate("io");
      yield* blkSetAioContext(blk, ctx);
      const drainer = guest(machine.mainContext, function* (): Co<void> {
        yield* bdrvCoDrain(node("a"), NO_SITE);
        log.push(`drained, back in ${machine.currentContext?.name}`);
      });
      yield* joinGuests(drainer);
    });
    expect(log).toBe("drained, back in main");
    expect(outcome).toBe("ok");
  });

  it("gives up the lock of the node's context meanwhile, and has it back afterwards", () => {
    const body = function* ({ node, log }: DrainTest): Polls<void> {
      const blk = yield* blkNewWithBs(node("a"), { allowAioContextChange: true });
      const ctx = iothreadCreate("io");
      yield* blkSetAioContext(blk, ctx);
      yield* aioContextAcquire(ctx);
      const drainer = guest(machine.mainContext, function* (): Co<void> {
        yield* bdrvCoDrainedBegin(node("a"), NO_SITE);
        log.push(`held by ${ctx.lock.owner?.name}`);
        yield* bdrvCoDrainedEnd(node("a"), NO_SITE);
      });
      yield* joinGuests(drainer);
      aioContextRelease(ctx);
      log.push(`depth ${ctx.lock.depth}`);
    };
    expect(runDrawn("a", body, { lock: "aio" }).log).toBe("held by main depth 0");
  });

  it("while its own request is in flight waits for itself for ever", () => {
    const body = function* ({ node }: DrainTest): Polls<void> {
      const drainer = guest(machine.mainContext, function* (): Co<void> {
        bdrvIncInFlight(node("a"));
        yield* bdrvCoDrainedBegin(node("a"), NO_SITE);
        bdrvDecInFlight(node("a"));
      });
      yield* joinGuests(drainer);
    };
    expect(runDrawn("a", body, { ends: "deadlock" }).outcome).toBe("deadlock");
  });

  it("without polling does not wait for requests", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"));
      const reader = guest(machine.mainContext, function* (): Co<void> {
        log.push(`read=${yield* blkCoPreadv(blk, 0, 512, qiovOf(hostAllocate(512)))}`);
      });
      const drainer = guest(machine.mainContext, function* (): Co<void> {
        yield* bdrvCoDrainedBeginNoPoll(node("a"), NO_SITE);
        log.push(`begun in_flight=${blk.inFlight}`);
      });
      yield* joinGuests(reader, drainer);
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
    });
    expect(log).toBe("begun in_flight=1 read=0");
  });

  it("loses no wake-up when main drains the same node meanwhile", () => {
    const { outcome } = runDrawn("a", function* ({ node }): Polls<void> {
      const drainer = guest(machine.mainContext, function* (): Co<void> {
        for (let i = 0; i < 5; i++) yield* bdrvCoDrain(node("a"), NO_SITE);
      });
      yield* sleepMain(1);
      yield* joinGuests(drainer);
      expect(node("a").quiesceCounter).toBe(0);
    });
    expect(outcome).toBe("ok");
  });
});

describe("a coroutine that quiesces the parent of an edge", () => {
  function quiesceParent(without: readonly PatchNumber[]): string {
    const run = runDrawn(
      "top -x-> disk",
      function* ({ node, graph, counters, log }): Polls<void> {
        const edge = edgeOf(graph, "top", "x");
        const editor = guest(machine.mainContext, () =>
          bdrvCoParentDrainedBeginSingle(edge, 1 as never),
        );
        yield* joinGuests(editor);
        log.push(counters());
        yield* bdrvParentDrainedEndSingle(edge);
        expect(node("top").quiesceCounter).toBe(0);
      },
      { without, ends: "any" },
    );
    return run.assertion === "" ? run.log : run.assertion;
  }

  it("is handed off with patch 2, and is QEMU's assertion without", () => {
    expect(quiesceParent([])).toMatch(/^disk 0\/0\/0, top 1\/0\//);
    expect(quiesceParent([2])).toBe("!qemu_in_coroutine()");
  });
});
