import { describe, expect, it } from "vitest";
import type { GraphEdge, GraphPicture, GraphVertex } from "../material.ts";
import { BOX_HEIGHT, BOX_WIDTH, type GraphLayout, layOutGraph } from "./graph-layout.ts";

/** `1>2 1>3`: node 1 above nodes 2 and 3. */
function picture(text: string): GraphPicture {
  const pairs = text.split(" ").map((pair) => pair.split(">").map(Number));
  const ids = [...new Set(pairs.flat())];
  const vertices = ids.map((id): GraphVertex => {
    return {
      kind: "node",
      id,
      name: `n${id}`,
      driver: "raw",
      ctx: 0,
      ctxName: "main",
      quiesced: 0,
    };
  });
  const edges = pairs.map(([parent = 0, child = 0], index): GraphEdge => {
    return {
      id: index + 1,
      name: "file",
      parent: { kind: "node", id: parent },
      child,
      half: false,
      change: "none",
    };
  });
  return { event: 0, focus: { kind: "node", id: 1 }, vertices, edges, leftOut: 0 };
}

describe.each([["1>2 2>3"], ["1>2 1>3 2>4 3>4 1>4"], ["1>2 3>2 4>2 2>5 2>6 6>7"]])(
  "the graph %s",
  (text) => {
    const layout = layOutGraph(picture(text));

    it("has every box and every edge, inside the picture, without overlap", () => {
      expect(layout.edges).toHaveLength(text.split(" ").length);
      expectNoOverlap(layout);
    });

    it("has parents above their children", () => {
      for (const { from, to } of layout.edges) expect(from.y).toBeLessThan(to.y);
    });
  },
);

it("an edge that skips layers passes beside the boxes of each", () => {
  for (const text of ["1>2 2>3 1>3", "1>2 2>3 3>4 1>4 5>4 2>4", "1>3 2>3 1>4 3>5 4>5 2>5"]) {
    const { vertices, edges, width } = layOutGraph(picture(text));
    const depthOf = (y: number) => Math.round(y / 98);
    for (const { from, to, via } of edges) {
      expect(via).toHaveLength(depthOf(to.y) - depthOf(from.y) - 1);
      for (const { x, y } of via) {
        const behind = vertices.filter(
          (box) => box.y === y && x > box.x - 40 && x < box.x + BOX_WIDTH + 40,
        );
        expect(behind).toEqual([]);
        expect(x > 0 && x < width).toBe(true);
      }
    }
  }
});

it("a cycle, which only a broken run can have, is drawn all the same", () => {
  const layout = layOutGraph(picture("1>2 2>3 3>1"));
  expect(layout.vertices).toHaveLength(3);
  expectNoOverlap(layout);
});

function expectNoOverlap(layout: GraphLayout): void {
  for (const { x, y } of layout.vertices) {
    expect(x).toBeGreaterThanOrEqual(0);
    expect(x + BOX_WIDTH).toBeLessThanOrEqual(layout.width);
    expect(y + BOX_HEIGHT).toBeLessThanOrEqual(layout.height);
    const near = layout.vertices.filter(
      (other) => Math.abs(other.x - x) < BOX_WIDTH && Math.abs(other.y - y) < BOX_HEIGHT,
    );
    expect(near).toHaveLength(1);
  }
}
