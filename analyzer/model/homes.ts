// Where nodes and BlockBackends are at home: the context whose thread runs their I/O, as the trace says.

import { Ev } from "#core/probe";
import type { Holdable } from "./graph.ts";

/** The home of what the trace did not see being made or moved. */
export const HOME_UNKNOWN = -1;

export class Homes {
  /** Events that say something about homes: a pass that asks about homes hands these on. */
  static readonly KINDS = [
    Ev.bs_new,
    Ev.bs_ctx,
    Ev.bs_free,
    Ev.blk_new,
    Ev.blk_ctx,
    Ev.blk_free,
  ] as const;
  readonly #nodes = new Map<number, number>();
  readonly #blks = new Map<number, number>();

  /** Returns false for kinds that are not about homes. */
  on(kind: number, id: number, _old: number, ctx: number): boolean {
    switch (kind) {
      case Ev.bs_new:
        this.#nodes.set(id, 0);
        return true;
      case Ev.bs_ctx:
        this.#nodes.set(id, ctx);
        return true;
      case Ev.bs_free:
        this.#nodes.delete(id);
        return true;
      case Ev.blk_new:
        this.#blks.set(id, 0);
        return true;
      case Ev.blk_ctx:
        this.#blks.set(id, ctx);
        return true;
      case Ev.blk_free:
        this.#blks.delete(id);
        return true;
      default:
        return false;
    }
  }

  /** The home of `object`; jobs have none of their own that a trace tells. */
  of(object: Holdable | null): number {
    if (object === null || object.kind === "job") return HOME_UNKNOWN;
    const homes = object.kind === "node" ? this.#nodes : this.#blks;
    return homes.get(object.id) ?? HOME_UNKNOWN;
  }

  /** The home of node `id`. */
  ofNode(id: number): number {
    return this.#nodes.get(id) ?? HOME_UNKNOWN;
  }
}
