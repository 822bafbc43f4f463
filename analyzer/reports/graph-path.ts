// The way from a BlockBackend down to the node of a finding, as the graph stood at an access: whose requests come by there.

import { must } from "#core/base";
import type { Finding } from "../findings.ts";
import type { FindingMaterial, GraphPicture, GraphVertex } from "./material.ts";

/**
 * Names from the nearest BlockBackend (or, where there is none, the topmost node above) down to the finding's node; for a
 * finding about an edge, down to what the edge points at. Empty when the node is gone.
 */
export function pathTo({ focus, vertices, edges }: GraphPicture): string[] {
  const byKey = new Map(vertices.map((vertex) => [keyOf(vertex.kind, vertex.id), vertex]));
  const edge = focus.kind === "edge" ? edges.find(({ id }) => id === focus.id) : undefined;
  const start =
    edge === undefined ? keyOf(focus.kind, focus.id) : keyOf(edge.parent.kind, edge.parent.id);
  if (!byKey.has(start)) return [];
  const below = edge === undefined ? undefined : byKey.get(keyOf("node", edge.child));
  const up = climb(start, edges);
  const top =
    up.order.find((key) => key.startsWith("blk ")) ??
    must(up.order.at(-1), "it climbed from a vertex");
  const path: string[] = [];
  for (let at: string | undefined = top; at !== undefined; at = up.from.get(at)) {
    const vertex = byKey.get(at);
    if (vertex !== undefined) path.push(nameOf(vertex));
  }
  return below === undefined ? path : [...path, nameOf(below)];
}

/** All that is above `start`, nearest first, and from which child each was reached. */
function climb(
  start: string,
  edges: GraphPicture["edges"],
): { order: string[]; from: Map<string, string> } {
  const order = [start];
  const from = new Map<string, string>();
  for (const at of order) {
    for (const { parent, child } of edges) {
      const above = keyOf(parent.kind, parent.id);
      if (keyOf("node", child) !== at || above === start || from.has(above)) continue;
      from.set(above, at);
      order.push(above);
    }
  }
  return { order, from };
}

function keyOf(kind: string, id: number): string {
  return `${kind} ${id}`;
}

function nameOf({ kind, id, name }: GraphVertex): string {
  return name === "" ? `${kind === "blk" ? "BlockBackend" : kind} ${id}` : name;
}

/** The graph at the edit of `finding`; at its last access where there is none. */
export function pictureOfEdit(
  finding: Finding,
  material: FindingMaterial | null,
): GraphPicture | null {
  const edit = finding.accesses.findIndex(({ what }) => what === "edit");
  return material?.graphs.at(edit) ?? null;
}
