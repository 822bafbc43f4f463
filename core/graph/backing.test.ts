import { describe, expect, it } from "vitest";
import { EINVAL } from "../base/index.ts";
import type { PatchNumber, Polls } from "../sched/index.ts";
import { BlockError, bdrvSetBackingHd, edgeOf, settle } from "./index.ts";
import { EventLog, plainDriver, runGraph, runGraphToEnd } from "./test-support.ts";

const EDITS = [
  "graph_op_begin",
  "graph_op_end",
  "tran_action_begin",
  "drain_begin",
  "drain_end",
  "list_insert",
  "list_remove",
] as const;

/** Exchange the backing file; `refuse` fails the transaction after the edit. */
function setBacking(without: readonly PatchNumber[], refuse = false) {
  const probe = new EventLog(EDITS);
  const run = runGraphToEnd(
    "top -backing-> old\nnew",
    function* (node): Polls<void> {
      yield* settle(() =>
        bdrvSetBackingHd(node("top"), refuse ? null : node("new"), () => {
          if (refuse) throw new BlockError(EINVAL, "refused");
        }),
      );
    },
    { probe, without },
  );
  return { ...run, lines: probe.lines };
}

describe("bdrv_set_backing_hd", () => {
  it("exchanges the edge inside its drains", () => {
    const { text, lines } = setBacking([]);
    expect(text).toBe("old\ntop -backing-> new\nnew");
    expect(lines).toMatchInlineSnapshot(`
      [
        "graph_op_begin bdrv_set_backing_hd",
        "drain_begin section=3 node=2 kind=1 bdrv_set_backing_hd",
        "drain_begin section=4 node=2 kind=2 bdrv_set_backing_hd",
        "drain_begin section=5 node=3 kind=2 bdrv_set_backing_hd",
        "list_remove list=2 owner=1 edge=1 bdrv_replace_child_noperm/unlink",
        "list_remove list=1 owner=2 edge=1 bdrv_child_cb_detach",
        "list_insert list=1 owner=2 edge=2 bdrv_child_cb_attach",
        "list_insert list=2 owner=3 edge=2 bdrv_replace_child_noperm/link",
        "tran_action_begin tran=2 phase=1 bdrv_remove_child",
        "tran_action_begin tran=2 phase=1 bdrv_replace_child",
        "drain_end section=5 bdrv_set_backing_hd",
        "drain_end section=4 bdrv_set_backing_hd",
        "drain_end section=3 bdrv_set_backing_hd",
        "graph_op_end bdrv_set_backing_hd",
      ]
    `);
  });

  it("drains only the overlay, as 7.2 does, without patch 10", () => {
    const { text, lines } = setBacking([10, 11]);
    expect(text).toBe("old\ntop -backing-> new\nnew");
    expect(lines.filter((line) => line.startsWith("drain_begin"))).toEqual([
      "drain_begin section=1 node=2 kind=1 bdrv_set_backing_hd",
    ]);
  });

  it.each([
    // The old backing file has lost its subtree drain when its parents are edited.
    { without: [3] as const, refuse: false },
    // It gets it back only after its parents were edited again.
    { without: [4] as const, refuse: true },
  ])(
    "is stopped by patch 11 without patch $without.0 (refused: $refuse)",
    ({ without, refuse }) => {
      const run = setBacking(without, refuse);
      expect(run.outcome).toBe("assertion");
      expect(run.assertion).toBe("qatomic_read(&bs->quiesce_counter) > 0");
      expect(setBacking([...without, 11], refuse).outcome).toBe("ok");
    },
  );

  it("puts the old edge back when the transaction is refused after the edit", () => {
    const { text, lines } = setBacking([], true);
    expect(text).toBe("old\ntop -backing-> old\nnew");
    expect(lines.filter((line) => /tran|list/.test(line))).toMatchInlineSnapshot(`
      [
        "list_remove list=2 owner=1 edge=1 bdrv_replace_child_noperm/unlink",
        "list_remove list=1 owner=2 edge=1 bdrv_child_cb_detach",
        "tran_action_begin tran=2 phase=2 bdrv_replace_child",
        "list_insert list=1 owner=2 edge=1 bdrv_child_cb_attach",
        "list_insert list=2 owner=1 edge=1 bdrv_replace_child_noperm/link",
      ]
    `);
  });

  it("rolls back by itself when the new backing file would be a cycle", () => {
    const run = runGraph("high -file-> top\ntop -backing-> old", function* (node): Polls<void> {
      const outcome = yield* settle(() => bdrvSetBackingHd(node("top"), node("high")));
      expect(outcome).toMatchObject({
        ok: false,
        error: { message: "Making 'high' a backing child of 'top' would create a cycle" },
      });
    });
    expect(run).toBe("old\ntop -backing-> old\nhigh -file-> top");
  });

  it("refuses a frozen edge, and a driver without backing files", () => {
    runGraph("top -backing-> old\nflat:plain", function* (node, graph): Polls<void> {
      edgeOf(graph, "top", "backing").frozen = true;
      const frozen = yield* settle(() => bdrvSetBackingHd(node("top"), null));
      expect(frozen).toMatchObject({
        error: { message: "Cannot change frozen 'backing' link from 'top' to 'old'" },
      });
      expect(node("flat").drv).toBe(plainDriver);
      const plain = yield* settle(() => bdrvSetBackingHd(node("flat"), node("old")));
      expect(plain).toMatchObject({
        error: { message: "Driver 'plain' of node 'flat' does not support backing files" },
      });
      edgeOf(graph, "top", "backing").frozen = false;
    });
  });
});
