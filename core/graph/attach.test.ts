import { describe, expect, it } from "vitest";
import { must } from "../base/index.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "../io/index.ts";
import { Klass } from "../probe/index.ts";
import { iothreadCreate, machine, type Polls } from "../sched/index.ts";
import {
  BDRV_CHILD_DATA,
  type BdrvChildClass,
  bdrvAddChild,
  bdrvAttachChild,
  bdrvDelChild,
  bdrvOpenDriver,
  bdrvRef,
  bdrvRootAttachChild,
  bdrvRootUnrefChild,
  bdrvTryChangeAioContext,
  bdrvUnrefChild,
  edgeOf,
  settle,
} from "./index.ts";
import { EventLog, plainDriver, runGraph } from "./test-support.ts";

const NO_SITE = 0 as never;

/** A parent that is no node: it stays in its context unless `movable`. */
function rootOf(ctx: typeof machine.mainContext, movable: boolean) {
  const root = { quiescedFor: [] as never[], ctx };
  const follow: BdrvChildClass["changeAioContext"] = (_child, to) => {
    root.ctx = to;
    return undefined;
  };
  const klass: BdrvChildClass = {
    name: "child_root",
    klass: Klass.child_root,
    stayAtNode: false,
    parentIsBds: false,
    getParentDesc: () => "a test's root",
    getParentAioContext: () => root.ctx,
    ...(movable ? { changeAioContext: follow } : {}),
    drainedBegin: (_child, section) => void root.quiescedFor.push(section as never) as undefined,
    drainedEnd: () => void root.quiescedFor.pop() as undefined,
  };
  return { root, spec: { name: "root", klass, role: BDRV_CHILD_DATA, opaque: root, parentId: 1 } };
}

describe("attaching and detaching", () => {
  it("drains the subtrees of both sides, begun parent first and ended in reverse (patch 10)", () => {
    const probe = new EventLog(["drain_begin", "drain_end", "list_insert", "list_remove"]);
    runGraph(
      "top\nlow",
      function* (node): Polls<void> {
        bdrvRef(node("low"));
        const edge = yield* bdrvAttachChild(node("top"), node("low"), "x", BDRV_CHILD_DATA);
        yield* bdrvUnrefChild(node("top"), edge);
      },
      { probe },
    );
    expect(probe.lines).toMatchInlineSnapshot(`
      [
        "drain_begin section=1 node=1 kind=2 bdrv_attach_child",
        "drain_begin section=2 node=2 kind=2 bdrv_attach_child",
        "list_insert list=1 owner=1 edge=1 bdrv_child_cb_attach",
        "list_insert list=2 owner=2 edge=1 bdrv_replace_child_noperm/link",
        "drain_end section=2 bdrv_attach_child",
        "drain_end section=1 bdrv_attach_child",
        "drain_begin section=3 node=2 kind=2 bdrv_detach_child",
        "list_remove list=2 owner=2 edge=1 bdrv_replace_child_noperm/unlink",
        "list_remove list=1 owner=1 edge=1 bdrv_child_cb_detach",
        "drain_end section=3 bdrv_detach_child",
      ]
    `);
  });

  it("drains nothing without patch 10", () => {
    const probe = new EventLog(["drain_begin"]);
    const run = runGraph(
      "top\nlow",
      function* (node): Polls<void> {
        bdrvRef(node("low"));
        yield* bdrvAttachChild(node("top"), node("low"), "x", BDRV_CHILD_DATA);
      },
      { probe, without: [10, 11] },
    );
    expect(run).toBe("top -x-> low\nlow");
    expect(probe.lines).toEqual([]);
  });

  it("a parent that comes to a drained node is drained as often", () => {
    runGraph("low", function* (node): Polls<void> {
      const { root, spec } = rootOf(machine.mainContext, false);
      yield* bdrvDrainedBegin(node("low"), NO_SITE);
      bdrvRef(node("low"));
      const edge = yield* bdrvRootAttachChild(node("low"), spec);
      expect(root.quiescedFor).toEqual(node("low").quiescedFor);
      yield* bdrvDrainedEnd(node("low"), NO_SITE);
      expect(root.quiescedFor).toEqual([]);
      yield* bdrvRootUnrefChild(edge);
      expect(node("low").rawParents.first).toBeNull();
    });
  });

  it("a quorum-like node takes and gives up children in a drained section", () => {
    const probe = new EventLog(["graph_op_begin", "drain_begin"]);
    const run = runGraph(
      "q:quorum -children.0-> a\nb",
      function* (node, graph): Polls<void> {
        yield* bdrvAddChild(node("q"), node("b"));
        const again = yield* settle(() => bdrvAddChild(node("q"), node("b")));
        expect(again).toMatchObject({ error: { message: "The node b already has a parent" } });
        yield* bdrvDelChild(node("q"), edgeOf(graph, "q", "children.0"));
        const last = yield* settle(() => bdrvDelChild(node("q"), edgeOf(graph, "q", "children.1")));
        expect(last.ok).toBe(false);
        const fixed = yield* settle(() => bdrvAddChild(node("a"), node("b")));
        expect(fixed).toMatchObject({
          error: { message: "The node a does not support adding a child" },
        });
      },
      { probe },
    );
    expect(run).toBe("a\nq -children.1-> b\nb");
    expect(probe.lines).toMatchInlineSnapshot(`
      [
        "graph_op_begin bdrv_add_child",
        "drain_begin section=3 node=2 kind=1 quorum_add_child",
        "graph_op_begin bdrv_attach_child",
        "drain_begin section=4 node=2 kind=2 bdrv_attach_child",
        "drain_begin section=5 node=3 kind=2 bdrv_attach_child",
        "graph_op_begin bdrv_del_child",
        "drain_begin section=6 node=2 kind=1 quorum_del_child",
        "graph_op_begin bdrv_unref_child",
        "graph_op_begin bdrv_root_unref_child",
        "drain_begin section=7 node=1 kind=2 bdrv_detach_child",
        "graph_op_begin bdrv_del_child",
      ]
    `);
  });
});

describe("contexts", () => {
  it("a node follows its parent into an iothread with its subtree, and comes back when it is detached", () => {
    runGraph("fmt -file-> disk", function* (node): Polls<void> {
      const ctx = iothreadCreate("io1");
      const { spec } = rootOf(ctx, false);
      bdrvRef(node("fmt"));
      const edge = yield* bdrvRootAttachChild(node("fmt"), spec);
      expect([node("fmt").aioContext, node("disk").aioContext]).toEqual([ctx, ctx]);
      yield* bdrvRootUnrefChild(edge);
      expect(node("fmt").aioContext).toBe(machine.mainContext);
      expect(node("disk").aioContext).toBe(machine.mainContext);
      expect(ctx.externalDisableCount).toBe(0);
    });
  });

  it("a parent follows its child when the child cannot come", () => {
    runGraph("low", function* (node): Polls<void> {
      const ctx = iothreadCreate("io1");
      bdrvRef(node("low"));
      yield* bdrvRootAttachChild(node("low"), rootOf(ctx, false).spec);
      const late = rootOf(machine.mainContext, true);
      bdrvRef(node("low"));
      yield* bdrvRootAttachChild(node("low"), late.spec);
      expect(late.root.ctx).toBe(ctx);
      // A new node above one in an iothread is born there.
      bdrvRef(node("low"));
      const bs = yield* bdrvOpenDriver(plainDriver, "top", {
        children: [{ name: "x", role: BDRV_CHILD_DATA, bs: node("low") }],
      });
      expect(bs.aioContext).toBe(ctx);
    });
  });

  it("two parents in two contexts cannot share a node, and nothing has moved", () => {
    const run = runGraph("low", function* (node): Polls<void> {
      const one = iothreadCreate("io1");
      const two = iothreadCreate("io2");
      bdrvRef(node("low"));
      const edge = yield* bdrvRootAttachChild(node("low"), rootOf(one, false).spec);
      bdrvRef(node("low"));
      const refused = yield* settle(() =>
        bdrvRootAttachChild(node("low"), rootOf(two, false).spec),
      );
      expect(refused).toMatchObject({
        error: { message: "Changing iothreads is not supported by a test's root" },
      });
      expect(node("low").refcnt).toBe(2);
      expect(node("low").aioContext).toBe(one);
      yield* bdrvRootUnrefChild(edge);
    });
    expect(run).toBe("low");
  });

  it("external handlers of a drained node stay disabled in its new context", () => {
    runGraph("low", function* (node): Polls<void> {
      const ctx = iothreadCreate("io1");
      yield* bdrvDrainedBegin(node("low"), NO_SITE);
      yield* bdrvTryChangeAioContext(node("low"), ctx, null);
      expect(machine.mainContext.externalDisableCount).toBe(0);
      expect(ctx.externalDisableCount).toBe(1);
      yield* bdrvTryChangeAioContext(node("low"), machine.mainContext, null);
      yield* bdrvDrainedEnd(node("low"), NO_SITE);
      expect(machine.mainContext.externalDisableCount).toBe(0);
      expect(must(machine.contexts[1], "io1").externalDisableCount).toBe(0);
    });
  });
});
