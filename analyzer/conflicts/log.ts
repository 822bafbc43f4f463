// A task's log walked backwards: each read gets the signature of the releases behind it, and is then counted in the group of
// that signature. Three walks: at the task's end, at an edit (for the reads of one list), and to shorten a long log.

import { refuseMore } from "../bounds.ts";
import { GROUPS_MAX, LOG_FOLDED_MAX } from "../limits.ts";
import { type Channel, Gen, Sig, SigWalk } from "../order/knowledge.ts";
import type { Orders } from "../order/orders.ts";
import { OTHER, type TaskState } from "../order/task.ts";
import { CELL_WORDS, type Cells, COUNT, LAST, SIG } from "./cells.ts";
import { type Cell, Folded, Group, type Variable } from "./variable.ts";

/** What everything in the log is followed by: the end of the context that the task is in. */
function baseOf(orders: Orders, task: TaskState): Sig {
  return task.lastCtx > 0 ? orders.context(task.lastCtx).base : orders.nothing;
}

/** The group of `sig` in `cell`, with room for one more. */
export function groupFor(orders: Orders, cell: Cell, sig: Sig | null): Group {
  const group = cell.find(sig) ?? newGroup(orders, cell, sig);
  if (group.times?.isFull === true) group.times.compact(orders.mainKnows(cell.unit));
  return group;
}

function newGroup(orders: Orders, cell: Cell, sig: Sig | null): Group {
  const { groupsMax } = orders.limits;
  if (cell.groups.length >= Math.max(groupsMax, cell.mergeAt)) {
    mergeGroups(orders, cell);
    const merged = cell.find(sig);
    if (merged !== null) return merged;
  }
  return cell.addGroup(sig, orders.full !== null);
}

/** The task is over: count all its reads. Hot. */
export function settleLog(orders: Orders, cells: Cells, task: TaskState): void {
  const isTimed = orders.full !== null;
  const walk = orders.lastWalk;
  walk.restart(baseOf(orders, task));
  for (let i = task.length - 1; i >= 0; i--) {
    const ref = task.ref(i);
    if (ref < 0) walk.add(task.gen(ref));
    else if (ref === OTHER) settleFolded(orders, cells, task.folded(task.index(i)), walk.sig);
    else if (cells.unlog(ref)) {
      const at = ref * CELL_WORDS;
      const { words } = cells;
      if (words[at + SIG] !== walk.sig.id || isTimed) {
        groupFor(orders, cells.cell(ref), walk.sig).add(task.index(i), task.epoch(i), task);
        continue;
      }
      words[at + COUNT] = (words[at + COUNT] as number) + 1;
      const index = task.index(i);
      if (index > (words[at + LAST] as number)) cells.setLast(ref, index, task);
    }
  }
}

function settleFolded(orders: Orders, cells: Cells, folded: Folded | null, sig: Sig): void {
  if (folded === null || !cells.unlog(folded.cell.number)) return;
  groupFor(orders, folded.cell, sig).addAll(folded.group);
}

/** The task is over, and nobody will know what it did after its reads: they are no part of the run. */
export function forgetLog(cells: Cells, task: TaskState): void {
  for (let i = 0; i < task.length; i++) {
    const number = readerOf(task, i);
    if (number > 0) cells.unlog(number);
  }
}

/** The number of the cell that an entry is a read of, or several; 0 for none. */
function readerOf(task: TaskState, entry: number): number {
  const ref = task.ref(entry);
  if (ref !== OTHER) return Math.max(ref, 0);
  return task.folded(task.index(entry))?.cell.number ?? 0;
}

/** Take the reads of `variable` out of the log of a task that still runs. */
export function takeFromLog(
  orders: Orders,
  cells: Cells,
  task: TaskState,
  variable: Variable,
  take: (cell: Cell, group: Group) => void,
): void {
  if (!mentions(cells, task, variable)) return;
  const walk = new SigWalk(baseOf(orders, task));
  for (let i = task.length - 1; i >= 0; i--) {
    const ref = task.ref(i);
    if (ref < 0) walk.add(task.gen(ref));
    const number = readerOf(task, i);
    if (number === 0 || cells.cell(number).variable !== variable) continue;
    const group = new Group(walk.sig, orders.full !== null);
    addEntry(group, task, i);
    const cell = cells.cell(number);
    task.take(i);
    cells.unlog(number);
    take(cell, group);
  }
}

function mentions(cells: Cells, task: TaskState, variable: Variable): boolean {
  for (let i = 0; i < task.length; i++) {
    const number = readerOf(task, i);
    if (number > 0 && cells.cell(number).variable === variable) return true;
  }
  return false;
}

function addEntry(group: Group, task: TaskState, entry: number): void {
  const folded = task.ref(entry) === OTHER ? task.folded(task.index(entry)) : null;
  if (folded !== null) group.addAll(folded.group);
  else group.add(task.index(entry), task.epoch(entry), task);
}

/** Make one entry of reads of one cell that have equal signatures, and drop releases that change none. */
export function foldLog(orders: Orders, cells: Cells, task: TaskState): void {
  const kept: (Folded | Gen)[] = [];
  const bySig = new Map<Sig, Map<Cell, Folded>>();
  const walk = new SigWalk(baseOf(orders, task));
  for (let i = task.length - 1; i >= 0; i--) {
    const ref = task.ref(i);
    if (ref < 0) {
      if (walk.add(task.gen(ref))) kept.push(task.gen(ref));
      continue;
    }
    const number = readerOf(task, i);
    if (number === 0 || !cells.unlog(number)) continue;
    const cell = cells.cell(number);
    const { group } = foldedOf(orders, cells, task, { bySig, sig: walk.sig, cell, kept });
    addEntry(group, task, i);
    if (group.times?.isFull === true) group.times.compact(orders.mainKnows(cell.unit));
  }
  if (kept.length > LOG_FOLDED_MAX)
    refuseMore(LOG_FOLDED_MAX, "different reads and releases of one request");
  task.replaceLog(kept.reverse());
}

interface Folding {
  readonly bySig: Map<Sig, Map<Cell, Folded>>;
  readonly sig: Sig;
  readonly cell: Cell;
  readonly kept: (Folded | Gen)[];
}

function foldedOf(
  orders: Orders,
  cells: Cells,
  task: TaskState,
  { bySig, sig, cell, kept }: Folding,
): Folded {
  let byCell = bySig.get(sig);
  if (byCell === undefined) {
    byCell = new Map();
    bySig.set(sig, byCell);
  }
  let folded = byCell.get(cell);
  if (folded === undefined) {
    folded = new Folded(cell, new Group(null, orders.full !== null));
    byCell.set(cell, folded);
    cells.log(cell.number, task.id);
    kept.push(folded);
  }
  return folded;
}

/**
 * Merge the groups of a cell that no later edit of main can tell apart: those that main learned of between the same poll ends
 * of open sections, and those of which it will learn at one moment, as their channels' generations are all still unknown to it.
 */
function mergeGroups(orders: Orders, cell: Cell): void {
  const merged = new Map<Sig, Group>();
  const known = new Map<number, Sig>();
  const main = cell.groups.filter((group) => group.sig === null);
  for (const group of cell.groups) {
    if (group.sig === null) continue;
    const sig = representative(orders, group.sig, known);
    let into = merged.get(sig);
    if (into === undefined) {
      into = new Group(sig, orders.full !== null);
      merged.set(sig, into);
    }
    if (group.sig.knownToMain() <= orders.now.index) group.times?.collapse();
    into.addAll(group);
    if (into.times?.isFull === true) into.times.compact(orders.mainKnows(cell.unit));
  }
  cell.groups = [...main, ...merged.values()];
  if (cell.groups.length > GROUPS_MAX)
    refuseMore(GROUPS_MAX, "ways in which the reads of one site are released");
  cell.mergeAt = cell.groups.length * 2;
}

function representative(orders: Orders, sig: Sig, known: Map<number, Sig>): Sig {
  const at = sig.knownToMain();
  if (at > orders.now.index) return promoted(orders, sig);
  const rank = orders.pollEndsBefore(at);
  let shared = known.get(rank);
  if (shared === undefined) {
    shared = new Sig(null, new Gen(null, 0));
    known.set(rank, shared);
  }
  const { gen } = shared;
  // Who knows main up to the latest of them knows them all; who knows less is told that it knows none.
  if (gen !== null && (gen.acq > orders.now.index || gen.acq < at)) gen.acq = at;
  return shared;
}

/** The same channels at their newest generations: main learns all of a channel at once. */
function promoted(orders: Orders, sig: Sig): Sig {
  const walk = new SigWalk(orders.nothing);
  for (let at: Sig | null = sig; at !== null; at = at.parent) {
    const channel: Channel | null = at.gen === null ? null : at.gen.channel;
    const newest =
      channel === null ? at.gen : (channel.unacquired[channel.unacquired.length - 1] ?? at.gen);
    if (newest !== null) walk.add(newest);
  }
  return walk.sig;
}
