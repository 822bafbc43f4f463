import { expect, it } from "vitest";
import { pathTo } from "./graph-path.ts";
import type { GraphPicture } from "./material.ts";

/** `blk 1 drive, node 2 top` and `1 > 2` as a picture around `focus`; edges are numbered from 1. */
function picture(vertices: string, edges: string, focus: GraphPicture["focus"]): GraphPicture {
  const kinds = new Map<number, "node" | "blk" | "job">();
  const drawn = vertices.split(", ").map((text) => {
    const [kind = "node", id = "0", name = ""] = text.split(" ");
    kinds.set(Number(id), kind as "node" | "blk");
    return {
      kind: kind as "node" | "blk",
      id: Number(id),
      name,
      driver: "",
      ctx: 0,
      ctxName: "main",
      quiesced: 0,
    };
  });
  const lines = edges === "" ? [] : edges.split(", ");
  return {
    event: 1,
    focus,
    vertices: drawn,
    edges: lines.map((text, index) => {
      const [from, to] = text.split(" > ").map(Number) as [number, number];
      const parent = { kind: kinds.get(from) ?? "node", id: from };
      return { id: index + 1, name: "file", parent, child: to, half: false, change: "none" };
    }),
    leftOut: 0,
  };
}

//   drive      mirror (no BlockBackend)
//     |         |
//   filter      |
//      \       /
//       `base'-
const GRAPH = [
  "blk 1 drive, node 2 filter, node 3 base, node 4 mirror",
  "1 > 2, 4 > 3, 2 > 3",
] as const;

it.each([
  ["the nearest BlockBackend", { kind: "node", id: 3 }, ["drive", "filter", "base"]],
  ["the node itself where nothing is above it", { kind: "node", id: 4 }, ["mirror"]],
  ["what an edge points at", { kind: "edge", id: 3 }, ["drive", "filter", "base"]],
  ["the BlockBackend itself", { kind: "blk", id: 1 }, ["drive"]],
  ["nothing for a node that is gone", { kind: "node", id: 9 }, []],
] as const)("the path leads from %s", (_, focus, path) => {
  expect(pathTo(picture(...GRAPH, focus))).toEqual(path);
});

it("a node without a BlockBackend is reached from the topmost node", () => {
  const chain = picture("node 1 top, node 2 mid, node 3 ", "1 > 2, 2 > 3", { kind: "node", id: 3 });
  expect(pathTo(chain)).toEqual(["top", "mid", "node 3"]);
});

it("a circle, which only a foreign trace can have, ends", () => {
  expect(pathTo(picture("node 1 a, node 2 b", "1 > 2, 2 > 1", { kind: "node", id: 1 }))).toEqual([
    "b",
    "a",
  ]);
});
