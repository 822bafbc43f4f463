// Why no drain covers a pair, and the smallest drained section that would.
//
// A section on node b stops and awaits what works above b: requests that hold a counter of b or of anything that b's drain
// reaches upwards. So a section of kind single on the list's node is enough whenever the reader's request holds such a
// counter. A reader that holds only counters below b (a request straight at a child) is awaited by a subtree drain alone. A
// reader that belongs to no task is awaited by none, and one that does not queue at its gate is held back by none: then there
// is no advice.

import { List } from "#core/probe";
import type { AdviceDraft, Why } from "../drafts.ts";
import type { Graph, Holdable } from "../model/graph.ts";
import type { Section } from "../model/sections.ts";
import { type Channel, NEVER, type Sig } from "../order/knowledge.ts";
import type { TaskState } from "../order/task.ts";
import type { EditRecord, Variable } from "./variable.ts";

/** What reasons are drawn from. `sig`: what the earlier reader released; `task`: the request of the later reader. */
export interface PairFacts {
  readonly graph: Graph;
  readonly variable: Variable;
  readonly edit: EditRecord;
  readonly sig: Sig | null;
  readonly task: TaskState | null;
}

/** Why a read before an edit is not covered. */
export function whyBeforeEdit(facts: Omit<PairFacts, "task"> & { readonly loose: boolean }): Why {
  const { edit } = facts;
  const section = edit.cover[edit.cover.length - 1];
  if (facts.loose) return { code: "no-task", section: section ?? null };
  if (section === undefined) return whyNotInside(edit);
  const counters = holdablesOf(facts.graph, facts.sig?.channels() ?? []);
  return { code: "counter-not-waited-for", section, counters };
}

/** Why a read by `task` (null: by nobody in particular) at event `index`, after an edit, is not covered. */
export function whyAfterEdit(edit: EditRecord, task: TaskState | null, index: number): Why {
  const section = edit.cover[edit.cover.length - 1];
  if (section === undefined) return whyNotInside(edit);
  if (section.end > index) return { code: "let-in-early", section };
  return task === null ? { code: "no-task", section } : { code: "no-gate", section };
}

/** A section that held the node has ended, or has let the node alone go: an edge was detached that it had come through. */
export function whyLapsed(section: Section, index: number): Why {
  return { code: section.end < index ? "ended-before" : "let-go", section };
}

function whyNotInside(edit: EditRecord): Why {
  const waiting = edit.holders.find((section) => section.pollEnd === NEVER);
  if (waiting !== undefined) return { code: "not-waited", section: waiting };
  if (edit.lapsed !== null) return whyLapsed(edit.lapsed, edit.index);
  const other = edit.holders[0];
  return other === undefined ? { code: "not-held" } : { code: "foreign-section", section: other };
}

/**
 * The smallest section that would cover the pair; null when none would: a reader of no task, and one that a section around
 * the edit neither held back nor awaited although it could have.
 */
export function adviceFor(facts: PairFacts): AdviceDraft | null {
  const { graph, variable, edit, sig, task } = facts;
  if (sig === null && task === null) return null;
  const node = drainNode(graph, variable, edit);
  if (node === null) return null;
  const reached = reachedFromAbove(facts, node);
  if (edit.cover.length > 0 && (reached || sig === null)) return null;
  return { kind: reached ? "single" : "subtree", node, chain: edit.chain, site: edit.site };
}

/** The node on which to begin a section that holds the variable's guard. */
export function drainNode(graph: Graph, variable: Variable, edit: EditRecord): Holdable | null {
  const guard = variable.guard;
  if (guard !== null && guard.kind === "node") return guard;
  // A BlockBackend or job is held through the node below it: the one that it leaves, else the one that it gets.
  const edge =
    variable.list === List.edge_bs
      ? graph.edges.get(variable.owner)
      : (guard?.below[0] ?? graph.edges.get(edit.value));
  if (edge?.child != null) return edge.child;
  return variable.list === List.edge_bs && edit.value !== 0 ? graph.node(edit.value) : null;
}

/** Whether what the reader holds is held back and awaited by a drain of `node` that spreads upwards only. */
function reachedFromAbove(facts: PairFacts, node: Holdable): boolean {
  const { graph, variable, edit, sig, task } = facts;
  const above = ancestors(node);
  const moved =
    variable.list === List.edge_bs ? graph.edges.get(variable.owner) : graph.edges.get(edit.value);
  if (moved?.parent != null) for (const more of ancestors(moved.parent)) above.add(more);
  if (task !== null) return task.heldCount === 0 || above.has(graph.blk(task.heldBlk));
  const counters = holdablesOf(graph, sig?.channels() ?? []);
  return counters.length === 0 || counters.some((holdable) => above.has(holdable));
}

/** `start` and everything that its drain reaches upwards. */
export function ancestors(start: Holdable): Set<Holdable> {
  const seen = new Set([start]);
  for (const holdable of seen) {
    for (const edge of holdable.above) if (edge.parent !== null) seen.add(edge.parent);
  }
  return seen;
}

function holdablesOf(graph: Graph, channels: readonly Channel[]): Holdable[] {
  const found: Holdable[] = [];
  for (const { kind, id } of channels) {
    if (kind === "node-counter") found.push(graph.node(id));
    else if (kind === "blk-counter") found.push(graph.blk(id));
    else if (kind === "job-idle") found.push(graph.job(id));
  }
  return found;
}
