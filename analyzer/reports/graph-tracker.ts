// Follows the graph through a trace: which nodes, BlockBackends and jobs exist, which edge leads where, who is drained.
//
// Names are kept as string numbers and looked up when the picture is made, because the string table of a trace may still
// grow while its events are read. The two lists of an edge are followed one by one: between the two an edge is half linked,
// and that is exactly what some findings are about.

import { must } from "#core/base";
import { Ev, type EventBatch, Klass, List } from "#core/probe";
import type { OwnerRef } from "../findings.ts";
import type { GraphEdge, GraphPicture, GraphVertex } from "./material.ts";

type VertexKind = GraphVertex["kind"];

interface Vertex {
  readonly kind: VertexKind;
  readonly id: number;
  readonly name: number;
  readonly driver: number;
  ctx: number;
  quiesced: number;
}

interface Edge {
  readonly id: number;
  readonly name: number;
  readonly parentKind: VertexKind;
  readonly parent: number;
  /** The node it points at, or pointed at last. */
  child: number;
  linked: boolean;
  inChildren: boolean;
  inParents: boolean;
}

/** What an access does to an edge; `child` is the node that the edge is about to point at, 0 when that does not change. */
export interface EdgeChange {
  readonly edge: number;
  readonly change: GraphEdge["change"];
  readonly child: number;
}

/** A picture whose names are still numbers. */
export type Unnamed = (
  nameOf: (id: number) => string,
  ctxName: (ctx: number) => string,
) => GraphPicture;

/** A graph of more edges than this is not drawn at all: nobody could read it, and looking for what is connected takes long. */
const EDGES_MAX = 20_000;
/** More vertices than this are not drawn. */
const VERTICES_MAX = 40;

export class GraphTracker {
  readonly #vertices = new Map<string, Vertex>();
  readonly #edges = new Map<number, Edge>();

  /** Take the event at `index` of `batch` into account. */
  apply(batch: EventBatch, index: number): void {
    const a = batch.arg(index, 0);
    const b = batch.arg(index, 1);
    const c = batch.arg(index, 2);
    switch (batch.kind(index)) {
      case Ev.bs_new:
        this.#add("node", a, b, c);
        return;
      case Ev.blk_new:
        this.#add("blk", a, b, 0);
        return;
      case Ev.job_new:
        this.#add("job", a, b, 0);
        return;
      case Ev.bs_free:
        this.#delete("node", a);
        return;
      case Ev.blk_free:
        this.#delete("blk", a);
        return;
      case Ev.job_free:
        this.#delete("job", a);
        return;
      case Ev.bs_ctx:
        this.#update("node", a, (vertex) => (vertex.ctx = c));
        return;
      case Ev.blk_ctx:
        this.#update("blk", a, (vertex) => (vertex.ctx = c));
        return;
      case Ev.bs_quiesce:
      case Ev.bs_unquiesce:
        this.#update("node", a, (vertex) => (vertex.quiesced = b));
        return;
      case Ev.blk_quiesce:
      case Ev.blk_unquiesce:
        this.#update("blk", a, (vertex) => (vertex.quiesced = b));
        return;
      case Ev.edge_new:
        this.#addEdge(a, b, c, batch.arg(index, 3));
        return;
      case Ev.edge_free:
        this.#edges.delete(a);
        return;
      case Ev.list_insert:
        this.#link(a, c, true);
        return;
      case Ev.list_remove:
        this.#link(a, c, false);
        return;
      case Ev.list_set:
        if (a === List.edge_bs) this.#point(b, c);
        return;
      default:
    }
  }

  #add(kind: VertexKind, id: number, name: number, driver: number): void {
    this.#vertices.set(key(kind, id), { kind, id, name, driver, ctx: 0, quiesced: 0 });
  }

  #delete(kind: VertexKind, id: number): void {
    this.#vertices.delete(key(kind, id));
  }

  #update(kind: VertexKind, id: number, change: (vertex: Vertex) => void): void {
    const vertex = this.#vertices.get(key(kind, id));
    if (vertex !== undefined) change(vertex);
  }

  #addEdge(id: number, klass: number, parent: number, name: number): void {
    const parentKind =
      klass === Klass.child_root ? "blk" : klass === Klass.child_job ? "job" : "node";
    // Edges of BlockBackends and jobs are in no `children` list: for them that half is always there.
    const inChildren = parentKind !== "node";
    this.#edges.set(id, {
      id,
      name,
      parentKind,
      parent,
      child: 0,
      linked: false,
      inChildren,
      inParents: false,
    });
  }

  #link(list: number, id: number, linked: boolean): void {
    const edge = this.#edges.get(id);
    if (edge === undefined) return;
    if (list === List.children) edge.inChildren = linked;
    else edge.inParents = linked;
  }

  #point(id: number, child: number): void {
    const edge = this.#edges.get(id);
    if (edge === undefined) return;
    edge.linked = child !== 0;
    if (child !== 0) edge.child = child;
  }

  /** The node that `edge` points at, or pointed at last; 0 when there is none. */
  childOf(edge: number): number {
    return this.#edges.get(edge)?.child ?? 0;
  }

  /** The parent of `edge`. */
  parentOf(edge: number): { kind: VertexKind; id: number } | null {
    const found = this.#edges.get(edge);
    return found === undefined ? null : { kind: found.parentKind, id: found.parent };
  }

  /** A picture of what is connected with `focus`, to be named later. `changed` is the edge that the access changes. */
  picture(
    event: number,
    focus: { kind: OwnerRef["kind"]; id: number },
    changed: EdgeChange | null,
  ): Unnamed | null {
    if (this.#edges.size > EDGES_MAX) return null;
    const drawn = [...this.#edges.values()]
      .map((edge) =>
        edge.id === changed?.edge && changed.child !== 0 ? { ...edge, child: changed.child } : edge,
      )
      .filter(
        (edge) => edge.child !== 0 && (edge.linked || edge.inParents || edge.id === changed?.edge),
      );
    const start = this.#startKey(focus);
    if (start === null) return null;
    const order = connected(start, drawn).filter((name) => this.#vertices.has(name));
    // It has gone, or was never there.
    if (order.length === 0) return null;
    const kept = new Set(order.slice(0, VERTICES_MAX));
    const vertices = [...kept].map((name) => ({
      ...must(this.#vertices.get(name), "the vertex exists"),
    }));
    const edges = drawn
      .filter(
        (edge) => kept.has(key(edge.parentKind, edge.parent)) && kept.has(key("node", edge.child)),
      )
      .map((edge) => ({ ...edge }));
    return (nameOf, ctxName) => ({
      event,
      focus,
      leftOut: order.length - kept.size,
      vertices: vertices.map(({ kind, id, name, driver, ctx, quiesced }) => {
        return {
          kind,
          id,
          name: nameOf(name),
          driver: nameOf(driver),
          ctx,
          ctxName: ctxName(ctx),
          quiesced,
        };
      }),
      edges: edges.map((edge) => ({
        id: edge.id,
        name: nameOf(edge.name),
        parent: { kind: edge.parentKind, id: edge.parent },
        child: edge.child,
        half: !(edge.linked && edge.inParents && edge.inChildren),
        change: edge.id === changed?.edge ? changed.change : "none",
      })),
    });
  }

  #startKey(focus: { kind: OwnerRef["kind"]; id: number }): string | null {
    if (focus.kind !== "edge") return key(focus.kind, focus.id);
    const edge = this.#edges.get(focus.id);
    if (edge === undefined) return null;
    return key(edge.parentKind, edge.parent);
  }
}

function key(kind: VertexKind, id: number): string {
  return `${kind} ${id}`;
}

/** Names of all vertices connected with `start`, nearest first. */
function connected(start: string, edges: readonly Edge[]): string[] {
  const neighbours = new Map<string, string[]>();
  const join = (from: string, to: string) => {
    const list = neighbours.get(from);
    if (list === undefined) neighbours.set(from, [to]);
    else list.push(to);
  };
  for (const edge of edges) {
    const parent = key(edge.parentKind, edge.parent);
    const child = key("node", edge.child);
    join(parent, child);
    join(child, parent);
  }
  const seen = new Set([start]);
  for (const name of seen) for (const next of neighbours.get(name) ?? []) seen.add(next);
  return [...seen];
}
