// P2: only the parent is drained, nobody off main reads parents, operations exclude one another.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { judgedBy } from "../test-support/verdict.ts";

describe("P2", () => {
  it("asks for no drain of the child, whose parents change, where P1 does", () => {
    const text = `
      main                             | io1
                                       | r1: begin; inc n2; dec n2; end
      op @f; drained s1 n1 @f          |
      insert children n1 e1 @editor; insert parents n2 e1 @editor |
      release s1 n1; op-end            |`;
    expect(judgedBy("P1", text)).toEqual(["edit-outside-drain"]);
    expect(judgedBy("P2", text)).toEqual([]);
  });

  it("asks for a drain of the parent, whose children change", () => {
    const text = `
      main                             | io1
                                       | r1: begin; inc n1; read children n1 @reader; dec n1; end
      op @f; drained s1 n2 @f          |
      insert children n1 e1 @editor; insert parents n2 e1 @editor |
      release s1 n2; op-end            |`;
    expect(judgedBy("P2", text)).toEqual(["race", "edit-outside-drain"]);
  });

  it("forbids a read of parents off main, and not in main", () => {
    const text = `
      main                             | io1
      read parents n1 @get_name        |
                                       | ~read parents n1 @resize`;
    expect(judgedBy("P2", text)).toEqual(["parents-read-off-main"]);
    expect(judgedBy("P2", text, { marked: false })).toEqual([]);
  });

  it("forbids an edit between the edits of another operation", () => {
    const text = `
      main
      op @bdrv_append; drained s1 n1 @bdrv_append; insert children n1 e1 @editor
      bh h1; op @bdrv_replace_node; drained s2 n1 @g; remove children n1 e2 @editor; release s2 n1; op-end; bh-done h1
      remove children n1 e3 @editor; release s1 n1; op-end`;
    const { policies = [] } = analyze(traceFromText(text), { policies: ["P2"] });
    const own = policies[0]?.findings.filter(({ rule }) => rule === "edits-not-exclusive");
    expect(own?.map(({ rule, title, accesses }) => [rule, title, accesses.length])).toEqual([
      [
        "edits-not-exclusive",
        "bdrv_replace_node edits children of node 1 while another operation edits the graph.",
        2,
      ],
    ]);
  });

  it("forbids it also before the first edit of the operation that began earlier", () => {
    const text = `
      main
      op @outer; drained s1 n1 @outer
      bh h1; op @inner; drained s2 n1 @g; remove children n1 e2 @editor; release s2 n1; op-end; bh-done h1
      insert children n1 e1 @editor; release s1 n1; op-end`;
    expect(judgedBy("P2", text)).toEqual(["edits-not-exclusive"]);
  });

  it("allows one after the other, nested calls, and what runs inside an operation that does not edit", () => {
    const apart = `
      main
      op @f; drained s1 n1 @f; insert children n1 e1 @editor; op @g; insert children n1 e2 @editor; op-end; release s1 n1; op-end
      op @h; drained s2 n1 @h; remove children n1 e1 @editor; release s2 n1; op-end`;
    const inside = `
      main
      op @only_waits; drained s1 n1 @f
      bh h1; op @g; drained s2 n1 @g; remove children n1 e2 @editor; release s2 n1; op-end; bh-done h1
      release s1 n1; op-end`;
    expect(judgedBy("P2", apart)).toEqual([]);
    expect(judgedBy("P2", inside)).toEqual([]);
  });
});
