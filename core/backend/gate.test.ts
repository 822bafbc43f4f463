import { describe, expect, it } from "vitest";
import { nullAioDriver, nullOpen } from "../drivers/index.ts";
import { EventLog } from "../graph/test-support.ts";
import {
  bdrvDrainAllBegin,
  bdrvDrainAllEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  qiovOf,
} from "../io/index.ts";
import { guest, joinGuests, NO_SITE, runDrawn, sleepMain } from "../io/test-support.ts";
import type { EventName } from "../probe/index.ts";
import { type Co, hostAllocate, iothreadCreate, machine, type Polls } from "../sched/index.ts";
import {
  type BlkOptions,
  type BlockBackend,
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkCoTruncate,
  blkGetlength,
  blkNewWithBs,
  blkSetAioContext,
} from "./index.ts";

const buffer = () => qiovOf(hostAllocate(512));

function reader(blk: BlockBackend, log: string[], ctx = machine.mainContext) {
  return guest(ctx, function* (): Co<void> {
    log.push(`read=${yield* blkCoPreadv(blk, 0, 512, buffer())}`);
  });
}

const GATE: readonly EventName[] = [
  "drain_end",
  "gate_read",
  "req_queued",
  "req_wake",
  "req_resumed",
  "blk_in_flight_inc",
  "blk_in_flight_dec",
  "blk_quiesce",
  "blk_unquiesce",
];

describe("the gate", () => {
  it("keeps a request of a drained section until the section's end", () => {
    const probe = new EventLog(GATE);
    const { log } = runDrawn(
      "a",
      function* ({ node, log }): Polls<void> {
        const blk = yield* blkNewWithBs(node("a"));
        probe.lines.length = 0;
        yield* bdrvDrainedBegin(node("a"), NO_SITE);
        const waiting = reader(blk, log);
        log.push(`queued in_flight=${blk.inFlight}`);
        yield* bdrvDrainedEnd(node("a"), NO_SITE);
        log.push("ended");
        yield* joinGuests(waiting);
      },
      { probe },
    );
    expect(log).toBe("queued in_flight=0 ended read=0");
    expect(probe.lines).toMatchInlineSnapshot(`
      [
        "blk_quiesce blk=1 new=1 section=2 edge=1",
        "blk_in_flight_inc blk=1 new=1",
        "gate_read blk=1 value=1 queuing=1",
        "blk_in_flight_dec blk=1 new=0",
        "req_queued blk=1 co=4",
        "drain_end section=2 -",
        "blk_unquiesce blk=1 new=0 section=2 edge=1",
        "req_wake blk=1 co=4",
        "req_resumed blk=1 co=4",
        "blk_in_flight_inc blk=1 new=1",
        "gate_read blk=1 value=0 queuing=1",
        "blk_in_flight_dec blk=1 new=0",
      ]
    `);
  });

  it("opens with the last level, not before", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"));
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      yield* bdrvDrainAllBegin(NO_SITE);
      const waiting = reader(blk, log);
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
      yield* sleepMain(1000);
      log.push(`still ${blk.queuedRequests.entries.length}`);
      yield* bdrvDrainAllEnd(NO_SITE);
      yield* joinGuests(waiting);
    });
    expect(log).toBe("still 1 read=0");
  });

  it("lets requests through when queuing is disabled", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"));
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      blk.disableRequestQueuing = true;
      yield* joinGuests(reader(blk, log));
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
    });
    expect(log).toBe("read=0");
  });

  it.each([
    ["read", (blk: BlockBackend) => blkCoPreadv(blk, 0, 512, buffer())],
    ["write", (blk: BlockBackend) => blkCoPwritev(blk, 0, 512, buffer())],
    ["zeroes", (blk: BlockBackend) => blkCoPwriteZeroes(blk, 0, 512)],
    ["discard", (blk: BlockBackend) => blkCoPdiscard(blk, 0, 512)],
    ["flush", (blk: BlockBackend) => blkCoFlush(blk)],
  ])("keeps a %s", (_name, request) => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"));
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      const waiting = guest(machine.mainContext, function* (): Co<void> {
        log.push(String(yield* request(blk)));
      });
      yield* sleepMain(1000);
      log.push("end");
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
      yield* joinGuests(waiting);
    });
    expect(log).toBe("end 0");
  });

  it("does not keep a truncate nor a question for the length", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"));
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      log.push(String(blkGetlength(blk)));
      const truncating = guest(machine.mainContext, function* (): Co<void> {
        log.push(String(yield* blkCoTruncate(blk, 512)));
      });
      yield* joinGuests(truncating);
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
    });
    // The test driver cannot truncate: the point is that it was asked inside the section.
    expect(log).toBe("65536 -95");
  });

  it("wakes requests of another context there", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"), { allowAioContextChange: true });
      const ctx = iothreadCreate("io");
      yield* blkSetAioContext(blk, ctx);
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      const waiting = guest(ctx, function* (): Co<void> {
        yield* blkCoPreadv(blk, 0, 512, buffer());
        log.push(`read in ${machine.currentContext?.name}`);
      });
      yield* sleepMain(10);
      expect(blk.queuedRequests.entries.length).toBe(1);
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
      yield* joinGuests(waiting);
    });
    expect(log).toBe("read in io");
  });
});

describe("a request that was woken when the gate is closed again", () => {
  /**
   * Main ends a section and begins the next at once; the request, in an iothread, wakes up inside the second. A node without
   * drain hooks: the wait for one would give the request its chance in between.
   */
  function* twoSections(log: string[], options: BlkOptions): Polls<void> {
    const ctx = iothreadCreate("io");
    const bs = yield* nullOpen(nullAioDriver, { nodeName: "n", latencyNs: 10, ctx });
    const blk = yield* blkNewWithBs(bs, options);
    yield* bdrvDrainedBegin(bs, NO_SITE);
    const waiting = reader(blk, log, ctx);
    yield* sleepMain(10);
    yield* bdrvDrainedEnd(bs, NO_SITE);
    yield* bdrvDrainedBegin(bs, NO_SITE);
    yield* sleepMain(1000);
    log.push(`inside: ${blk.queuedRequests.entries.length} queued`);
    yield* bdrvDrainedEnd(bs, NO_SITE);
    yield* joinGuests(waiting);
  }

  it("waits again", () => {
    const { log } = runDrawn("a", ({ log }) => twoSections(log, {}));
    expect(log).toBe("inside: 1 queued read=0");
  });

  it("goes on into the second section as in QEMU 7.2, when asked to wait only once", () => {
    const { log } = runDrawn("a", ({ log }) => twoSections(log, { waitsOnce: true }));
    expect(log).toBe("read=0 inside: 0 queued");
  });
});
