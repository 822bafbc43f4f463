// Use of what has been freed, by whatever event names it.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { rulesOf } from "../test-support/verdict.ts";

function found(text: string): string[] {
  return analyze(traceFromText(text))
    .findings.filter(({ rule }) => rule === "use-after-free")
    .map(({ title, why }) => `${title} ${why}`);
}

describe("use after free", () => {
  it("an edge that a sleeping coroutine still follows", () => {
    const text = `
      main
      node n1 top; node n2 base; edge e1 n1 backing; enter c1; read backing n1 @flush; yield c1
      op @bdrv_root_unref_child; free e1; op-end
      enter c1; read edge_bs e1 @flush; yield c1`;
    expect(found(text)).toEqual([
      "flush reads edge_bs with edge 'backing' of node 'top', which has been freed. " +
        "Edge 'backing' of node 'top' was freed by bdrv_root_unref_child in main, at event 7; " +
        "whoever holds a pointer needs a reference, or has to be drained before.",
    ]);
  });

  it.each([
    ["a node whose list is read in an iothread", "read children n1 @f", 1],
    ["a node that a loop begins on", "iter parents n1 @f", 1],
    ["a BlockBackend whose root is read", "read blk_root b1 @f", 1],
    ["an edge that is linked", "insert children n2 e1 @f", 1],
    ["a node that an edge is pointed at", "set edge_bs e2 n1 @f", 1],
    ["both in one event", "insert children n1 e1 @f", 2],
    ["a node that a drain comes to", "up n1 s1", 1],
    ["another node", "read children n2 @f", 0],
    ["an edge with the number of a freed node", "set file n2 e2 @f", 0],
    ["nothing", "set file n2 e0 @f", 0],
  ])("%s", (_what, use, count) => {
    const text = `
      main                     | io1
      free n1; free e1; free b1 |
                               | ${use}`;
    expect(found(text)).toHaveLength(count);
  });

  it("counts every use at a site, and forgets when the number is used again", () => {
    const text = `
      main
      node n1 a; free n1; read children n1 @f; read children n1 @f; node n1 b; read children n1 @f`;
    const { findings } = analyze(traceFromText(text));
    expect(findings.map(({ rule, count }) => `${rule} x${count}`)).toEqual(["use-after-free x2"]);
  });

  it("not before the free", () => {
    expect(
      rulesOf(`
      main
      node n1 a; read children n1 @f; free n1`),
    ).toEqual([]);
  });
});
