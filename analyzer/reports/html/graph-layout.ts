// Where the boxes of the graph stand: parents above children, in layers; within a layer, near what they are joined to.

import { must } from "#core/base";
import type { GraphEdge, GraphPicture, GraphVertex } from "../material.ts";

export const BOX_WIDTH = 148;
export const BOX_HEIGHT = 44;
const GAP_X = 22;
const GAP_Y = 54;
const MARGIN = 14;
const SWEEPS = 4;

/** A box with its place (the upper left corner). */
export interface PlacedVertex {
  readonly vertex: GraphVertex;
  readonly x: number;
  readonly y: number;
}

/** Everything placed. */
export interface GraphLayout {
  readonly width: number;
  readonly height: number;
  readonly vertices: readonly PlacedVertex[];
  readonly edges: readonly {
    readonly edge: GraphEdge;
    readonly from: PlacedVertex;
    readonly to: PlacedVertex;
  }[];
}

/** Place the graph of `picture`. */
export function layOutGraph(picture: GraphPicture): GraphLayout {
  const layers = layersOf(picture);
  order(layers, picture.edges);
  const widest = Math.max(...layers.map((layer) => layer.length));
  const width = MARGIN * 2 + widest * BOX_WIDTH + (widest - 1) * GAP_X;
  const places = new Map<string, PlacedVertex>();
  layers.forEach((layer, depth) => {
    const row = layer.length * BOX_WIDTH + (layer.length - 1) * GAP_X;
    layer.forEach((vertex, index) => {
      const x = (width - row) / 2 + index * (BOX_WIDTH + GAP_X);
      places.set(nameOf(vertex), { vertex, x, y: MARGIN + depth * (BOX_HEIGHT + GAP_Y) });
    });
  });
  const edges = picture.edges.flatMap((edge) => {
    const from = places.get(nameOf(edge.parent));
    const to = places.get(`node ${edge.child}`);
    return from === undefined || to === undefined ? [] : [{ edge, from, to }];
  });
  const height = MARGIN * 2 + layers.length * BOX_HEIGHT + (layers.length - 1) * GAP_Y;
  return { width, height, vertices: [...places.values()], edges };
}

function nameOf(vertex: { readonly kind: string; readonly id: number }): string {
  return `${vertex.kind} ${vertex.id}`;
}

/** The layer of a vertex is the longest way to it from one without parents. */
function layersOf(picture: GraphPicture): GraphVertex[][] {
  const depth = new Map(picture.vertices.map((vertex) => [nameOf(vertex), 0]));
  // A graph of n vertices has its depths after n rounds; one with a cycle (a broken run) keeps what it has by then.
  for (let round = 0; round < picture.vertices.length; round++) {
    let changed = false;
    for (const { parent, child } of picture.edges) {
      const wanted = (depth.get(nameOf(parent)) ?? 0) + 1;
      const name = `node ${child}`;
      if ((depth.get(name) ?? wanted) >= wanted || wanted >= picture.vertices.length) continue;
      depth.set(name, wanted);
      changed = true;
    }
    if (!changed) break;
  }
  const layers: GraphVertex[][] = [];
  for (const vertex of picture.vertices) {
    const layer = must(depth.get(nameOf(vertex)), "every vertex has a depth");
    while (layers.length <= layer) layers.push([]);
    must(layers[layer], "the layer exists").push(vertex);
  }
  return layers.filter((layer) => layer.length > 0);
}

/** Sort each layer by the mean place of its neighbours in the layer above, then below, a few times. */
function order(layers: GraphVertex[][], edges: readonly GraphEdge[]): void {
  const place = new Map<string, number>();
  const settle = (layer: readonly GraphVertex[]) => {
    layer.forEach((vertex, index) => {
      place.set(nameOf(vertex), index - layer.length / 2);
    });
  };
  layers.forEach(settle);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const downwards = sweep % 2 === 0;
    for (const layer of downwards ? layers : [...layers].reverse()) {
      const mean = (vertex: GraphVertex) => {
        const name = nameOf(vertex);
        const near = edges.flatMap(({ parent, child }) => {
          const [above, below] = [nameOf(parent), `node ${child}`];
          return downwards ? (below === name ? [above] : []) : above === name ? [below] : [];
        });
        const places = near.map((other) => place.get(other) ?? 0);
        return places.length === 0
          ? (place.get(name) ?? 0)
          : places.reduce((a, b) => a + b) / places.length;
      };
      const keys = new Map(layer.map((vertex) => [vertex, mean(vertex)]));
      layer.sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0) || a.id - b.id);
      settle(layer);
    }
  }
}
