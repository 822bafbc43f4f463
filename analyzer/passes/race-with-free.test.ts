// Uses that nothing orders before the free of the object.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { rulesOf } from "../test-support/verdict.ts";

/** A request of io1 does `use`; then main does `before` and frees node 1, edge 1 and BlockBackend 1. */
const run = (use: string, before = "", after = ""): string =>
  `
      main                              | io1
      node n1 disk; blk b1 drive; edge e1 n1 file |
                                        | r1: begin; inc n1; ${use}; dec n1; end
                                        | ${after || "note"}
      ${before || "note"}               |
      op @bdrv_delete; free n1; free e1; free b1; op-end |`.replaceAll(
    "note",
    "read parents n9 @other",
  );

describe("a use that nothing orders before the free", () => {
  it("of a node, with what frees it", () => {
    const [finding] = analyze(traceFromText(run("read children n1 @reader"))).findings;
    expect(finding).toMatchObject({
      rule: "race-with-free",
      list: "children",
      title: "reader reads children of node 'disk', and nothing orders that before the free.",
      count: 1,
    });
    expect(finding?.why).toMatch(
      /^Node 'disk' was freed by bdrv_delete in main, at event \d+; in another schedule the free comes first\./,
    );
  });

  it.each(["read edge_bs e1 @f", "read blk_root b1 @f", "set file n1 e1 @f"])("%s", (use) => {
    expect(rulesOf(run(use))).toContain("race-with-free");
  });

  it("but for a drain that has waited for it", () => {
    const drained = "drained s1 n1 @f; release s1 n1";
    expect(rulesOf(run("read children n1 @reader", drained))).toEqual([]);
  });

  it("and an accident will do: objects often go when their last user has gone somehow", () => {
    const text = run("read children n1 @reader", "bh h1; bh-done h1", "schedule h1");
    expect(rulesOf(text)).toEqual([]);
  });

  it("nor is it said of main's own uses, nor where only the sanctioned order is followed", () => {
    expect(rulesOf("main\nnode n1 disk; read children n1 @f; free n1")).toEqual([]);
    const input = traceFromText(run("read children n1 @reader"));
    expect(analyze(input, { orders: "sanctioned" }).findings).toEqual([]);
  });

  it("of uses before the last edit the edit speaks", () => {
    const text = run(
      "read children n1 @reader",
      "drained s1 n1 @f; remove children n1 e1 @editor; release s1 n1",
    );
    expect(rulesOf(text)).toEqual([]);
  });
});
