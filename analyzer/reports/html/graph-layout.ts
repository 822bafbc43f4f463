// Where the boxes of the graph stand: parents above children, in layers; within a layer, near what they are joined to. An edge that
// skips layers has a place of its own in each of them, as wide as its label, so that it runs beside the boxes and not behind them.

import { must } from "#core/base";
import type { GraphEdge, GraphPicture, GraphVertex } from "../material.ts";

export const BOX_WIDTH = 148;
export const BOX_HEIGHT = 44;
/** Room for an edge, and its label, that passes a layer. */
const PASSAGE_WIDTH = 110;
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

/** Where an edge passes a layer: the middle of its place, and the upper end. */
interface Passage {
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
    /** The layers that it passes, from above. */
    readonly via: readonly Passage[];
  }[];
}

/** What stands in a layer: a box, or an edge that passes. */
interface Item {
  readonly name: string;
  readonly vertex: GraphVertex | null;
}

/** Names of two items of neighbouring layers that are joined. */
type Link = readonly [above: string, below: string];

/** Place the graph of `picture`. */
export function layOutGraph(picture: GraphPicture): GraphLayout {
  const { layers, links } = layersWithPassages(picture);
  order(layers, links);
  const widths = layers.map((layer) => widthOf(layer));
  const width = MARGIN * 2 + Math.max(...widths);
  const boxes = new Map<string, PlacedVertex>();
  const passages = new Map<string, Passage>();
  layers.forEach((layer, depth) => {
    const y = MARGIN + depth * (BOX_HEIGHT + GAP_Y);
    let x = (width - (widths[depth] ?? 0)) / 2;
    for (const { name, vertex } of layer) {
      if (vertex === null) passages.set(name, { x: x + PASSAGE_WIDTH / 2, y });
      else boxes.set(name, { vertex, x, y });
      x += (vertex === null ? PASSAGE_WIDTH : BOX_WIDTH) + GAP_X;
    }
  });
  const edges = picture.edges.flatMap((edge) => {
    const from = boxes.get(nameOf(edge.parent));
    const to = boxes.get(`node ${edge.child}`);
    if (from === undefined || to === undefined) return [];
    const via = layers.flatMap((_, depth) => passages.get(passageName(edge, depth)) ?? []);
    return [{ edge, from, to, via }];
  });
  const height = MARGIN * 2 + layers.length * BOX_HEIGHT + (layers.length - 1) * GAP_Y;
  return { width, height, vertices: [...boxes.values()], edges };
}

function widthOf(layer: readonly Item[]): number {
  const items = layer.map(({ vertex }) => (vertex === null ? PASSAGE_WIDTH : BOX_WIDTH));
  return items.reduce((sum, width) => sum + width, (layer.length - 1) * GAP_X);
}

function nameOf(vertex: { readonly kind: string; readonly id: number }): string {
  return `${vertex.kind} ${vertex.id}`;
}

function passageName({ id }: GraphEdge, depth: number): string {
  return `edge ${id} in layer ${depth}`;
}

/** The layers of the boxes, with a place in each layer that an edge skips; and what is joined to what. */
function layersWithPassages(picture: GraphPicture): { layers: Item[][]; links: Link[] } {
  const layers = layersOf(picture).map((layer) =>
    layer.map((vertex): Item => ({ name: nameOf(vertex), vertex })),
  );
  const depths = new Map(
    layers.flatMap((layer, depth) => layer.map(({ name }) => [name, depth] as const)),
  );
  const links: Link[] = [];
  for (const edge of picture.edges) {
    const names = [nameOf(edge.parent), `node ${edge.child}`] as const;
    const [from, to] = names.map((name) => depths.get(name));
    if (from === undefined || to === undefined) continue;
    let above: string = names[0];
    for (let depth = from + 1; depth < to; depth++) {
      const name = passageName(edge, depth);
      must(layers[depth], "the layer exists").push({ name, vertex: null });
      links.push([above, name]);
      above = name;
    }
    links.push([above, names[1]]);
  }
  return { layers, links };
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
function order(layers: Item[][], links: readonly Link[]): void {
  const place = new Map<string, number>();
  const first = new Map(layers.flat().map(({ name }, index) => [name, index]));
  const settle = (layer: readonly Item[]) => {
    layer.forEach(({ name }, index) => {
      place.set(name, index - layer.length / 2);
    });
  };
  layers.forEach(settle);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const downwards = sweep % 2 === 0;
    for (const layer of downwards ? layers : [...layers].reverse()) {
      const mean = ({ name }: Item) => {
        const near = links.flatMap(([above, below]) =>
          downwards ? (below === name ? [above] : []) : above === name ? [below] : [],
        );
        const places = near.map((other) => place.get(other) ?? 0);
        return places.length === 0
          ? (place.get(name) ?? 0)
          : places.reduce((a, b) => a + b) / places.length;
      };
      const keys = new Map(layer.map((item) => [item, mean(item)]));
      layer.sort(
        (a, b) =>
          (keys.get(a) ?? 0) - (keys.get(b) ?? 0) ||
          (first.get(a.name) ?? 0) - (first.get(b.name) ?? 0),
      );
      settle(layer);
    }
  }
}
