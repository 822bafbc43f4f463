// What becomes of a pair: a count in the coverage table, and for races and lucky pairs a finding.

import { Ev, List } from "#core/probe";
import type { AccessDraft, Drafts, FindingDraft, SectionDraft } from "../drafts.ts";
import type { Graph, Holdable } from "../model/graph.ts";
import type { Section } from "../model/sections.ts";
import type { Now } from "../now.ts";
import type { FullOrder, Label } from "../order/full.ts";
import { NEVER } from "../order/knowledge.ts";
import { Consequences } from "./consequences.ts";
import { adviceFor, whyAfterEdit, whyBeforeEdit } from "./reasons.ts";
import type { RowDraft, Tally } from "./tally.ts";
import type { Cell, EditRecord, Group, Variable } from "./variable.ts";

/** A read that is long past: its latest like. */
export interface ReadRef {
  readonly cell: Cell;
  readonly group: Group;
}

interface Side {
  readonly what: "read" | "edit";
  readonly site: number;
  readonly chain: number;
}

/** Key of the pair that a finding is about; the two sides are the same pair in either order. */
export function pairKey(list: number, first: Side, second: Side): string {
  const a = `${first.what} ${first.site} ${first.chain}`;
  const b = `${second.what} ${second.site} ${second.chain}`;
  return `${list} ${a < b ? `${a} ${b}` : `${b} ${a}`}`;
}

export class Pairs {
  readonly #now: Now;
  readonly #graph: Graph;
  readonly #tally: Tally;
  readonly #drafts: Drafts;
  readonly #consequences: Consequences | null;

  constructor(now: Now, graph: Graph, tally: Tally, drafts: Drafts, full: FullOrder | null) {
    this.#now = now;
    this.#graph = graph;
    this.#tally = tally;
    this.#drafts = drafts;
    this.#consequences = full === null ? null : new Consequences(full);
  }

  /** The row of a reader (or earlier editor) and an editor. */
  row(variable: Variable, site: number, isEdit: boolean, edit: EditRecord): RowDraft {
    return this.#tally.row(variable.list, site, isEdit, edit.site, edit.chain);
  }

  // ---- The read comes after the edit ---------------------------------------------------------------------------------

  /** The finding of a read, now, that races with `edit`; its pairs are counted by the caller. */
  raceAfterEdit(variable: Variable, cell: Cell, edit: EditRecord): FindingDraft {
    return this.#afterEdit("race", variable, cell, edit, null);
  }

  /** The finding of a read, now, that only an accident puts after `edit`. */
  luckAfterEdit(variable: Variable, cell: Cell, edit: EditRecord, label: Label): FindingDraft {
    return this.#afterEdit("covered-by-luck", variable, cell, edit, label);
  }

  #afterEdit(
    rule: "race" | "covered-by-luck",
    variable: Variable,
    cell: Cell,
    edit: EditRecord,
    luck: Label | null,
  ): FindingDraft {
    const { index, task } = this.#now;
    const key = `${rule} ${luck ?? ""} ${pairKey(variable.list, { ...cell, what: "read" }, { ...edit, what: "edit" })}`;
    const isNew = !this.#drafts.has(key);
    const draft = this.#drafts.note(key, index, 0, () => ({
      rule,
      ...subject(this.#graph, variable),
      accesses: [editAccess(edit), this.#readNow(variable, cell)],
      why: whyAfterEdit(edit, task, index),
      advice: adviceFor({ graph: this.#graph, variable, edit, sig: null, task }),
      luck,
    }));
    if (isNew && rule === "race") this.#consequences?.add(draft);
    return draft;
  }

  #readNow(variable: Variable, cell: Cell): AccessDraft {
    const { index, taskId, task } = this.#now;
    return {
      what: "read",
      index,
      ctx: cell.ctx,
      task: taskId,
      request: task === null ? null : task.request,
      site: cell.site,
      chain: cell.chain,
      kind: Ev.list_read,
      value: 0,
      edge: null,
      sections: sectionsAt(variable.guard, index),
    };
  }

  // ---- The edit comes last -------------------------------------------------------------------------------------------

  /** `times` accesses race with the edit that happens now. */
  race(variable: Variable, earlier: ReadRef | EditRecord, edit: EditRecord, times: number): void {
    this.#beforeEdit("race", variable, earlier, edit, null, times);
    this.row(variable, siteOf(earlier), !("cell" in earlier), edit).race += times;
  }

  /** `times` accesses come before the edit that happens now only by an accident. */
  luck(
    variable: Variable,
    earlier: ReadRef | EditRecord,
    edit: EditRecord,
    label: Label,
    times: number,
  ): void {
    this.#beforeEdit("covered-by-luck", variable, earlier, edit, label, times);
    this.row(variable, siteOf(earlier), !("cell" in earlier), edit).lucky(label, times);
  }

  #beforeEdit(
    rule: "race" | "covered-by-luck",
    variable: Variable,
    earlier: ReadRef | EditRecord,
    edit: EditRecord,
    luck: Label | null,
    times: number,
  ): void {
    const side: Side =
      "cell" in earlier ? { ...earlier.cell, what: "read" } : { ...earlier, what: "edit" };
    const key = `${rule} ${luck ?? ""} ${pairKey(variable.list, side, { ...edit, what: "edit" })}`;
    const sig = "cell" in earlier ? earlier.group.sig : null;
    const loose =
      "cell" in earlier
        ? earlier.group.lastTask === 0 && earlier.cell.ctx !== 0
        : earlier.task === 0 && earlier.ctx !== 0;
    const isNew = !this.#drafts.has(key);
    const draft = this.#drafts.note(key, edit.index, times, () => ({
      rule,
      ...subject(this.#graph, variable),
      accesses: [accessOf(variable, earlier), editAccess(edit)],
      why: whyBeforeEdit({ graph: this.#graph, variable, edit, sig, loose }),
      advice: loose ? null : adviceFor({ graph: this.#graph, variable, edit, sig, task: null }),
      luck,
    }));
    if (isNew && rule === "race") this.#consequences?.add(draft);
  }
}

/** A read or edit of the past as an access of a finding. */
export function accessOf(variable: Variable, earlier: ReadRef | EditRecord): AccessDraft {
  if (!("cell" in earlier)) return editAccess(earlier);
  const { cell, group } = earlier;
  return {
    what: "read",
    index: group.last,
    ctx: cell.ctx,
    task: group.lastTask,
    request: group.lastRequest,
    site: cell.site,
    chain: cell.chain,
    kind: Ev.list_read,
    value: 0,
    edge: null,
    sections: sectionsAt(variable.guard, group.last),
  };
}

/** An edit as an access of a finding. */
export function editAccess(edit: EditRecord): AccessDraft {
  return {
    what: "edit",
    index: edit.index,
    ctx: edit.ctx,
    task: edit.task,
    request: edit.request,
    site: edit.site,
    chain: edit.chain,
    kind: edit.kind,
    value: edit.value,
    edge: edit.edge,
    sections: edit.holders
      .filter((section) => section.end > edit.index)
      .map((section) => sectionAt(section, edit.index)),
  };
}

/** What a finding about a list says it is about. */
export function subject(
  graph: Graph,
  variable: Variable,
): Pick<FindingDraft, "list" | "owner" | "node" | "edge"> {
  const isEdge = variable.list === List.edge_bs;
  return {
    list: variable.list,
    owner: variable.owner,
    node: variable.guard,
    edge: isEdge ? graph.edge(variable.owner) : null,
  };
}

function siteOf(earlier: ReadRef | EditRecord): number {
  return "cell" in earlier ? earlier.cell.site : earlier.site;
}

const NONE: readonly SectionDraft[] = [];

/** Sections that hold `guard` at event `index`, which happens now. */
export function sectionsNow(guard: Holdable | null, index: number): readonly SectionDraft[] {
  return guard === null || guard.holds.length === 0 ? NONE : sectionsAt(guard, index);
}

/** Sections that held `guard` at event `index`, as far back as is remembered. */
export function sectionsAt(guard: Holdable | null, index: number): SectionDraft[] {
  if (guard === null) return [];
  const isOpen = (section: Section): boolean => section.end > index;
  const held = guard.holds.filter((hold) => hold.since < index && isOpen(hold.section));
  const past = guard.past.filter(
    (hold) => hold.since < index && hold.until > index && isOpen(hold.section),
  );
  return [...new Set([...past, ...held].map((hold) => hold.section))]
    .sort((a, b) => a.id - b.id)
    .map((section) => sectionAt(section, index));
}

function sectionAt(section: Section, index: number): SectionDraft {
  if (section.pollEnd <= index) return { section, state: "drained" };
  return {
    section,
    state: section.begun && section.pollEnd === NEVER ? "not waited for" : "waiting",
  };
}
