// Drained sections: one drained_begin with the drained_end that belongs to it (design D9).
//
// QEMU counts levels and knows no sections; here each level says on whose behalf it was raised. A drained_end does not name
// its section in C, so it is found: the newest open one of this node and kind that the same coroutine (or the same thread, at
// thread level) began, else one that the same context and task began, else the newest of that kind. A ledger (`quiescedFor`) is a list of levels; which of them a drained_end lowers makes no difference
// to the block layer, only to the report.

import { assert, must, type NodeId, type SectionId, type SiteId } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { type Drain, Ev, site } from "../probe/index.ts";
import {
  type AioContext,
  type Coroutine,
  currentTask,
  ioOrGsCode,
  machine,
  modelAssert,
  nextId,
  perMachine,
} from "../sched/index.ts";

const SITE_SECTION_BEGIN = site("section_begin");
const SITE_SECTION_END = site("section_end");

/** The catalogue's number of a kind of drain. */
export type DrainKind = (typeof Drain)[keyof typeof Drain];

interface OpenSection {
  readonly id: SectionId;
  /** 0 for a drain of everything. */
  readonly node: NodeId | 0;
  readonly kind: DrainKind;
  readonly ctx: AioContext | null;
  readonly task: number;
  /** Null at thread level. */
  readonly co: Coroutine | null;
}

const openSections = perMachine((): OpenSection[] => []);

/** A drained_begin was entered: the section that it opens. `bs` is null for a drain of everything. */
export function sectionBegin(
  bs: BlockDriverState | null,
  kind: DrainKind,
  site: SiteId,
): SectionId {
  ioOrGsCode(null, SITE_SECTION_BEGIN);
  assert(kind !== 0, "a section has a kind");
  const id = nextId(machine, "section") as SectionId;
  const node = bs === null ? 0 : bs.id;
  const { currentContext: ctx, currentCoroutine: co } = machine;
  openSections().push({ id, node, kind, ctx, task: currentTask(), co });
  machine.probe.emit(Ev.drain_begin, id, node, kind, site);
  return id;
}

/** A drained_end was entered: the section that it ends; from here on it protects nothing. */
export function sectionEnd(bs: BlockDriverState | null, kind: DrainKind, site: SiteId): SectionId {
  ioOrGsCode(null, SITE_SECTION_END);
  assert(kind !== 0, "a section has a kind");
  const id = takeOpen(bs === null ? 0 : bs.id, kind) ?? lastLevelOf(bs);
  machine.probe.emit(Ev.drain_end, id, site);
  return id;
}

/** The condition of `section` was false. Common. */
export function sectionPollEnded(section: SectionId): void {
  machine.probe.emit(Ev.drain_poll_end, section);
}

/** drained_begin of `section` returns. Common. */
export function sectionBegun(section: SectionId): void {
  machine.probe.emit(Ev.drain_begun, section);
}

/** drained_end of `section` returns. Common. */
export function sectionEnded(section: SectionId): void {
  machine.probe.emit(Ev.drain_ended, section);
}

/** The level of `ledger` that an end of `section` lowers: the newest of that section, else the newest of all. Common. */
export function levelFor(ledger: readonly SectionId[], section: SectionId): SectionId {
  assert(ledger.length > 0, "a level is lowered where one was raised");
  return ledger.includes(section)
    ? section
    : must(ledger[ledger.length - 1], "the ledger has a level");
}

/** Remove the newest level of `section` from `ledger`. Common. */
export function removeLevel(ledger: SectionId[], section: SectionId): void {
  const at = ledger.lastIndexOf(section);
  assert(at >= 0, "the level that is lowered is in the ledger");
  ledger.splice(at, 1);
}

function takeOpen(node: NodeId | 0, kind: DrainKind): SectionId | null {
  const open = openSections();
  const { currentContext: ctx, currentCoroutine: co } = machine;
  const task = currentTask();
  const matches = (entry: OpenSection): boolean => entry.node === node && entry.kind === kind;
  const sameTask = (entry: OpenSection): boolean => entry.ctx === ctx && entry.task === task;
  // Two coroutines of one context that both belong to no task are told apart by nothing else.
  const sameActor = (entry: OpenSection): boolean =>
    entry.co === co && (co !== null || sameTask(entry));
  let at = open.findLastIndex((entry) => matches(entry) && sameActor(entry));
  if (at < 0) at = open.findLastIndex((entry) => matches(entry) && sameTask(entry));
  if (at < 0) at = open.findLastIndex(matches);
  if (at < 0) return null;
  return must(open.splice(at, 1)[0], "the section is open").id;
}

/** An end without a begin of its kind: QEMU would only notice when no level at all is left. */
function lastLevelOf(bs: BlockDriverState | null): SectionId {
  const last = bs === null ? undefined : bs.quiescedFor[bs.quiescedFor.length - 1];
  modelAssert(last !== undefined, "bs->quiesce_counter > 0");
  return last;
}
