// What a freed object is called in a sentence.

import type { GoneObject } from "../model/gone.ts";
import { EdgeInfo } from "../model/graph.ts";
import type { Names } from "../names.ts";

/** `edge 'backing' of node 'top'`, `node 'top'`; by its number where nothing else was known of it. */
export function goneText(
  { kind, id, object }: Pick<GoneObject, "kind" | "id" | "object">,
  names: Names,
): string {
  if (object instanceof EdgeInfo) {
    const of = object.parent === null ? "" : ` of ${names.objectText(object.parent)}`;
    return `edge '${names.edge(object).name}'${of}`;
  }
  if (object !== null) return names.objectText(object);
  return `${kind === "blk" ? "BlockBackend" : kind} ${id}`;
}
