import { describe, expect, it } from "vitest";
import { blkNewWithBs } from "../backend/index.ts";
import { EventLog } from "../graph/test-support.ts";
import type { EventName } from "../probe/index.ts";
import { type Co, iothreadCreate, type Polls, qemuCoSleepNs } from "../sched/index.ts";
import {
  bdrvCoDrainedBegin,
  bdrvCoDrainedEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
} from "./index.ts";
import { type DrainTest, guest, joinGuests, NO_SITE, runDrawn, sleepMain } from "./test-support.ts";

const SECTION_EVENTS: readonly EventName[] = [
  "drain_begin",
  "bs_quiesce",
  "edge_quiesce",
  "blk_quiesce",
  "list_read",
  "bs_in_flight_read",
  "blk_in_flight_read",
  "drain_poll_end",
  "drain_begun",
  "drain_end",
  "bs_unquiesce",
  "blk_unquiesce",
  "drain_ended",
];

/** The events of `body`, without those of making the graph and its BlockBackend. */
function eventsOf(
  drawing: string,
  wanted: readonly EventName[],
  body: (test: DrainTest) => Polls<void>,
): string[] {
  const probe = new EventLog(wanted);
  runDrawn(
    drawing,
    function* (test): Polls<void> {
      yield* blkNewWithBs(test.node("top"));
      probe.lines.length = 0;
      yield* body(test);
    },
    { probe },
  );
  return probe.lines;
}

describe("a section", () => {
  it("names every level that it raises, the edge that carried it there, and every read that decides", () => {
    const events = eventsOf("top -x-> disk", SECTION_EVENTS, function* ({ node }) {
      yield* bdrvDrainedBegin(node("disk"), NO_SITE);
    });
    // The hooks of both nodes are in flight at first: the first evaluation ends at the first busy counter.
    expect(events).toMatchInlineSnapshot(`
      [
        "drain_begin section=4 node=1 kind=1 -",
        "bs_quiesce node=1 new=1 section=4 edge=0",
        "list_read list=2 owner=1 bdrv_parent_drained_begin",
        "edge_quiesce edge=1 new=1",
        "bs_quiesce node=2 new=1 section=4 edge=1",
        "list_read list=2 owner=2 bdrv_parent_drained_begin",
        "edge_quiesce edge=2 new=1",
        "blk_quiesce blk=1 new=1 section=4 edge=2",
        "list_read list=2 owner=1 bdrv_parent_drained_poll",
        "list_read list=2 owner=2 bdrv_parent_drained_poll",
        "blk_in_flight_read blk=1 value=0 section=4",
        "bs_in_flight_read node=2 value=1 section=4",
        "list_read list=2 owner=1 bdrv_parent_drained_poll",
        "list_read list=2 owner=2 bdrv_parent_drained_poll",
        "blk_in_flight_read blk=1 value=0 section=4",
        "bs_in_flight_read node=2 value=0 section=4",
        "bs_in_flight_read node=1 value=0 section=4",
        "drain_poll_end section=4",
        "drain_begun section=4",
      ]
    `);
  });

  it("ends from child to parent, in the node's section first and in its counter last", () => {
    const events = eventsOf(
      "top -x-> disk",
      ["drain_end", "bs_unquiesce", "blk_unquiesce", "edge_quiesce", "drain_ended"],
      function* ({ node }) {
        yield* bdrvDrainedBegin(node("disk"), NO_SITE);
        yield* bdrvDrainedEnd(node("disk"), NO_SITE);
      },
    );
    expect(
      events.filter((line) => !line.startsWith("edge_quiesce") || line.endsWith("new=0")),
    ).toMatchInlineSnapshot(`
      [
        "drain_end section=4 -",
        "edge_quiesce edge=1 new=0",
        "edge_quiesce edge=2 new=0",
        "blk_unquiesce blk=1 new=0 section=4 edge=2",
        "bs_unquiesce node=2 new=0 section=4 edge=1",
        "bs_unquiesce node=1 new=0 section=4 edge=0",
        "drain_ended section=4",
      ]
    `);
  });
});

describe("drained_end finds the section that it ends:", () => {
  const ENDS: readonly EventName[] = ["drain_begin", "drain_end"];

  it("the newest of its kind", () => {
    const events = eventsOf("top", ENDS, function* ({ node }) {
      yield* bdrvDrainedBegin(node("top"), NO_SITE);
      yield* bdrvSubtreeDrainedBegin(node("top"), NO_SITE);
      yield* bdrvDrainedEnd(node("top"), NO_SITE);
      yield* bdrvSubtreeDrainedEnd(node("top"), NO_SITE);
    });
    expect(events.filter((line) => line.startsWith("drain_end"))).toEqual([
      "drain_end section=2 -",
      "drain_end section=3 -",
    ]);
  });

  it("its owner's before a newer one of somebody else", () => {
    const events = eventsOf("top", ENDS, function* ({ node }) {
      const ctx = iothreadCreate("io");
      yield* bdrvDrainedBegin(node("top"), NO_SITE);
      yield* joinGuests(guest(ctx, () => bdrvCoDrainedBegin(node("top"), NO_SITE)));
      yield* bdrvDrainedEnd(node("top"), NO_SITE);
      yield* joinGuests(guest(ctx, () => bdrvCoDrainedEnd(node("top"), NO_SITE)));
    });
    expect(events).toEqual([
      "drain_begin section=2 node=1 kind=1 -",
      "drain_begin section=3 node=1 kind=1 -",
      "drain_end section=2 -",
      "drain_end section=3 -",
    ]);
  });

  it("its coroutine's before a newer one of another coroutine that belongs to no task either", () => {
    const events = eventsOf("top", ENDS, function* ({ node }) {
      const ctx = iothreadCreate("io");
      const bs = node("top");
      const older = guest(ctx, function* (): Co<void> {
        yield* bdrvCoDrainedBegin(bs, NO_SITE);
        yield* qemuCoSleepNs(1_000);
        yield* bdrvCoDrainedEnd(bs, NO_SITE);
      });
      yield* sleepMain(500);
      const newer = guest(ctx, function* (): Co<void> {
        yield* bdrvCoDrainedBegin(bs, NO_SITE);
        yield* qemuCoSleepNs(1_000);
        yield* bdrvCoDrainedEnd(bs, NO_SITE);
      });
      yield* joinGuests(older, newer);
    });
    expect(events).toEqual([
      "drain_begin section=2 node=1 kind=1 -",
      "drain_begin section=3 node=1 kind=1 -",
      "drain_end section=2 -",
      "drain_end section=3 -",
    ]);
  });

  it("one of its kind at all, when its owner has none", () => {
    const events = eventsOf("top", ENDS, function* ({ node }) {
      const ctx = iothreadCreate("io");
      yield* joinGuests(guest(ctx, () => bdrvCoDrainedBegin(node("top"), NO_SITE)));
      yield* bdrvDrainedEnd(node("top"), NO_SITE);
      expect(node("top").quiescedFor).toEqual([]);
    });
    expect(events[1]).toBe("drain_end section=2 -");
  });
});
