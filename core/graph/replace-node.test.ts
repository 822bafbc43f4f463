import { describe, expect, it } from "vitest";
import { must } from "../base/index.ts";
import type { Polls } from "../sched/index.ts";
import {
  BDRV_CHILD_DATA,
  bdrvAppend,
  bdrvAttachChild,
  bdrvDropFilter,
  bdrvFindNode,
  bdrvInsertNode,
  bdrvRef,
  bdrvReplaceChildBs,
  bdrvReplaceNode,
  bdrvUnref,
  edgeOf,
} from "./index.ts";
import { filterDriver, runGraph } from "./test-support.ts";

describe.each([
  { without: [] as const, name: "with all patches" },
  { without: [3, 4, 10, 11] as const, name: "without patches 3, 4, 10, 11" },
])("$name", ({ without }) => {
  const options = { without };

  it("bdrv_append puts a node above another and gives it the parents", () => {
    //   user             user
    //    |                |
    //   base     =>     overlay
    //                     |
    //                    base
    const run = runGraph(
      "user -file-> base\noverlay",
      function* (node): Polls<void> {
        yield* bdrvAppend(node("overlay"), node("base"));
      },
      options,
    );
    expect(run).toBe("base\nuser -file-> overlay\noverlay -backing-> base");
  });

  it("bdrv_append leaves an edge alone that would close a cycle (should-update-child)", () => {
    //   user   filter               user
    //     |      |                    |
    //     v   target     =>        filter --> target
    //   node <---+                    |          |
    //                                 +-> node <-+
    const run = runGraph(
      `target -backing-> node
       user -file-> node
       filter -target-> target`,
      function* (node): Polls<void> {
        yield* bdrvAppend(node("filter"), node("node"));
      },
      options,
    );
    expect(run).toMatchInlineSnapshot(`
      "node
      target -backing-> node
      user -file-> filter
      filter -backing-> node -target-> target"
    `);
  });

  it("bdrv_insert_node and bdrv_drop_filter undo one another", () => {
    const run = runGraph(
      "user -file-> base",
      function* (node): Polls<void> {
        const filter = yield* bdrvInsertNode(node("base"), filterDriver, "f");
        expect(must(node("user").rawFile, "user has a file").rawBs).toBe(filter);
        yield* bdrvDropFilter(filter);
        expect(filter.rawParents.first).toBeNull();
        expect(filter.rawChildren.first).toBeNull();
        yield* bdrvUnref(filter);
        expect(bdrvFindNode("f")).toBeNull();
      },
      options,
    );
    expect(run).toBe("base\nuser -file-> base");
  });

  it("bdrv_replace_node moves every parent, in the order of the list", () => {
    const run = runGraph(
      "a -file-> old\nb -backing-> old\nc -x-> old\nnew",
      function* (node): Polls<void> {
        yield* bdrvReplaceNode(node("old"), node("new"));
        const parents = node("new").rawParents.snapshot();
        expect(parents.map((edge) => edge.name)).toEqual(["file", "backing", "x"]);
        expect(node("old").refcnt).toBe(1);
        expect(node("new").refcnt).toBe(4);
      },
      options,
    );
    expect(run).toBe("old\na -file-> new\nb -backing-> new\nc -x-> new\nnew");
  });

  it("bdrv_replace_child_bs moves one edge, and the old node dies with it when nobody keeps it", () => {
    const run = runGraph(
      "user -file-> old\nnew",
      function* (node, graph): Polls<void> {
        yield* bdrvUnref(node("old"));
        yield* bdrvReplaceChildBs(edgeOf(graph, "user", "file"), node("new"));
        expect(node("old").closed).toBe(true);
      },
      options,
    );
    expect(run).toBe("user -file-> new\nnew");
  });

  it("a frozen edge refuses to be moved, and the edges moved before it go back", () => {
    const run = runGraph(
      "a -file-> old\nb -file-> old\nnew",
      function* (node, graph): Polls<void> {
        edgeOf(graph, "a", "file").frozen = true;
        let message = "";
        try {
          yield* bdrvReplaceNode(node("old"), node("new"));
        } catch (error) {
          message = (error as Error).message;
        }
        expect(message).toBe("Cannot change 'file' link to 'old'");
      },
      options,
    );
    expect(run).toBe("old\na -file-> old\nb -file-> old\nnew");
  });

  it("an edge that would close a cycle cannot be attached, and the child's reference is given up", () => {
    runGraph(
      "top -backing-> base",
      function* (node): Polls<void> {
        bdrvRef(node("top"));
        let message = "";
        try {
          yield* bdrvAttachChild(node("base"), node("top"), "x", BDRV_CHILD_DATA);
        } catch (error) {
          message = (error as Error).message;
        }
        expect(message).toBe("Making 'top' a x child of 'base' would create a cycle");
        expect(node("top").refcnt).toBe(1);
      },
      options,
    );
  });
});
