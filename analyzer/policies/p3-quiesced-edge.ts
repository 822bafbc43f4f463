// P3, Wolf's simplification of drains in QEMU 8.0: an edge moves only while it is quiesced, so that moving it never polls.
//
// Demand, where an edge is pointed at a node: the edge has quiesced its parent (8.0 asserts `quiesced_parent`; here the edge's
// counter of levels, `parent_quiesce_counter`, is above zero), and the node that it is pointed at is quiesced, so that the end of
// the move does not let the parent go. An edge that is pointed at nothing needs neither, as in 8.0. Nor does an edge whose parent
// nobody but its creator can have seen. Nothing is demanded of readers: in 8.0 they are the business of the locks.

import { Ev, List } from "#core/probe";
import type { EditRecord, Variable } from "../conflicts/variable.ts";
import type { Told } from "../drafts.ts";
import type { EdgeInfo } from "../model/graph.ts";
import type { Names } from "../names.ts";
import type { PassContext } from "../passes/pass.ts";
import type { RuleId } from "../rules.ts";
import { Offences } from "./offences.ts";
import { COVERAGE_RULES, type PolicyJudge } from "./policy.ts";

export class QuiescedEdgeJudge implements PolicyJudge {
  readonly id = "P3";
  readonly kinds = [Ev.edge_quiesce, Ev.edge_free, Ev.list_set] as const;
  readonly #context: PassContext;
  readonly #offences: Offences;
  /** Levels of the edges that have any. */
  readonly #levels = new Map<number, number>();

  constructor(context: PassContext) {
    this.#context = context;
    this.#offences = new Offences(context);
  }

  get drafts() {
    return this.#offences.drafts;
  }

  on(kind: number, a: number, b: number): void {
    if (kind === Ev.edge_quiesce && b > 0) this.#levels.set(a, b);
    else if (kind !== Ev.list_set) this.#levels.delete(a);
    else if (a === List.edge_bs) this.#moved();
  }

  finish(): void {}

  keeps(rule: RuleId): boolean {
    return !COVERAGE_RULES.has(rule);
  }

  silence(): string {
    return "";
  }

  #moved(): void {
    const { lastEdited } = this.#context.conflicts;
    const edit = lastEdited?.edit ?? null;
    if (lastEdited === null || edit === null || edit.value === 0 || edit.edge === null) return;
    const { edge } = edit;
    if (edge.parent?.isPrivate === true) return;
    if (!this.#levels.has(edge.id))
      this.#offend("edge-not-quiesced", lastEdited, edit, edge, parentText);
    if (edge.child !== null && edge.child.holds.length === 0)
      this.#offend("child-not-quiesced", lastEdited, edit, edge, childText);
  }

  #offend(
    rule: "edge-not-quiesced" | "child-not-quiesced",
    variable: Variable,
    edit: EditRecord,
    edge: EdgeInfo,
    why: (names: Names, edge: EdgeInfo, child: EdgeInfo["child"]) => string,
  ): void {
    const { parent, child } = edge;
    const told: Told = {
      title: (names) => {
        const where = child === null ? "a node" : names.objectText(child);
        const what = rule === "edge-not-quiesced" ? "a quiesced edge" : "that node being quiesced";
        return `${names.site(edit.site).name} points ${names.listText(List.edge_bs, parent, edge)} at ${where} without ${what}.`;
      },
      why: (names) => why(names, edge, child),
    };
    this.#offences.edit(rule, variable, edit, told);
  }
}

function parentText(names: Names, { parent }: EdgeInfo): string {
  const who = parent === null ? "its parent" : names.objectText(parent);
  return `The edge had not quiesced ${who}, so a request of ${who} may be on its way through it.`;
}

function childText(names: Names, _edge: EdgeInfo, child: EdgeInfo["child"]): string {
  const who = child === null ? "The new child" : names.objectText(child);
  return `No drained section holds ${who}, so the move would end what the edge has quiesced.`;
}
