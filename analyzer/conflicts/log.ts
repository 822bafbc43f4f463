// A task's log walked backwards: each read gets the signature of the releases behind it, and is then counted in the group of
// that signature. Three walks: at the task's end, at an edit (for the reads of one list), and to shorten a long log.

import { refuseMore } from "../bounds.ts";
import { GROUPS_MAX, LOG_FOLDED_MAX } from "../limits.ts";
import { type Channel, Gen, Sig, SigWalk } from "../order/knowledge.ts";
import type { Orders } from "../order/orders.ts";
import { FOLDED, RELEASE, type TaskState } from "../order/task.ts";
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
  const group = new Group(sig, orders.full !== null);
  cell.addGroup(group);
  return group;
}

/** The task is over: count all its reads. Hot. */
export function settleLog(orders: Orders, task: TaskState): void {
  const { refs, ints } = task;
  const walk = orders.lastWalk;
  walk.restart(baseOf(orders, task));
  for (let i = task.length - 1; i >= 0; i--) {
    const ref = refs[i];
    const index = ints[i * 2] as number;
    if (index === RELEASE) walk.add(ref as Gen);
    else if (ref === null || ref === undefined) continue;
    else if (index === FOLDED) settleFolded(orders, ref as Folded, walk.sig);
    else {
      const cell = ref as Cell;
      cell.variable.logged--;
      if (cell.variable.dead) continue;
      groupFor(orders, cell, walk.sig).add(index, ints[i * 2 + 1] as number, task);
    }
  }
}

function settleFolded(orders: Orders, { cell, group }: Folded, sig: Sig): void {
  cell.variable.logged--;
  if (!cell.variable.dead) groupFor(orders, cell, sig).addAll(group);
}

/** Take the reads of `variable` out of the log of a task that still runs. */
export function takeFromLog(
  orders: Orders,
  task: TaskState,
  variable: Variable,
  take: (cell: Cell, group: Group) => void,
): void {
  const { refs, ints } = task;
  if (!mentions(task, variable)) return;
  const walk = new SigWalk(baseOf(orders, task));
  for (let i = task.length - 1; i >= 0; i--) {
    const ref = refs[i];
    const index = ints[i * 2] as number;
    if (index === RELEASE) walk.add(ref as Gen);
    else if (ref === null || ref === undefined) continue;
    else {
      const cell = index === FOLDED ? (ref as Folded).cell : (ref as Cell);
      if (cell.variable !== variable) continue;
      refs[i] = null;
      const group = new Group(walk.sig, orders.full !== null);
      if (index === FOLDED) group.addAll((ref as Folded).group);
      else group.add(index, ints[i * 2 + 1] as number, task);
      take(cell, group);
    }
  }
}

function mentions(task: TaskState, variable: Variable): boolean {
  const { refs, ints } = task;
  for (let i = 0; i < task.length; i++) {
    const ref = refs[i];
    const index = ints[i * 2] as number;
    if (ref === null || ref === undefined || index === RELEASE) continue;
    const cell = index === FOLDED ? (ref as Folded).cell : (ref as Cell);
    if (cell.variable === variable) return true;
  }
  return false;
}

/** Make one entry of reads of one cell that have equal signatures, and drop releases that change none. */
export function foldLog(orders: Orders, task: TaskState): void {
  const { refs, ints } = task;
  const kept: (Folded | Gen)[] = [];
  const bySig = new Map<Sig, Map<Cell, Folded>>();
  const walk = new SigWalk(baseOf(orders, task));
  for (let i = task.length - 1; i >= 0; i--) {
    const ref = refs[i];
    const index = ints[i * 2] as number;
    if (index === RELEASE) {
      if (walk.add(ref as Gen)) kept.push(ref as Gen);
    } else if (ref !== null && ref !== undefined) {
      const cell = index === FOLDED ? (ref as Folded).cell : (ref as Cell);
      cell.variable.logged--;
      if (cell.variable.dead) continue;
      const { group } = foldedOf(orders, bySig, walk.sig, cell, kept);
      if (index === FOLDED) group.addAll((ref as Folded).group);
      else group.add(index, ints[i * 2 + 1] as number, task);
      if (group.times?.isFull === true) group.times.compact(orders.mainKnows(cell.unit));
    }
  }
  if (kept.length > LOG_FOLDED_MAX)
    refuseMore(LOG_FOLDED_MAX, "different reads and releases of one request");
  task.replaceLog(kept.reverse());
}

function foldedOf(
  orders: Orders,
  bySig: Map<Sig, Map<Cell, Folded>>,
  sig: Sig,
  cell: Cell,
  kept: (Folded | Gen)[],
): Folded {
  let cells = bySig.get(sig);
  if (cells === undefined) {
    cells = new Map();
    bySig.set(sig, cells);
  }
  let folded = cells.get(cell);
  if (folded === undefined) {
    folded = new Folded(cell, new Group(null, orders.full !== null));
    cells.set(cell, folded);
    cell.variable.logged++;
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
