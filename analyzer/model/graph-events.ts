// Events of the graph's life: objects come and go, edges are linked and unlinked, names are given.

import { Ev, List } from "#core/probe";
import type { PassContext } from "../passes/pass.ts";
import type { GoneKind } from "./gone.ts";
import { type EdgeInfo, type Holdable, remember } from "./graph.ts";

const NODE_LISTS = [List.children, List.parents, List.file, List.backing] as const;

type Context = Pick<PassContext, "now" | "graph" | "conflicts" | "operations">;

export class GraphEvents {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Returns false for kinds that are not about the graph. */
  on(kind: number, a: number, b: number, c: number, d: number): boolean {
    const { graph, conflicts } = this.#context;
    switch (kind) {
      case Ev.list_insert:
      case Ev.list_remove:
        conflicts.edit(a, b, kind, c, d);
        graph.edited(a, b, c, kind === Ev.list_insert);
        return true;
      case Ev.list_set:
        conflicts.edit(a, b, kind, c, d);
        graph.edited(a, b, c, true);
        return true;
      case Ev.bs_new:
        graph.gone.reborn("node", a);
        this.#born(graph.node(a), b);
        return true;
      case Ev.blk_new:
        graph.gone.reborn("blk", a);
        this.#born(graph.blk(a), b);
        return true;
      case Ev.job_new:
        graph.job(a).name = b;
        return true;
      case Ev.edge_new:
        graph.gone.reborn("edge", a);
        graph.edgeBorn(graph.edge(a), b, c, d);
        return true;
      case Ev.bs_free:
        for (const list of NODE_LISTS) conflicts.drop(list, a);
        this.#gone("node", a, graph.nodes.get(a));
        graph.nodes.delete(a);
        return true;
      case Ev.blk_free:
        conflicts.drop(List.blk_root, a);
        this.#gone("blk", a, graph.blks.get(a));
        graph.blks.delete(a);
        return true;
      case Ev.edge_free:
        conflicts.drop(List.edge_bs, a);
        this.#gone("edge", a, graph.edges.get(a));
        graph.edges.delete(a);
        return true;
      case Ev.job_free:
        graph.jobs.delete(a);
        return true;
      default:
        return this.#names(kind, a, b, c);
    }
  }

  #gone(kind: GoneKind, id: number, object: Holdable | EdgeInfo | undefined): void {
    const { graph, now, operations } = this.#context;
    const { index, ctx } = now;
    // Whoever still has it may have it from anybody.
    if (object !== undefined) object.isPrivate = false;
    graph.gone.add({
      kind,
      id,
      object: object ?? null,
      index,
      ctx,
      chain: operations.chain(ctx),
    });
  }

  #born(object: Holdable, name: number): void {
    if (this.#context.now.ctx === 0) this.#context.graph.born(object, name);
    else object.name = name;
  }

  #names(kind: number, a: number, b: number, c: number): boolean {
    const { graph } = this.#context;
    if (kind === Ev.ctx_new) remember(graph.ctxNames, a, b);
    else if (kind === Ev.lock_new) remember(graph.lockNames, a, { kind: b, name: c });
    else return false;
    return true;
  }
}
