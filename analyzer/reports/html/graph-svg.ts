// The picture of the graph just before the access: who points at whom, who is drained, and the edge that changes.

import type { Finding } from "../../findings.ts";
import type { GraphEdge, GraphPicture } from "../material.ts";
import { grouped, listText } from "../words.ts";
import { cut } from "../wrap.ts";
import {
  BOX_HEIGHT,
  BOX_WIDTH,
  type GraphLayout,
  layOutGraph,
  type PlacedVertex,
} from "./graph-layout.ts";
import { html, type Markup } from "./markup.ts";

type PlacedEdge = GraphLayout["edges"][number];

/** The graph as one SVG; `id` makes the names inside unique on the page. */
export function graphSvg(finding: Finding, picture: GraphPicture, id: string): Markup {
  const layout = layOutGraph(picture);
  const { width, height } = layout;
  const title = `The graph at event ${grouped(picture.event)}, around the ${listText(finding)}`;
  return html`<svg class="graph" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="${id}-title">
<title id="${id}-title">${title}</title>
${layout.edges.map((placed) => edgeMark(placed, isInList(finding, picture, placed.edge)))}
${layout.vertices.map((placed) => vertexMark(placed, picture))}
${labelsOf(layout.edges).map(labelMark)}
</svg>`;
}

/** Whether the edge is in the list that the finding is about. */
function isInList(finding: Finding, { focus }: GraphPicture, edge: GraphEdge): boolean {
  if (focus.kind === "edge") return edge.id === focus.id;
  if (finding.list === "parents") return focus.kind === "node" && edge.child === focus.id;
  if (finding.list === null || edge.parent.kind !== focus.kind || edge.parent.id !== focus.id)
    return false;
  return finding.list === "children" || finding.list === "blk_root" || edge.name === finding.list;
}

function ends(from: PlacedVertex, to: PlacedVertex) {
  const x1 = from.x + BOX_WIDTH / 2;
  const y1 = from.y + BOX_HEIGHT;
  const x2 = to.x + BOX_WIDTH / 2;
  return { x1, y1, x2, y2: to.y };
}

function edgeMark({ edge, from, to, via }: PlacedEdge, inList: boolean): Markup {
  const { x1, y1, x2, y2 } = ends(from, to);
  const classes = ["edge", edge.change, inList && "in-list", edge.half && "half"]
    .filter((name) => name !== false)
    .join(" ");
  const tip = `M${x2 - 4} ${y2 - 8}L${x2} ${y2}L${x2 + 4} ${y2 - 8}`;
  const title = `edge ${edge.id} (${edge.name})${edge.half ? ", half linked" : ""}${edge.change === "none" ? "" : `, ${edge.change} by this access`}`;
  let path = `M${x1} ${y1}`;
  let [x, y] = [x1, y1];
  // Through each layer that it passes straight, beside the boxes.
  for (const passage of via) {
    path += `${curve(x, y, passage.x, passage.y)}L${passage.x} ${passage.y + BOX_HEIGHT}`;
    [x, y] = [passage.x, passage.y + BOX_HEIGHT];
  }
  return html`<g class="${classes}"><title>${title}</title>
<path d="${path}${curve(x, y, x2, y2 - 2)}"/><path class="tip" d="${tip}"/></g>`;
}

function curve(x1: number, y1: number, x2: number, y2: number): string {
  const bend = Math.max(18, (y2 - y1) / 2);
  return `C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}

/** A name on an edge: the middle of its place. */
interface Label {
  readonly text: string;
  readonly change: GraphEdge["change"];
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

const LABEL_HEIGHT = 16;
/** How far along its edge a name may stand: in the middle, or where no other name stands. */
const ALONG = [0.5, 0.22, 0.78] as const;

/**
 * In the gap between two layers, on its edge; of an edge that passes layers, where it passes the first of them. Names of what is edited
 * have the first choice.
 */
function labelsOf(edges: readonly PlacedEdge[]): Label[] {
  const placed: Label[] = [];
  const isEdited = ({ edge }: PlacedEdge): boolean => edge.change !== "none";
  for (const one of [...edges.filter(isEdited), ...edges.filter((edge) => !isEdited(edge))]) {
    const choices = ALONG.map((along) => labelAt(one, along));
    const free = choices.find((label) => placed.every((other) => isApart(label, other)));
    placed.push(free ?? (choices[0] as Label));
  }
  return placed;
}

function labelAt({ edge, from, to, via: [passage] }: PlacedEdge, along: number): Label {
  const { x1, y1, x2, y2 } = ends(from, to);
  const change = edge.change === "none" ? "" : ` · ${edge.change}`;
  const text = `${cut(edge.name, 14)}${change}`;
  const width = text.length * (edge.change === "none" ? 6.1 : 6.9) + 10;
  // On the curve, whose ends are upright.
  const x = passage?.x ?? x1 + (x2 - x1) * along * along * (3 - 2 * along);
  const y = passage === undefined ? y1 + (y2 - y1) * along : passage.y + BOX_HEIGHT * along;
  return { text, change: edge.change, x, y, width };
}

function isApart(a: Label, b: Label): boolean {
  return Math.abs(a.x - b.x) >= (a.width + b.width) / 2 || Math.abs(a.y - b.y) >= LABEL_HEIGHT - 2;
}

function labelMark({ text, change, x, y, width }: Label): Markup {
  return html`<g class="edge-label ${change}"><rect x="${x - width / 2}" y="${y - LABEL_HEIGHT / 2}" width="${width}" height="${LABEL_HEIGHT}" rx="8"/>
<text x="${x}" y="${y + 4}">${text}</text></g>`;
}

const KIND_WORDS = { node: "", blk: "BlockBackend", job: "job" } as const;

function vertexMark({ vertex, x, y }: PlacedVertex, { focus }: GraphPicture): Markup {
  const isFocus = vertex.kind === focus.kind && vertex.id === focus.id;
  const name = vertex.name === "" ? `${vertex.kind} ${vertex.id}` : vertex.name;
  const kind = vertex.driver || KIND_WORDS[vertex.kind];
  const classes = ["vertex", vertex.kind, isFocus && "focus", vertex.quiesced > 0 && "quiesced"];
  const drained = vertex.quiesced > 0 ? `, drained ${vertex.quiesced} deep` : ", not drained";
  const title = `${vertex.kind} ${vertex.id} ${vertex.name}, ${vertex.ctxName}${drained}`;
  return html`<g class="${classes.filter((part) => part !== false).join(" ")}"><title>${title}</title>
<rect x="${x}" y="${y}" width="${BOX_WIDTH}" height="${BOX_HEIGHT}" rx="${vertex.kind === "node" ? 6 : 16}"/>
<text class="vertex-name" x="${x + BOX_WIDTH / 2}" y="${y + 19}">${cut(name, 20)}</text>
<text class="small" x="${x + BOX_WIDTH / 2}" y="${y + 34}">${cut(`${kind} · ${vertex.ctxName}`, 24)}</text>
${vertex.quiesced > 0 && html`<g class="badge"><rect x="${x + BOX_WIDTH - 58}" y="${y - 9}" width="62" height="16" rx="8"/><text x="${x + BOX_WIDTH - 27}" y="${y + 3}">${`drained ${vertex.quiesced}`}</text></g>`}</g>`;
}
