// Objects of the graph that have been freed: who still touches one uses what is no longer there. Only the latest are
// remembered, since a run may free millions.

import { List } from "#core/probe";
import type { EdgeInfo, Holdable } from "./graph.ts";

/** Freed objects of a kind that are remembered. */
const GONE_MAX = 1 << 16;

export type GoneKind = "node" | "blk" | "edge";

/** An object that has been freed. */
export interface GoneObject {
  readonly kind: GoneKind;
  readonly id: number;
  /** What the model knew of it; null when it had never been seen. */
  readonly object: Holdable | EdgeInfo | null;
  /** Event, context, and chain of operations of the free. */
  readonly index: number;
  readonly ctx: number;
  readonly chain: number;
}

/** Whose list `list` is. */
export function ownerKind(list: number): GoneKind {
  return list === List.edge_bs ? "edge" : list === List.blk_root ? "blk" : "node";
}

export class Gone {
  readonly #byKind: Readonly<Record<GoneKind, Map<number, GoneObject>>> = {
    node: new Map(),
    blk: new Map(),
    edge: new Map(),
  };

  get(kind: GoneKind, id: number): GoneObject | undefined {
    return this.#byKind[kind].get(id);
  }

  /** The owner of `list`, if it has been freed. */
  ownerOf(list: number, owner: number): GoneObject | undefined {
    return this.get(ownerKind(list), owner);
  }

  add(object: GoneObject): void {
    const objects = this.#byKind[object.kind];
    objects.set(object.id, object);
    if (objects.size <= GONE_MAX) return;
    const [oldest] = objects.keys();
    if (oldest !== undefined) objects.delete(oldest);
  }

  /** The number is that of a new object. */
  reborn(kind: GoneKind, id: number): void {
    this.#byKind[kind].delete(id);
  }
}
