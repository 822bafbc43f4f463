// A pass: a rule, or a few that belong together, fed with the events of its kinds after the model and the orders have seen
// them. One class a file; state in the instance, never in the module.

import type { EventKind } from "#core/probe";
import type { Conflicts } from "../conflicts/conflicts.ts";
import type { Drafts } from "../drafts.ts";
import type { Listeners } from "../listeners.ts";
import type { Graph } from "../model/graph.ts";
import type { Operations } from "../model/operations.ts";
import type { Sections } from "../model/sections.ts";
import type { Now } from "../now.ts";
import type { Edges } from "../order/edges.ts";
import type { Orders } from "../order/orders.ts";

/** What passes look at and report to. */
export interface PassContext {
  readonly now: Now;
  readonly graph: Graph;
  readonly sections: Sections;
  readonly operations: Operations;
  readonly orders: Orders;
  readonly edges: Edges;
  readonly conflicts: Conflicts;
  readonly drafts: Drafts;
  /** For rules that ask for frequent kinds, as long as they need them. */
  readonly listeners: Listeners;
}

export interface Pass {
  readonly kinds: readonly EventKind[];
  /** Kinds that it asks for in the main context alone, where events are few. */
  readonly mainKinds?: readonly EventKind[];
  /** An event of one of these kinds; its slots are a, b, c and d. */
  on(kind: number, a: number, b: number, c: number, d: number): void;
  /** The trace is over; `complete` if its last event is run_end. */
  finish(complete: boolean): void;
}
