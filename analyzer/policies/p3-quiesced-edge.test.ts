// P3: edges move only while they are quiesced, to nodes that are.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { judgedBy } from "../test-support/verdict.ts";

/** An edge of node 1, which others have seen, moves to node 2; the words say what is left out. */
function move({ edge = true, child = true, to = "n2" } = {}): string {
  return `
      main                             | io1
                                       | r1: begin; inc n1; inc n2; dec n2; dec n1; end
      edge e1 n1 file                  |
      op @bdrv_replace_node; ${child ? "drained s1 n2 @f;" : ""} ${edge ? "level e1 1;" : ""} set edge_bs e1 ${to} @editor; op-end |`;
}

describe("P3", () => {
  it("accepts a quiesced edge that comes to a quiesced node", () => {
    expect(judgedBy("P3", move())).toEqual([]);
  });

  it("finds an edge that has not quiesced its parent", () => {
    const { policies = [] } = analyze(traceFromText(move({ edge: false })), { policies: ["P3"] });
    expect(policies[0]?.findings.map(({ rule, title, why }) => [rule, title, why])).toEqual([
      [
        "edge-not-quiesced",
        "editor points bs of edge 'file' of node 1 at node 2 without a quiesced edge.",
        "The edge had not quiesced node 1, so a request of node 1 may be on its way through it.",
      ],
    ]);
  });

  it("finds a new child that is not quiesced", () => {
    expect(judgedBy("P3", move({ child: false }))).toEqual(["child-not-quiesced"]);
  });

  it("forgets levels that the edge gave back", () => {
    expect(judgedBy("P3", move().replace("level e1 1;", "level e1 1; level e1 0;"))).toEqual([
      "edge-not-quiesced",
    ]);
  });

  it("demands nothing of an edge that is pointed at nothing", () => {
    expect(judgedBy("P3", move({ edge: false, child: false, to: "n0" }))).toEqual([]);
  });

  it("demands nothing of the edges of a parent that nobody else can have seen", () => {
    const text = `
      main                             | io1
                                       | r1: begin; inc n2; dec n2; end
      node n1 new; edge e1 n1 file; set edge_bs e1 n2 @editor |`;
    expect(judgedBy("P3", text)).toEqual([]);
  });

  it("demands nothing of readers", () => {
    const text = `
      main                             | io1
                                       | r1: begin; inc n1; read children n1 @reader; dec n1; end
      insert children n1 e1 @editor    |`;
    expect(judgedBy("P1", text)).toContain("race");
    expect(judgedBy("P3", text)).toEqual([]);
  });
});
