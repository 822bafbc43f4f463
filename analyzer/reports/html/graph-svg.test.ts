import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import type { GraphEdge, GraphPicture, GraphVertex } from "../material.ts";
import { drawnFinding, drawnTrace } from "../test-support.ts";
import { graphSvg } from "./graph-svg.ts";

//        quorum
//    children.0  \ children.1 is inserted: both names stand in the same gap
//    a            b
function quorum(children: number): GraphPicture {
  const vertex = (id: number): GraphVertex => {
    const name = id === 1 ? "quorum" : `node${id}`;
    return { kind: "node", id, name, driver: "raw", ctx: 0, ctxName: "main", quiesced: 0 };
  };
  const edges = Array.from({ length: children }, (_, index): GraphEdge => {
    const change = index === children - 1 ? "inserted" : "none";
    const parent = { kind: "node", id: 1 } as const;
    return {
      id: index + 1,
      name: `children.${index}`,
      parent,
      child: index + 2,
      half: false,
      change,
    };
  });
  const vertices = Array.from({ length: children + 1 }, (_, index) => vertex(index + 1));
  return { event: 9, focus: { kind: "node", id: 1 }, vertices, edges, leftOut: 0 };
}

describe.each([1, 2, 3, 4])("the names of %i edges of one node", (children) => {
  const { text } = graphSvg(drawnFinding(drawnTrace()), quorum(children), "g");
  const labels = text.split('<g class="edge-label').slice(1);
  const boxes = labels.map((label) => {
    const numbers = /<rect x="([^"]*)" y="([^"]*)" width="([^"]*)" height="([^"]*)"/.exec(label);
    return must(numbers, "a label has a box").slice(1, 5).map(Number);
  });

  it("stand apart", () => {
    expect(boxes).toHaveLength(children);
    boxes.forEach(([x = 0, y = 0, width = 0, height = 0], index) => {
      for (const [left = 0, top = 0, wide = 0] of boxes.slice(index + 1)) {
        const isBeside = left >= x + width || x >= left + wide;
        expect(isBeside || Math.abs(top - y) >= height - 2).toBe(true);
      }
    });
  });

  it("are inside of the picture", () => {
    const [, width] = must(/viewBox="0 0 (\S+) /.exec(text), "it has a size").map(Number);
    for (const [x = 0, , wide = 0] of boxes) {
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x + wide).toBeLessThanOrEqual(width ?? 0);
    }
  });
});
