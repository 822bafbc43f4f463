// P2, Sementsov-Ogievskiy's position in the discussion of patch 10: drain only the parent whose children change.
//
// Demands: (1) as P1, for `children`, `file`, `backing`, an edge's `bs` and a BlockBackend's `root`: all of them belong to the
// parent, and draining it stops everyone who walks them. (2) `parents` is global state: an edit of it needs no drain, and in
// return nobody off the main context reads it. (3) A drain excludes requests, not other operations; so operations that edit the
// graph exclude one another: none makes an edit between the begin and the end of another one that edits too.
//
//   main   bdrv_append begins ── edit ── polls ──────────────────────────── edit ── ends
//          a bottom half in that poll:   bdrv_replace_node begins ── edit ── ends          <- not exclusive
//
// An operation is a run of the outermost graph operation of a call stack (model/operations.ts); an edit outside of any is one by
// itself. A caller that makes several operations in one drained section is several operations.

import { Ev, List } from "#core/probe";
import type { EditRecord, Variable } from "../conflicts/variable.ts";
import type { Told } from "../drafts.ts";
import type { PassContext } from "../passes/pass.ts";
import type { RuleId } from "../rules.ts";
import { Offences } from "./offences.ts";
import { COVERAGE_RULES, type PolicyJudge } from "./policy.ts";

/** An operation under way that has edited, or inside whose time another one has. */
interface Run {
  readonly activity: number;
  readonly serial: number;
  lastEdit: EditRecord | null;
  /** The latest edit of another operation since this one began. */
  foreign: EditRecord | null;
}

export class ParentOnlyJudge implements PolicyJudge {
  readonly id = "P2";
  readonly kinds = [
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
    Ev.graph_op_begin,
    Ev.tran_action_begin,
  ] as const;
  readonly #context: PassContext;
  readonly #offences: Offences;
  /** Operations under way in the main context; those that are over are swept out when the next one begins or edits. */
  #runs: Run[] = [];

  constructor(context: PassContext) {
    this.#context = context;
    this.#offences = new Offences(context);
    context.conflicts.parentsRead = (owner, site) => this.#read(owner, site);
  }

  get drafts() {
    return this.#offences.drafts;
  }

  on(kind: number): void {
    if (kind === Ev.graph_op_begin || kind === Ev.tran_action_begin) this.#begins();
    else this.#edited();
  }

  finish(): void {}

  keeps(rule: RuleId, list: number): boolean {
    return list !== List.parents || !COVERAGE_RULES.has(rule);
  }

  silence(): string {
    return "";
  }

  #read(owner: number, site: number): void {
    this.#offences.read("parents-read-off-main", List.parents, owner, site, () =>
      this.#tellRead(owner, site),
    );
  }

  #tellRead(owner: number, site: number): Told {
    const { graph, now } = this.#context;
    const node = graph.node(owner);
    const { ctx } = now;
    return {
      title: (names) =>
        `${names.site(site).name} reads parents of ${names.objectText(node)} in ${names.ctx(ctx)}.`,
      why: () => "By this policy parents is global state: only the main context may look at it.",
    };
  }

  /** A frame begins; if it is the outermost one of its stack, an operation does. */
  #begins(): void {
    const { operations, now } = this.#context;
    if (now.ctx !== 0) return;
    const activity = operations.activity(0);
    const serial = operations.outermost(0);
    this.#sweep();
    if (this.#runs.some((run) => run.activity === activity)) return;
    this.#runs.push({ activity, serial, lastEdit: null, foreign: null });
  }

  #sweep(): void {
    const { operations } = this.#context;
    this.#runs = this.#runs.filter(({ activity, serial }) =>
      operations.isUnderWay(activity, serial),
    );
  }

  #edited(): void {
    const { conflicts, operations } = this.#context;
    const { lastEdited } = conflicts;
    const edit = lastEdited?.edit ?? null;
    if (lastEdited === null || edit === null || edit.ctx !== 0 || edit.isPrivate) return;
    if (this.#runs.length === 0) return;
    this.#sweep();
    const activity = operations.activity(0);
    for (const run of this.#runs) {
      if (run.activity === activity) this.#ownEdit(run, lastEdited, edit);
      else {
        if (run.lastEdit !== null) this.#offend(lastEdited, edit, run.lastEdit);
        run.foreign = edit;
      }
    }
  }

  /** The operation edits, and another one has since it began, though not since its own last edit, of which that was told. */
  #ownEdit(run: Run, variable: Variable, edit: EditRecord): void {
    if (run.foreign !== null && run.lastEdit === null) this.#offend(variable, edit, run.foreign);
    run.lastEdit = edit;
    run.foreign = null;
  }

  #offend(variable: Variable, edit: EditRecord, earlier: EditRecord): void {
    const { graph } = this.#context;
    const { list, owner, guard } = variable;
    const edge = list === List.edge_bs ? graph.edge(owner) : null;
    const told: Told = {
      title: (names) =>
        `${names.outermost(edit.chain, edit.site).name} edits ${names.listText(list, guard, edge)} while another operation edits the graph.`,
      why: (names) =>
        `${names.outermost(earlier.chain, earlier.site).name} made an edit and ${names.outermost(edit.chain, edit.site).name} the next one, though one of the two had begun before the other and was not over.`,
    };
    this.#offences.edit("edits-not-exclusive", variable, edit, told, earlier);
  }
}
