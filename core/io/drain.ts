// Draining one node: stop whatever sends it requests, then wait until none is in flight.
//
//        blk          a drained_begin on `fmt` raises fmt, then, upwards, its parents (blk, job): none of them sends
//         |           new requests. `file` is not quiesced: it only gets requests from fmt. Phases of drained_begin:
//   job--fmt          1. quiesce: counters up, parents told, driver hooks started. Never polls, never edits the graph.
//         |           2. poll, once for the whole operation, while anything above or in the node is in flight. Anything
//        file            can happen here, edits included, so the condition looks at the graph anew each time.
//
// Drains nest and do not exclude one another. The end goes from child to parent, then lowers the node's own counter. This
// file is thread level; coroutines go through co-drain.ts. Neighbours: parent-drain.ts (edges upwards), drain-poll.ts (the
// condition), drain-hooks.ts (driver hooks), subtree.ts (downwards), drain-all.ts, sections.ts (on whose behalf).

import { assert, type SectionId, type SiteId } from "../base/index.ts";
import { childrenOf, edgeBs } from "../graph/access.ts";
import type { BdrvChild, BlockDriverState, DrainedEndCounter } from "../graph/state.ts";
import { Drain, Ev, site } from "../probe/index.ts";
import {
  aioDisableExternal,
  aioEnableExternal,
  aioWaitWhile,
  aioWaitWhileUnlocked,
  ioOrGsCode,
  machine,
  modelAssert,
  type Polls,
  patchOn,
  qemuInCoroutine,
} from "../sched/index.ts";
import { bdrvDrainInvokeBegin, bdrvDrainInvokeEnd } from "./drain-hooks.ts";
import { bdrvDrainPoll } from "./drain-poll.ts";
import { bdrvParentDrainedBegin, bdrvParentDrainedEnd } from "./parent-drain.ts";
import {
  type DrainKind,
  levelFor,
  removeLevel,
  sectionBegin,
  sectionBegun,
  sectionEnd,
  sectionEnded,
  sectionPollEnded,
} from "./sections.ts";

const SITE_DO_BEGIN = site("bdrv_do_drained_begin");
const SITE_DO_END = site("bdrv_do_drained_end");
const SITE_QUIESCE = site("bdrv_do_drained_begin_quiesce");
const SITE_DRAINED_BEGIN = site("bdrv_drained_begin");
const SITE_DRAINED_END = site("bdrv_drained_end");
const SITE_DRAIN = site("bdrv_drain");
const SITE_DRAINED_BEGIN_IN = site("drained_begin_in");
const SITE_DRAINED_END_IN = site("drained_end_in");

/** How a drain walks the graph (C: the flag train of bdrv_do_drained_begin). */
export interface DrainWalk {
  /** On whose behalf levels are raised or lowered. */
  readonly section: SectionId;
  /** The edge through which this node was reached; null for the node that the drain is about. */
  readonly through: BdrvChild | null;
  /** The edge to a parent that is left alone, as the walk came from there (C: `parent`). */
  readonly ignore: BdrvChild | null;
  /** Leave out parents that are nodes: a drain of everything visits them itself. */
  readonly ignoreBdsParents: boolean;
  /** Descend to the children. */
  readonly recursive: boolean;
}

/** Which lock the waits of a drain release (patch 7): that of the node's context, or none. */
export interface DrainOptions {
  readonly kind: DrainKind;
  readonly unlocked: boolean;
}

const SINGLE: DrainOptions = { kind: Drain.single, unlocked: false };

/** bdrv_drained_begin (io.c:478): quiesce `bs` and wait until it is idle. Polls. */
export function* bdrvDrainedBegin(bs: BlockDriverState, siteId: SiteId): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_DRAINED_BEGIN);
  yield* drainedBegin(bs, SINGLE, siteId);
}

/** bdrv_drained_end (io.c:553): undo one bdrv_drained_begin. Polls, until the driver's end hooks are through. */
export function* bdrvDrainedEnd(bs: BlockDriverState, siteId: SiteId): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_DRAINED_END);
  yield* drainedEnd(bs, SINGLE, siteId);
}

/** bdrv_drain (io.c:601): an instant, not a section: requests may start again before it returns. Polls. */
export function* bdrvDrain(bs: BlockDriverState, siteId: SiteId): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_DRAIN);
  yield* bdrvDrainedBegin(bs, siteId);
  yield* bdrvDrainedEnd(bs, siteId);
}

/** bdrv_do_drained_begin from thread level, as a section of its own, which it returns. Polls. */
export function* drainedBegin(
  bs: BlockDriverState,
  options: DrainOptions,
  siteId: SiteId,
): Polls<SectionId> {
  ioOrGsCode(bs.aioContext, SITE_DO_BEGIN);
  assert(!qemuInCoroutine(), "in a coroutine use the bdrvCo form");
  const section = sectionBegin(bs, options.kind, siteId);
  yield* drainedBeginIn(bs, options, section, siteId);
  sectionBegun(section);
  return section;
}

/** The levels and the wait of a drained_begin whose section has begun. Polls. */
export function* drainedBeginIn(
  bs: BlockDriverState,
  options: DrainOptions,
  section: SectionId,
  siteId: SiteId,
): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_DRAINED_BEGIN_IN);
  const recursive = options.kind === Drain.subtree;
  const walk = { section, through: null, ignore: null, ignoreBdsParents: false, recursive };
  bdrvDoDrainedBegin(bs, walk);
  yield* drainWait(bs, () => bdrvDrainPoll(bs, walk), options.unlocked, siteId);
  sectionPollEnded(section);
}

/** bdrv_do_drained_end from thread level: end the section that a drained_begin of this kind opened. Polls. */
export function* drainedEnd(
  bs: BlockDriverState,
  options: DrainOptions,
  siteId: SiteId,
): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_DO_END);
  assert(!qemuInCoroutine(), "in a coroutine use the bdrvCo form");
  const section = sectionEnd(bs, options.kind, siteId);
  yield* drainedEndIn(bs, options, section, siteId);
  sectionEnded(section);
}

/** The levels and the wait of a drained_end whose section has ended. Polls. */
export function* drainedEndIn(
  bs: BlockDriverState,
  options: DrainOptions,
  section: SectionId,
  siteId: SiteId,
): Polls<void> {
  ioOrGsCode(bs.aioContext, SITE_DRAINED_END_IN);
  const counter = { pending: 0 };
  const recursive = options.kind === Drain.subtree;
  const walk = { section, through: null, ignore: null, ignoreBdsParents: false, recursive };
  bdrvDoDrainedEnd(bs, walk, counter);
  yield* drainWait(bs, () => counter.pending > 0, options.unlocked, siteId);
}

/** BDRV_POLL_WHILE (block-global-state.h) or, with patches 1 and 7, BDRV_POLL_WHILE_UNLOCKED. Polls. */
export function* drainWait(
  bs: BlockDriverState,
  busy: () => boolean,
  unlocked: boolean,
  siteId: SiteId,
): Polls<void> {
  ioOrGsCode(bs.aioContext, siteId);
  if (unlocked && patchOn(1) && patchOn(7)) {
    yield* aioWaitWhileUnlocked(bs.aioContext, busy, siteId);
  } else {
    yield* aioWaitWhile(bs.aioContext, busy, siteId);
  }
}

/** bdrv_do_drained_begin (io.c:439), its phases that do not poll: raise the levels that `walk` asks for. */
export function bdrvDoDrainedBegin(bs: BlockDriverState, walk: DrainWalk): void {
  ioOrGsCode(bs.aioContext, SITE_DO_BEGIN);
  bdrvDoDrainedBeginQuiesce(bs, walk);
  if (!walk.recursive) return;
  modelAssert(!walk.ignoreBdsParents, "!ignore_bds_parents", SITE_DO_BEGIN);
  bs.recursiveQuiescedFor.push(walk.section);
  machine.probe.emit(Ev.recursive_quiesce, bs.id, bs.recursiveQuiesceCounter);
  for (const child of childrenOf(bs, SITE_DO_BEGIN).snapshot()) {
    const childBs = edgeBs(child, SITE_DO_BEGIN);
    assert(childBs !== null, "an edge in a list of children points at a node");
    bdrvDoDrainedBegin(childBs, { ...walk, through: child, ignore: child });
  }
}

/** bdrv_do_drained_begin_quiesce (io.c:425): stop the sources of requests, from parent to child. Neither polls nor edits the graph. */
export function bdrvDoDrainedBeginQuiesce(bs: BlockDriverState, walk: DrainWalk): void {
  ioOrGsCode(bs.aioContext, SITE_QUIESCE);
  modelAssert(!qemuInCoroutine(), "!qemu_in_coroutine()", SITE_QUIESCE);
  bs.quiescedFor.push(walk.section);
  const through = walk.through === null ? 0 : walk.through.id;
  machine.probe.emit(Ev.bs_quiesce, bs.id, bs.quiesceCounter, walk.section, through);
  if (bs.quiesceCounter === 1) aioDisableExternal(bs.aioContext);
  bdrvParentDrainedBegin(bs, walk);
  bdrvDrainInvokeBegin(bs);
}

/**
 * bdrv_do_drained_end (io.c:513): lower the levels, from child to parent: driver hook, parents, own counter, then children.
 * Does not poll; whoever made `counter` waits until it is 0.
 */
export function bdrvDoDrainedEnd(
  bs: BlockDriverState,
  walk: DrainWalk,
  counter: DrainedEndCounter,
): void {
  ioOrGsCode(bs.aioContext, SITE_DO_END);
  modelAssert(!qemuInCoroutine(), "!qemu_in_coroutine()", SITE_DO_END);
  modelAssert(bs.quiesceCounter > 0, "bs->quiesce_counter > 0", SITE_DO_END);
  const section = levelFor(bs.quiescedFor, walk.section);
  bdrvDrainInvokeEnd(bs, counter);
  bdrvParentDrainedEnd(bs, { ...walk, section }, counter);
  removeLevel(bs.quiescedFor, section);
  const through = walk.through === null ? 0 : walk.through.id;
  machine.probe.emit(Ev.bs_unquiesce, bs.id, bs.quiesceCounter, section, through);
  if (bs.quiesceCounter === 0) aioEnableExternal(bs.aioContext);
  if (walk.recursive) descendToEnd(bs, walk, counter);
}

/** A plain loop, as in C: nothing below may take an edge out of the list. */
function descendToEnd(bs: BlockDriverState, walk: DrainWalk, counter: DrainedEndCounter): void {
  modelAssert(!walk.ignoreBdsParents, "!ignore_bds_parents", SITE_DO_END);
  modelAssert(bs.recursiveQuiesceCounter > 0, "bs->recursive_quiesce_counter > 0", SITE_DO_END);
  removeLevel(bs.recursiveQuiescedFor, levelFor(bs.recursiveQuiescedFor, walk.section));
  machine.probe.emit(Ev.recursive_quiesce, bs.id, bs.recursiveQuiesceCounter);
  const children = childrenOf(bs, SITE_DO_END);
  for (let child = children.first; child !== null; child = children.next(child)) {
    const childBs = edgeBs(child, SITE_DO_END);
    assert(childBs !== null, "an edge in a list of children points at a node");
    bdrvDoDrainedEnd(childBs, { ...walk, through: child, ignore: child }, counter);
  }
}
