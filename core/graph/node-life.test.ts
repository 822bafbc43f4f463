import { describe, expect, it } from "vitest";
import { bdrvDrainAllBegin, bdrvDrainAllEnd } from "../io/index.ts";
import { machine, type Polls } from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import {
  assertGraphInvariants,
  BDRV_CHILD_COW,
  BDRV_CHILD_IMAGE,
  BlockError,
  bdrvAllStates,
  bdrvFindNode,
  bdrvOpenDriver,
  bdrvRef,
  bdrvUnref,
  graphToText,
  settle,
} from "./index.ts";
import { EventLog, formatDriver, plainDriver, runGraph } from "./test-support.ts";

const NO_SITE = 0 as never;

describe("a node", () => {
  it("dies with its last reference, and with it the children that nobody else keeps", () => {
    const run = runGraph("top -file-> disk -backing-> base", function* (node): Polls<void> {
      for (const name of ["disk", "top"]) yield* bdrvUnref(node(name));
      expect(bdrvAllStates()).toEqual([node("base")]);
      expect(node("top").closed && node("disk").closed).toBe(true);
    });
    expect(run).toBe("base");
  });

  it("is closed inside a drained section of its own", () => {
    const probe = new EventLog(["bs_close", "bs_free", "drain_begin", "drain_end", "list_remove"]);
    runGraph(
      "top -file-> disk",
      function* (node): Polls<void> {
        yield* bdrvUnref(node("top"));
      },
      { probe },
    );
    expect(probe.lines).toMatchInlineSnapshot(`
      [
        "bs_close node=2",
        "drain_begin section=3 node=2 kind=1 bdrv_close",
        "drain_begin section=4 node=2 kind=1 bdrv_close",
        "drain_end section=4 bdrv_close",
        "drain_begin section=5 node=1 kind=2 bdrv_detach_child",
        "list_remove list=2 owner=1 edge=1 bdrv_replace_child_noperm/unlink",
        "list_remove list=1 owner=2 edge=1 bdrv_child_cb_detach",
        "drain_end section=5 bdrv_detach_child",
        "drain_end section=3 bdrv_close",
        "bs_free node=2",
      ]
    `);
  });

  it("gets a generated name, and a name only once", () => {
    runToOk(function* (): Polls<void> {
      const one = yield* bdrvOpenDriver(plainDriver, "");
      expect(one.nodeName).toBe("#block001");
      yield* bdrvOpenDriver(plainDriver, "disk");
      const again = yield* settle(() => bdrvOpenDriver(plainDriver, "disk"));
      expect(again).toMatchObject({ error: { message: "Duplicate nodes with node-name='disk'" } });
    });
  });

  it("that cannot have one of its children goes again, with all of them", () => {
    runToOk(function* (): Polls<void> {
      const a = yield* bdrvOpenDriver(plainDriver, "a");
      const b = yield* bdrvOpenDriver(plainDriver, "b");
      bdrvRef(a);
      const b2 = yield* bdrvOpenDriver(formatDriver, "over-b", {
        children: [{ name: "file", role: BDRV_CHILD_IMAGE, bs: b }],
      });
      const children = [
        { name: "file", role: BDRV_CHILD_IMAGE, bs: a },
        { name: "backing", role: BDRV_CHILD_COW, bs: b2 },
      ];
      const failing = { ...formatDriver, getlength: () => refuse() };
      const outcome = yield* settle(() => bdrvOpenDriver(failing, "top", { children }));
      expect(outcome.ok).toBe(false);
      expect(graphToText()).toBe("a");
      yield* bdrvUnref(a);
      expect(bdrvFindNode("a")).toBeNull();
    });
  });
});

/** Run without a drawing. */
function runToOk(body: () => Polls<void>): void {
  expect(runMain(body).outcome).toBe("ok");
}

function refuse(): number {
  throw new BlockError(5, "cannot tell its length");
}

describe("inside a drain of everything", () => {
  it("a node is born drained, and loses that level when the drain ends", () => {
    const run = runGraph("a", function* (): Polls<void> {
      yield* bdrvDrainAllBegin(NO_SITE);
      yield* bdrvDrainAllBegin(NO_SITE);
      const bs = yield* bdrvOpenDriver(plainDriver, "b");
      expect(graphToText()).toBe("a[2]\nb[2]");
      assertGraphInvariants(bdrvAllStates(), 2);
      yield* bdrvDrainAllEnd(NO_SITE);
      yield* bdrvDrainAllEnd(NO_SITE);
      expect(bs.quiesceCounter).toBe(0);
      expect(machine.mainContext.externalDisableCount).toBe(0);
    });
    expect(run).toBe("a\nb");
  });

  it("a node that dies ends the levels that nobody will end for it", () => {
    const run = runGraph("a\nb", function* (node): Polls<void> {
      yield* bdrvDrainAllBegin(NO_SITE);
      yield* bdrvUnref(node("b"));
      expect(node("b").quiesceCounter).toBe(0);
      yield* bdrvDrainAllEnd(NO_SITE);
      expect(machine.mainContext.externalDisableCount).toBe(0);
    });
    expect(run).toBe("a");
  });
});
