// Reads against edits of the same list: every read is judged against the edit before it and the edit after it.
//
// Which lists a drain covers through what ("guard"): `children`, `parents`, `file` and `backing` of node b through the level
// of b's quiesce counter, as design D9 says. An edge's `bs` is read by whoever came through the edge's parent, so its guard is
// that parent, whatever it is; drains of the old or new child spread up to it. A BlockBackend's `root` is read by its own
// requests, which its own quiesce counter holds back, so its guard is the BlockBackend.
//
// Two accesses of one task, or both of main, are no pair: nothing could ever run them in another order. An edit of an object
// that nobody else could reach yet (graph.ts, "private") needs no drain; its later readers must come after it in the full
// order, else it is a race like any other. A section counts as ended when drained_end is entered, and covers an edit when the
// editor itself is inside it: what main drains covers what main edits.

import { List } from "#core/probe";
import type { GoneObject } from "../model/gone.ts";
import type { EdgeInfo, Graph } from "../model/graph.ts";
import type { Operations } from "../model/operations.ts";
import type { Section } from "../model/sections.ts";
import type { Now } from "../now.ts";
import { type Knowledge, knowsMark, knowsSig, NEVER } from "../order/knowledge.ts";
import type { Orders } from "../order/orders.ts";
import type { TaskState } from "../order/task.ts";
import { Buckets } from "./buckets.ts";
import { AFTER, CELL_WORDS, Cells, FROM } from "./cells.ts";
import { foldLog, forgetLog, groupFor, settleLog, takeFromLog } from "./log.ts";
import type { Pairs, ReadRef } from "./pairs.ts";
import { learnFromEdit, tellReaders } from "./seen-edits.ts";
import type { Suspects } from "./suspects.ts";
import { Cell, type EditRecord, type Group, Variable } from "./variable.ts";
import { Variables } from "./variables.ts";

export interface ConflictsOptions {
  readonly now: Now;
  readonly graph: Graph;
  readonly orders: Orders;
  readonly operations: Operations;
  readonly pairs: Pairs;
  /** What to gather lists in that another reading may judge in another way; null where nobody asks. */
  readonly suspects: Suspects | null;
  /** The only lists to look at; null for all. */
  readonly only: Suspects | null;
}

export class Conflicts {
  readonly #now: Now;
  readonly #graph: Graph;
  readonly #orders: Orders;
  readonly #operations: Operations;
  readonly #pairs: Pairs;
  /** Gathers the lists that another reading may judge in another way; null where nobody asks. */
  readonly #suspects: Suspects | null;
  /** The only lists that are looked at; null for all. */
  readonly #only: Suspects | null;
  readonly #variables = new Variables();
  readonly #cells = new Cells();
  /** Called when a list is read at `site` whose owner has been freed. */
  readOfGone: ((list: number, gone: GoneObject, site: number) => void) | null = null;
  /** Called when `parents` of a node is read off the main context, which few readers do: a policy alone asks. */
  parentsRead: ((owner: number, site: number) => void) | null = null;
  /** Called when the owner of a list is freed: `times` accesses before that nothing orders before the free. */
  unorderedWithFree:
    | ((variable: Variable, earlier: ReadRef | EditRecord, times: number) => void)
    | null = null;
  /** Lists that keep a clock for those who read them. */
  points = 0;
  /** What was edited last. */
  lastEdited: Variable | null = null;
  /** Variables whose last edit an open section covers. */
  readonly #covering = new Map<Section, Set<Variable>>();

  constructor({ now, graph, orders, operations, pairs, suspects, only }: ConflictsOptions) {
    this.#now = now;
    this.#graph = graph;
    this.#orders = orders;
    this.#operations = operations;
    this.#pairs = pairs;
    this.#suspects = suspects;
    this.#only = only === null || only.areAll ? null : only;
  }

  // ---- Reads, against the edit before -------------------------------------------------------------------------------

  /** `list` of `owner` is read at `site`. */
  read(list: number, owner: number, site: number): void {
    if (this.#only !== null && this.#passesOver(this.#only, list, owner)) return;
    const { ctx, task, index } = this.#now;
    if (list === List.parents && ctx !== 0) this.parentsRead?.(owner, site);
    const orders = this.#orders;
    const unit = this.#now.unit;
    const chain = this.#operations.chain(ctx);
    const cells = this.#cells;
    const found = cells.find(list, owner, site, unit, chain);
    const number = found === 0 ? this.#readerOf(list, owner, site, chain) : found;
    if (number === 0) return;
    const { words } = cells;
    const at = number * CELL_WORDS;
    if (orders.mainKnown() >= (words[at + FROM] as number))
      words[at + AFTER] = (words[at + AFTER] as number) + 1;
    else this.#readAfterEdit(cells.cell(number));
    const { full } = orders;
    if (orders.readsFrom && full !== null) learnFromEdit(full, cells.cell(number).variable, unit);
    const epoch = full === null ? 0 : full.epochNow(unit);
    if (ctx === 0) {
      this.#readInMain(cells.cell(number), epoch);
    } else if (task !== null) {
      task.logRead(cells, number, index, epoch);
      if (task.length >= task.foldAt) foldLog(orders, cells, task);
    } else {
      const group = groupFor(orders, cells.cell(number), orders.context(ctx).base);
      group.add(index, epoch, null);
    }
  }

  /** Whether `list` of `owner` is none of those that are looked at. */
  #passesOver(only: Suspects, list: number, owner: number): boolean {
    if (only.has(list, owner)) return false;
    const { full, units } = this.#orders;
    // Time goes on as if it were, so that accidents are called the same; under the task reading nobody names any.
    if (full !== null && units === null) full.epochNow(this.#now.unit);
    return true;
  }

  #readInMain(cell: Cell, epoch: number): void {
    const { index, taskId, task } = this.#now;
    const group = groupFor(this.#orders, cell, null);
    group.add(index, epoch, task);
    if (task === null) group.lastTask = taskId;
    group.mainTimes ??= new Buckets();
    if (group.mainTimes.isFull) group.mainTimes.compact(-1);
    group.mainTimes.add(this.#orders.mainReleased, 1);
  }

  /** The number of a reader that is new, or was forgotten; 0 when it reads what is gone. */
  #readerOf(list: number, owner: number, site: number, chain: number): number {
    const variable = this.#variables.get(list, owner);
    const known = variable?.cell(site, this.#now.unit, chain) ?? null;
    if (known !== null) {
      this.#cells.remember(known.number);
      return known.number;
    }
    const gone = variable === undefined ? this.#graph.gone.ownerOf(list, owner) : undefined;
    if (gone !== undefined) {
      if (site !== 0) this.readOfGone?.(list, gone, site);
      return 0;
    }
    return this.#addCell(variable ?? this.#addVariable(list, owner), site, chain).number;
  }

  #addVariable(list: number, owner: number): Variable {
    const variable = new Variable(list, owner, this.#graph.guard(list, owner));
    this.#variables.add(variable, this.#now.index);
    return variable;
  }

  /** What is edited. The list of what is gone is not kept, so that each read of it is seen. */
  #edited(list: number, owner: number): Variable {
    const variable = this.#variables.get(list, owner);
    if (variable !== undefined) return variable;
    const isGone = this.#graph.gone.ownerOf(list, owner) !== undefined;
    return isGone
      ? new Variable(list, owner, this.#graph.guard(list, owner))
      : this.#addVariable(list, owner);
  }

  #addCell(variable: Variable, site: number, chain: number): Cell {
    const { ctx, unit, index } = this.#now;
    this.#variables.countCell(site, index);
    if (ctx !== 0) this.#graph.publishOwner(variable.list, variable.owner);
    const cell = new Cell(this.#cells, variable, site, ctx, unit, chain);
    variable.addCell(cell);
    return cell;
  }

  /** A read that is not known to come after a section around the last edit. */
  #readAfterEdit(cell: Cell): void {
    const { variable } = cell;
    const { edit } = variable;
    const { ctx, actor } = this.#now;
    if (edit === null || sameActor(edit.ctx, edit.actor, ctx, actor)) return;
    const who = this.#orders.knowledgeNow();
    const section = edit.cover.find((candidate) => knowsEnd(who, candidate));
    if (section !== undefined) this.#pairs.row(variable, cell.site, false, edit).cover(section, 1);
    else if (knowsEdit(who, edit)) cell.after.sanctioned++;
    else this.#unsanctioned(variable, cell, edit);
  }

  #unsanctioned(variable: Variable, cell: Cell, edit: EditRecord): void {
    const { unit } = this.#now;
    const { full } = this.#orders;
    const lucky = full !== null && full.known(unit, edit.unit) >= edit.epoch;
    if (lucky || full === null) this.#suspects?.add(variable, this.#now.index, edit);
    if (edit.isPrivate && (lucky || full === null)) cell.after.sanctioned++;
    else if (!lucky) {
      cell.after.race ??= { draft: this.#pairs.raceAfterEdit(variable, cell, edit), count: 0 };
      this.#count(cell.after.race);
    } else {
      const label = full.labelFor(unit, edit.unit);
      cell.after.luck ??= new Map();
      let bad = cell.after.luck.get(label);
      if (bad === undefined) {
        bad = { draft: this.#pairs.luckAfterEdit(variable, cell, edit, label), count: 0 };
        cell.after.luck.set(label, bad);
      }
      this.#count(bad);
    }
  }

  #count(bad: { readonly draft: { count: number; last: number }; count: number }): void {
    bad.count++;
    bad.draft.count++;
    bad.draft.last = this.#now.index;
  }

  /** The running task is over: what it read is counted by what it released afterwards. */
  taskEnds(task: TaskState): void {
    if (task.length > 0) settleLog(this.#orders, this.#cells, task);
  }

  /** The task `id` is over, but it is not the one that runs. */
  taskVanishes(id: number): void {
    const task = this.#orders.tasks.get(id);
    if (task !== undefined) forgetLog(this.#cells, task);
  }

  // ---- Edits, against the reads since the edit before ----------------------------------------------------------------

  /** `list` of `owner` is edited at `site`, by an event of `kind`; `value` is its edge or new value. */
  edit(list: number, owner: number, kind: number, value: number, site: number): void {
    if (this.#only !== null && this.#passesOver(this.#only, list, owner)) return;
    const variable = this.#edited(list, owner);
    const previous = variable.edit;
    this.#flush(variable, previous);
    const edit = this.#record(variable, kind, value, site);
    if (edit.ctx !== 0) this.#graph.publishOwner(list, owner);
    if (previous !== null) this.#editAfterEdit(variable, previous, edit);
    for (const cell of variable.cells) {
      for (const group of cell.groups) this.#groupBeforeEdit(variable, cell, group, edit);
      cell.forget();
    }
    this.#logsBeforeEdit(variable, edit);
    this.lastEdited = variable;
    variable.edit = edit;
    this.#setFrom(variable, edit.ctx === 0 && edit.cover.length === 0 ? edit.index : NEVER);
    variable.coveredBy = null;
    for (const section of edit.cover) this.#covers(section, variable);
    const { full, readsFrom } = this.#orders;
    if (!readsFrom || full === null) return;
    if (variable.seen === null) this.points++;
    tellReaders(full, variable, edit.unit);
  }

  #setFrom(variable: Variable, from: number): void {
    variable.from = from;
    this.#cells.setFrom(variable.cells, from);
  }

  /** Reads of tasks that are not over: after a drain there are none. */
  #logsBeforeEdit(variable: Variable, edit: EditRecord): void {
    this.#inLogs(variable, edit.ctx === 0 ? 0 : edit.actor, (cell, group) => {
      this.#groupBeforeEdit(variable, cell, group, edit);
    });
  }

  /** Takes the reads of `variable` out of all logs: `judge` is told of them, but for those of the task `own`. */
  #inLogs(variable: Variable, own: number, judge: (cell: Cell, group: Group) => void): void {
    const ids = this.#cells.loggers(variable.cells);
    const { tasks } = this.#orders;
    const take = (task: TaskState): void => {
      takeFromLog(this.#orders, this.#cells, task, variable, (cell, group) => {
        // The log holds reads off the main context only.
        if (own === 0 || task.id !== own) judge(cell, group);
      });
    };
    if (ids === null) tasks.forEach(take);
    for (const id of ids ?? []) {
      const task = tasks.get(id);
      if (task !== undefined) take(task);
    }
  }

  /** A section of the operation under way that held the guard, and let it go since that operation began. */
  #lapsed(variable: Variable): Section | null {
    const since = this.#operations.outermostSince(0);
    const hold = variable.guard?.past.findLast(
      ({ section, until }) => until > since && this.#operations.opened(section),
    );
    return hold?.section ?? null;
  }

  #edgeOf(variable: Variable, value: number): EdgeInfo | null {
    const id = variable.list === List.edge_bs ? variable.owner : value;
    return id === 0 ? null : (this.#graph.edges.get(id) ?? null);
  }

  #covers(section: Section, variable: Variable): void {
    const variables = this.#covering.get(section);
    if (variables === undefined) this.#covering.set(section, new Set([variable]));
    else variables.add(variable);
  }

  #record(variable: Variable, kind: number, value: number, site: number): EditRecord {
    const { index, ctx, unit, taskId, actor, task } = this.#now;
    const orders = this.#orders;
    variable.guard ??= this.#graph.guard(variable.list, variable.owner);
    const holders = (variable.guard?.holds ?? [])
      .map((hold) => hold.section)
      .sort((a, b) => a.id - b.id);
    return {
      index,
      ctx,
      task: taskId,
      actor,
      request: task === null ? null : task.request,
      site,
      chain: this.#operations.chain(ctx),
      kind,
      value,
      edge: this.#edgeOf(variable, value),
      epoch: orders.full === null ? 0 : orders.full.epochNow(unit),
      unit,
      // Whose lists are looked at alone, others may have seen all the same.
      isPrivate:
        this.#only?.wasPrivate(index) ?? this.#graph.isPrivate(variable.list, variable.owner),
      mark: ctx === 0 ? null : orders.mark(),
      lapsed: this.#lapsed(variable),
      cover: holders.filter((section) => section.isInside(ctx, actor)),
      holders,
    };
  }

  #editAfterEdit(variable: Variable, earlier: EditRecord, edit: EditRecord): void {
    if (sameActor(earlier.ctx, earlier.actor, edit.ctx, edit.actor)) return;
    const { full } = this.#orders;
    const who = this.#orders.knowledgeNow();
    const row = this.#pairs.row(variable, earlier.site, true, edit);
    const section =
      edit.cover.find((candidate) => knowsEdit(pollKnowledge(candidate), earlier)) ??
      earlier.cover.find((candidate) => knowsEnd(who, candidate));
    const lucky = full !== null && full.known(edit.unit, earlier.unit) >= earlier.epoch;
    const isSanctioned = knowsEdit(who, earlier);
    if (section === undefined && !isSanctioned && (lucky || full === null))
      this.#suspects?.add(variable, this.#now.index, earlier);
    if (section !== undefined) row.cover(section, 1);
    else if (isSanctioned || (earlier.isPrivate && (lucky || full === null))) row.sanctioned++;
    else if (!lucky) this.#pairs.race(variable, earlier, edit, 1);
    else this.#pairs.luck(variable, earlier, edit, full.labelFor(edit.unit, earlier.unit), 1);
  }

  #groupBeforeEdit(variable: Variable, cell: Cell, group: Group, edit: EditRecord): void {
    if (group.count === 0 || (cell.ctx === 0 && edit.ctx === 0)) return;
    const row = this.#pairs.row(variable, cell.site, false, edit);
    let left = group.count;
    for (const section of edit.cover) {
      const covered = left - (group.count - knownReads(group, pollKnowledge(section)));
      if (covered <= 0) continue;
      row.cover(section, covered);
      left -= covered;
    }
    const sanctioned = left - (group.count - knownReads(group, this.#orders.knowledgeNow()));
    row.sanctioned += sanctioned;
    left -= sanctioned;
    if (left > 0) this.#unsanctionedBefore(variable, cell, group, edit, left);
  }

  #unsanctionedBefore(
    variable: Variable,
    cell: Cell,
    group: Group,
    edit: EditRecord,
    left: number,
  ): void {
    const { full } = this.#orders;
    // What is known by protocol is known in the full order too, and is the oldest.
    const byProtocol = group.count - left;
    const known =
      full === null || group.times === null
        ? 0
        : group.times.upTo(full.known(edit.unit, cell.unit)) - byProtocol;
    const read: ReadRef = { cell, group };
    if (known > 0 || full === null) this.#suspects?.add(variable, this.#now.index, null);
    if (known > 0 && full !== null) {
      this.#pairs.luck(variable, read, edit, full.labelFor(edit.unit, cell.unit), known);
    }
    if (left > known) this.#pairs.race(variable, read, edit, left - known);
  }

  // ---- Ends --------------------------------------------------------------------------------------------------------

  /** Main entered drained_end of `section`. */
  sectionEnds(section: Section): void {
    const variables = this.#covering.get(section);
    if (variables === undefined) return;
    this.#covering.delete(section);
    if (section.endMark !== null) return;
    for (const variable of variables) {
      if (
        variable.edit === null ||
        variable.edit.ctx !== 0 ||
        variable.from !== NEVER ||
        !variable.edit.cover.includes(section)
      )
        continue;
      this.#setFrom(variable, section.end);
      variable.coveredBy = section;
    }
  }

  /** The owner of `list` is gone. */
  drop(list: number, owner: number): void {
    const variable = this.#variables.get(list, owner);
    if (variable === undefined) return;
    this.#flush(variable, variable.edit);
    this.#beforeFree(variable);
    for (const section of variable.edit?.cover ?? []) this.#covering.get(section)?.delete(variable);
    if (variable.seen !== null) this.points--;
    this.#variables.remove(variable);
    for (const { number } of variable.cells) this.#cells.remove(number);
  }

  /** Accesses since the last edit, and that edit, against the free that happens now: only in the full order can it be said. */
  #beforeFree(variable: Variable): void {
    const { full } = this.#orders;
    const tell = this.unorderedWithFree;
    const suspects = this.#suspects;
    if (tell === null || (full === null && suspects === null)) return;
    const { ctx, actor, unit, index } = this.#now;
    const who = this.#orders.knowledgeNow();
    const { edit } = variable;
    if (edit !== null && !sameActor(edit.ctx, edit.actor, ctx, actor)) {
      if (!knowsEdit(who, edit)) suspects?.add(variable, index, null);
      if (full !== null && full.known(unit, edit.unit) < edit.epoch) tell(variable, edit, 1);
    }
    const judge = (cell: Cell, group: Group): void => {
      if (cell.ctx === 0 && ctx === 0) return;
      if (group.count > knownReads(group, who)) suspects?.add(variable, index, null);
      if (full === null) return;
      const known = group.times?.upTo(full.known(unit, cell.unit)) ?? 0;
      if (group.count > known) tell(variable, { cell, group }, group.count - known);
    };
    for (const cell of variable.cells) for (const group of cell.groups) judge(cell, group);
    this.#inLogs(variable, ctx === 0 ? 0 : actor, judge);
  }

  /** The trace is over. */
  finish(): void {
    this.#variables.forEach((variable) => {
      this.#flush(variable, variable.edit);
    });
  }

  /** Put what was counted since `edit` into the table; what was read before the first edit is no pair with one. */
  #flush(variable: Variable, edit: EditRecord | null): void {
    const { words } = this.#cells;
    for (const cell of variable.cells) {
      const { after } = cell;
      const at = cell.number * CELL_WORDS + AFTER;
      const ordered = words[at] as number;
      words[at] = 0;
      if (edit === null) continue;
      if (ordered + after.sanctioned > 0 || after.race !== null || after.luck !== null) {
        const row = this.#pairs.row(variable, cell.site, false, edit);
        if (variable.coveredBy === null) row.sanctioned += ordered;
        else if (ordered > 0) row.cover(variable.coveredBy, ordered);
        row.sanctioned += after.sanctioned;
        row.race += after.race?.count ?? 0;
        if (after.luck !== null) for (const [label, bad] of after.luck) row.lucky(label, bad.count);
      }
      after.clear();
    }
  }
}

/** Whether two accesses are of one task or both of main: never a pair. */
function sameActor(ctxA: number, taskA: number, ctxB: number, taskB: number): boolean {
  if (ctxA === 0 || ctxB === 0) return ctxA === ctxB;
  return taskA !== 0 && taskA === taskB;
}

/** What the actor that saw the end of `section`'s poll phase knew then. */
function pollKnowledge(section: Section): Knowledge {
  return section.pollKnowledge ?? { p: section.pollEnd, extra: null };
}

function knowsEnd(who: Knowledge, section: Section): boolean {
  if (section.end === NEVER) return false;
  return section.endMark === null ? section.end <= who.p : knowsMark(who, section.endMark);
}

function knowsEdit(who: Knowledge, edit: EditRecord): boolean {
  return edit.mark === null ? edit.index <= who.p : knowsMark(who, edit.mark);
}

/** How many reads of `group` `who` knows: all or none, but for those of main, of which it may know the older ones. */
function knownReads(group: Group, who: Knowledge): number {
  if (group.mainTimes !== null) return group.mainTimes.upTo(who.p - 1);
  if (group.sig === null) return 0;
  return knowsSig(who, group.sig) ? group.count : 0;
}
