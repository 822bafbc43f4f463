import { describe, expect, it } from "vitest";
import { must } from "../base/index.ts";
import {
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
} from "../io/index.ts";
import type { PatchNumber, Polls } from "../sched/index.ts";
import { BDRV_CHILD_DATA, bdrvAttachChild, bdrvRef, bdrvSetBackingHd, edgeOf } from "./index.ts";
import { bdrvReplaceChildNoperm } from "./replace-child.ts";
import { EventLog, runGraph, runGraphToEnd } from "./test-support.ts";

const NO_SITE = 0 as never;

/** The edits of one operation without drains of its own, inside a drain of all three nodes. */
function editsOf(without: readonly PatchNumber[], target: string | null): string[] {
  const probe = new EventLog(["list_insert", "list_remove", "list_set"]);
  const drawing = "top -x-> old\nnew";
  runGraph(
    drawing,
    function* (node, graph): Polls<void> {
      for (const name of ["top", "old", "new"]) yield* bdrvDrainedBegin(node(name), NO_SITE);
      probe.lines.length = 0;
      const edge = edgeOf(graph, "top", "x");
      yield* bdrvReplaceChildNoperm(edge, target === null ? null : node(target));
      if (target === null) yield* bdrvReplaceChildNoperm(edge, node("old"));
      else bdrvRef(node(target));
      for (const name of ["top", "old", "new"]) yield* bdrvDrainedEnd(node(name), NO_SITE);
    },
    { probe, without },
  );
  return probe.lines;
}

describe("bdrv_replace_child_noperm edits", () => {
  it("the parents first and the children second when an edge leaves, the other way round when it comes", () => {
    expect(editsOf([], "new")).toMatchInlineSnapshot(`
      [
        "list_remove list=2 owner=1 edge=1 bdrv_replace_child_noperm/unlink",
        "list_remove list=1 owner=2 edge=1 bdrv_child_cb_detach",
        "list_set list=5 owner=1 value=3 bdrv_replace_child_noperm",
        "list_insert list=1 owner=2 edge=1 bdrv_child_cb_attach",
        "list_insert list=2 owner=3 edge=1 bdrv_replace_child_noperm/link",
      ]
    `);
  });

  it("the children first when an edge leaves, without patch 3", () => {
    expect(editsOf([3], "new")).toMatchInlineSnapshot(`
      [
        "list_remove list=1 owner=2 edge=1 bdrv_child_cb_detach",
        "list_remove list=2 owner=1 edge=1 bdrv_replace_child_noperm/unlink",
        "list_set list=5 owner=1 value=3 bdrv_replace_child_noperm",
        "list_insert list=1 owner=2 edge=1 bdrv_child_cb_attach",
        "list_insert list=2 owner=3 edge=1 bdrv_replace_child_noperm/link",
      ]
    `);
  });

  it("the parents first when an edge comes, without patch 4", () => {
    expect(editsOf([4], "new")).toMatchInlineSnapshot(`
      [
        "list_remove list=2 owner=1 edge=1 bdrv_replace_child_noperm/unlink",
        "list_remove list=1 owner=2 edge=1 bdrv_child_cb_detach",
        "list_set list=5 owner=1 value=3 bdrv_replace_child_noperm",
        "list_insert list=2 owner=3 edge=1 bdrv_replace_child_noperm/link",
        "list_insert list=1 owner=2 edge=1 bdrv_child_cb_attach",
      ]
    `);
  });

  it("nothing but the edge itself in between, when it is emptied and filled again", () => {
    expect(editsOf([], null).filter((line) => line.startsWith("list_set"))).toEqual([
      "list_set list=5 owner=1 value=0 bdrv_replace_child_noperm",
      "list_set list=5 owner=1 value=1 bdrv_replace_child_noperm",
    ]);
  });
});

describe("bdrv_replace_child_noperm keeps the balance of drains", () => {
  const drawing = "top -x-> old\nnew";

  it.each([
    { oldLevels: 0, newLevels: 0 },
    { oldLevels: 0, newLevels: 2 },
    { oldLevels: 2, newLevels: 0 },
    { oldLevels: 1, newLevels: 3 },
    { oldLevels: 3, newLevels: 1 },
    { oldLevels: 2, newLevels: 2 },
  ])(
    "from a node drained $oldLevels times to one drained $newLevels times",
    ({ oldLevels, newLevels }) => {
      const run = runGraph(drawing, function* (node, graph): Polls<void> {
        // The parent is drained for the assertion of patch 11.
        yield* bdrvDrainedBegin(node("top"), NO_SITE);
        yield* bdrvDrainedBegin(node("old"), NO_SITE);
        yield* bdrvDrainedBegin(node("new"), NO_SITE);
        for (let i = 0; i < oldLevels; i++) yield* bdrvDrainedBegin(node("old"), NO_SITE);
        for (let i = 0; i < newLevels; i++) yield* bdrvDrainedBegin(node("new"), NO_SITE);
        const edge = edgeOf(graph, "top", "x");
        expect(node("top").quiesceCounter).toBe(1 + 1 + oldLevels);
        bdrvRef(node("new"));
        yield* bdrvReplaceChildNoperm(edge, node("new"));
        expect(edge.quiescedFor.slice().sort()).toEqual(node("new").quiescedFor);
        expect(node("top").quiesceCounter).toBe(1 + 1 + newLevels);
        for (let i = 0; i <= oldLevels; i++) yield* bdrvDrainedEnd(node("old"), NO_SITE);
        expect(node("top").quiesceCounter).toBe(1 + 1 + newLevels);
        for (let i = 0; i <= newLevels; i++) yield* bdrvDrainedEnd(node("new"), NO_SITE);
        expect(node("top").quiesceCounter).toBe(1);
        yield* bdrvDrainedEnd(node("top"), NO_SITE);
        node("old").refcnt--;
      });
      expect(run).toBe("old\ntop -x-> new\nnew");
    },
  );

  it("says for whom a level is held that the parent keeps, up to the top", () => {
    const probe = new EventLog(["quiesce_transfer"]);
    runGraph(
      "high -y-> top\ntop -x-> old\nnew",
      function* (node, graph): Polls<void> {
        yield* bdrvDrainedBegin(node("old"), NO_SITE);
        yield* bdrvDrainedBegin(node("new"), NO_SITE);
        bdrvRef(node("new"));
        yield* bdrvReplaceChildNoperm(edgeOf(graph, "top", "x"), node("new"));
        yield* bdrvDrainedEnd(node("old"), NO_SITE);
        expect(node("high").quiescedFor).toEqual(node("new").quiescedFor);
        yield* bdrvDrainedEnd(node("new"), NO_SITE);
        expect(node("high").quiesceCounter).toBe(0);
        node("old").refcnt--;
      },
      { probe },
    );
    expect(probe.lines).toEqual([
      "quiesce_transfer owner=1 id=2 from=5 to=6",
      "quiesce_transfer owner=1 id=3 from=5 to=6",
    ]);
  });

  it("asserts that the lists may be edited (patch 11), and does not without it", () => {
    const run = (without: readonly PatchNumber[]) =>
      runGraphToEnd(
        drawing,
        function* (_node, graph): Polls<void> {
          yield* bdrvReplaceChildNoperm(edgeOf(graph, "top", "x"), null);
        },
        { without },
      );
    expect(run([])).toMatchObject({
      outcome: "assertion",
      assertion: "qatomic_read(&bs->quiesce_counter) > 0",
    });
    const off = run([11]);
    expect(off).toMatchObject({ outcome: "ok", text: "old\ntop\nnew" });
  });
});

describe("subtree drains", () => {
  it("add up when a node that is drained twice gets a backing file of one drained three times", () => {
    //   a [3]    b [2]           a [3]   b [2]
    //     |               =>        \     /           with each edge the subtree drains of its parent arrive below,
    //   base                         base             and what is drained below reaches the other parent
    runGraph("a -backing-> base\nb", function* (node): Polls<void> {
      const counters = (): string =>
        ["a", "b", "base"].map((name) => node(name).quiesceCounter).join("/");
      for (let i = 0; i < 3; i++) yield* bdrvSubtreeDrainedBegin(node("a"), NO_SITE);
      for (let i = 0; i < 2; i++) yield* bdrvSubtreeDrainedBegin(node("b"), NO_SITE);
      expect(counters()).toBe("3/2/3");
      yield* bdrvSetBackingHd(node("b"), node("base"));
      expect(counters()).toBe("5/5/5");
      yield* bdrvSetBackingHd(node("b"), null);
      expect(counters()).toBe("3/2/3");
      yield* bdrvSetBackingHd(node("b"), node("base"));
      expect(counters()).toBe("5/5/5");
      for (let i = 0; i < 2; i++) yield* bdrvSubtreeDrainedEnd(node("b"), NO_SITE);
      expect(counters()).toBe("3/3/3");
      for (let i = 0; i < 3; i++) yield* bdrvSubtreeDrainedEnd(node("a"), NO_SITE);
      expect(counters()).toBe("0/0/0");
    });
  });

  it("reach a child that is attached inside", () => {
    const run = runGraph("top\nlow", function* (node): Polls<void> {
      yield* bdrvSubtreeDrainedBegin(node("top"), NO_SITE);
      bdrvRef(node("low"));
      const edge = yield* bdrvAttachChild(node("top"), node("low"), "x", BDRV_CHILD_DATA);
      expect(node("low").recursiveQuiesceCounter).toBe(1);
      expect(edge.parentQuiesceCounter).toBe(0);
      yield* bdrvSubtreeDrainedEnd(node("top"), NO_SITE);
    });
    expect(must(run.split("\n")[0], "a line")).toBe("top -x-> low");
  });
});
