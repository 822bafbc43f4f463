// A node is fetched from an edge; something else moves the edge in a poll; the node is used.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

function ofText(text: string): string[] {
  return analyze(traceFromText(text))
    .findings.filter(({ rule }) => rule === "stale-pointer")
    .map(({ title, why }) => `${title} ${why}`);
}

/** Operation `a` fetches node 2 from edge 1, polls, and goes on with `after`; meanwhile `inner` happens. */
function found(inner: string, after: string): string[] {
  return ofText(`
      main
      edge e1 n1 backing; set edge_bs e1 n2 @open; insert parents n2 e1 @open
      op @a; read edge_bs e1 @fetch; poll; bh h1; ${inner}; bh-done h1; polled; ${after}; op-end`);
}

describe("a pointer goes stale", () => {
  it("when what it was fetched from is edited in a poll, and it is used afterwards", () => {
    expect(found("set edge_bs e1 n3 @move", "read parents n2 @use")).toEqual([
      "use uses node 2, which fetch had fetched before move took it away. " +
        "It was fetched at event 4; then the call stack that holds it polled or yielded, and move sets it at event 7; " +
        "it was used at event 10 without having been fetched again.",
    ]);
  });

  it("which says whose it was, also when that is freed before the use", () => {
    const text = `
      main
      edge e1 n1 backing; set edge_bs e1 n2 @open; insert parents n2 e1 @open
      op @a; read edge_bs e1 @fetch; poll; bh h1; set edge_bs e1 n3 @move; free e1 @drop; bh-done h1; polled; read parents n2 @use; op-end`;
    const { findings } = analyze(traceFromText(text));
    const stale = findings.find(({ rule }) => rule === "stale-pointer");
    expect(stale?.node).toEqual({ kind: "edge", id: 1, name: "backing" });
  });

  it.each([
    ["an edit of its list", "set edge_bs e1 n3 @move", "remove parents n2 e1 @use", 1],
    ["an edge is pointed at it", "set edge_bs e1 n3 @move", "set edge_bs e2 n2 @use", 1],
    ["another node", "set edge_bs e1 n3 @move", "read parents n4 @use", 0],
    ["no edit", "read edge_bs e1 @move", "read parents n2 @use", 0],
    ["an edit that changes nothing", "set edge_bs e1 n2 @move", "read parents n2 @use", 0],
    [
      "fetched again, elsewhere",
      "set edge_bs e1 n3 @f; set edge_bs e2 n2 @f",
      "read edge_bs e2 @f; read parents n2 @f",
      0,
    ],
    [
      "a look that does not find it",
      "set edge_bs e1 n3 @move",
      "read edge_bs e1 @f; read parents n2 @use",
      1,
    ],
    [
      "what a drain does for itself",
      "set edge_bs e1 n3 @f",
      "drain s1 n2 @a; read parents n2 @f; begun s1",
      0,
    ],
  ])("%s", (_what, inner, after, count) => {
    expect(found(inner, after)).toHaveLength(count);
  });

  it("not by one's own edits, and not in the next operation", () => {
    const text = (between: string): string => `
      main
      set edge_bs e1 n2 @open
      op @a; read edge_bs e1 @fetch; ${between}; read parents n2 @use; op-end`;
    expect(ofText(text("set edge_bs e1 n3 @move"))).toEqual([]);
    expect(ofText(text("op-end; bh h1; set edge_bs e1 n3 @move; bh-done h1; op @b"))).toEqual([]);
    expect(ofText(text("poll; bh h1; set edge_bs e1 n3 @move; bh-done h1; polled"))).toHaveLength(
      1,
    );
  });

  it("an edge that was in a list", () => {
    const text = `
      main
      insert children n1 e1 @open
      op @a; read children n1 @fetch; poll; bh h1; remove children n1 e1 @drop; bh-done h1; polled; read edge_bs e1 @use; op-end`;
    expect(ofText(text)).toHaveLength(1);
  });

  it("in a request that yields, too", () => {
    const text = (task: string): string => `
      main
      set blk_root b1 e1 @open
      enter c1; ${task} read blk_root b1 @fetch; yield c1
      set blk_root b1 e0 @drop
      enter c1; ${task} read edge_bs e1 @use; yield c1`;
    expect(ofText(text("r1:"))).toHaveLength(1);
    // What belongs to no request: its variables may be anybody's.
    expect(ofText(text(""))).toEqual([]);
  });
});
