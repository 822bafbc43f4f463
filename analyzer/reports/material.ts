// Material: what pictures of a finding need beside the finding itself. The graph at the access, and what each context was
// doing around it. Collected in a second pass over the trace (collect.ts); plain data, so that it can be tested as such.

import type { OwnerRef, Site } from "../findings.ts";

/** A node, BlockBackend or job in the picture of the graph. */
export interface GraphVertex {
  readonly kind: "node" | "blk" | "job";
  readonly id: number;
  readonly name: string;
  /** Driver of a node, "" for others. */
  readonly driver: string;
  readonly ctx: number;
  readonly ctxName: string;
  /** quiesce_counter at that moment. */
  readonly quiesced: number;
}

/** An edge in the picture. `change` says what the access does to it. */
export interface GraphEdge {
  readonly id: number;
  readonly name: string;
  readonly parent: { readonly kind: GraphVertex["kind"]; readonly id: number };
  readonly child: number;
  /** In only one of the two lists (or the alias is not yet set): the edge is half linked. */
  readonly half: boolean;
  readonly change: "none" | "inserted" | "removed";
}

/** The part of the graph that is connected with the finding's node. */
export interface GraphPicture {
  readonly event: number;
  readonly focus: { readonly kind: OwnerRef["kind"]; readonly id: number };
  readonly vertices: readonly GraphVertex[];
  readonly edges: readonly GraphEdge[];
  /** Vertices that were left out, because the graph is too large to draw. */
  readonly leftOut: number;
}

/** Something that lasted. `from` and `to` are events; `to` is null when it outlasts the window. */
export interface LaneBar {
  readonly kind: "operation" | "section" | "task" | "lock" | "wait";
  readonly id: number;
  readonly ctx: number;
  readonly task: number;
  readonly from: number;
  readonly to: number | null;
  readonly label: string;
  readonly site: Site | null;
  /** Sections: event at which the poll phase ended; null when it did not (in the window). */
  readonly pollEnd: number | null;
  /** Sections: whether it raised the finding's node. */
  readonly holdsNode: boolean;
}

/** Another access to the finding's list. */
export interface LaneMark {
  readonly event: number;
  readonly ctx: number;
  readonly task: number;
  readonly what: "read" | "edit";
  readonly site: Site | null;
}

/** A stretch of the trace that the lanes show; both ends included. */
export interface LaneRange {
  readonly from: number;
  readonly to: number;
}

/** What the contexts did around a finding. */
export interface LaneWindow {
  /** One stretch, or two with a gap between them. */
  readonly ranges: readonly LaneRange[];
  /** Contexts by index; the name of each. */
  readonly contexts: readonly { readonly ctx: number; readonly name: string }[];
  readonly bars: readonly LaneBar[];
  readonly marks: readonly LaneMark[];
}

/** All material of one finding. */
export interface FindingMaterial {
  /** The graph just before each access, in their order; null where it cannot be drawn. A finding without accesses has one. */
  readonly graphs: readonly (GraphPicture | null)[];
  readonly lanes: LaneWindow | null;
}
