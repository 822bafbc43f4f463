// Draining everything: every node's counter rises by exactly one, whatever the shape of the graph, because parents that are
// nodes are left out; BlockBackends and jobs are told once an edge.
//
// The nodes are quiesced without polling, then one wait looks at all of them. A node that is born inside the section is
// quiesced at birth (bdrvDrainAllNewNode); one that dies inside it ends its levels itself (bdrvDrainAllEndQuiesce).

import { assert, must, type SectionId, type SiteId } from "../base/index.ts";
import { childrenOf, edgeBs } from "../graph/access.ts";
import { bdrvAllStates } from "../graph/all-states.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { Drain, site } from "../probe/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  aioWaitWhile,
  globalStateCode,
  machine,
  modelAssert,
  type Polls,
  perMachine,
} from "../sched/index.ts";
import { bdrvDoDrainedBegin, bdrvDoDrainedEnd, type DrainWalk } from "./drain.ts";
import { bdrvDrainPoll } from "./drain-poll.ts";
import {
  sectionBegin,
  sectionBegun,
  sectionEnd,
  sectionEnded,
  sectionPollEnded,
} from "./sections.ts";

const SITE_BEGIN = site("bdrv_drain_all_begin");
const SITE_END = site("bdrv_drain_all_end");
const SITE_IDLE = site("bdrv_drain_assert_idle");
const SITE_QUIESCE = site("bdrv_drain_all_end_quiesce");
const SITE_DRAIN_ALL_COUNT = site("bdrv_drain_all_count");
const SITE_DRAIN_ALL_NEW_NODE = site("bdrv_drain_all_new_node");

/** Sections of the drains of everything that are open now, oldest first (C: bdrv_drain_all_count is their number). */
const openDrainAlls = perMachine((): SectionId[] => []);

/** C: bdrv_drain_all_count. */
export function bdrvDrainAllCount(): number {
  globalStateCode(SITE_DRAIN_ALL_COUNT);
  return openDrainAlls().length;
}

/**
 * bdrv_drain_all_begin (io.c:653): no node has a request in flight until bdrvDrainAllEnd. Polls.
 * Differs from QEMU: the condition reads the nodes without taking the locks of their contexts.
 */
export function* bdrvDrainAllBegin(siteId: SiteId): Polls<void> {
  globalStateCode(SITE_BEGIN);
  modelAssert(
    machine.currentContext === machine.mainContext,
    "qemu_get_current_aio_context() == qemu_get_aio_context()",
    SITE_BEGIN,
  );
  const section = sectionBegin(null, Drain.all, siteId);
  openDrainAlls().push(section);
  const walk = walkOf(section);
  for (const bs of bdrvAllStates()) {
    const ctx = bs.aioContext;
    yield* aioContextAcquire(ctx);
    bdrvDoDrainedBegin(bs, walk);
    aioContextRelease(ctx);
  }
  yield* aioWaitWhile(null, () => bdrvDrainAllPoll(walk), siteId);
  sectionPollEnded(section);
  for (const bs of bdrvAllStates()) bdrvDrainAssertIdle(bs);
  sectionBegun(section);
}

/** bdrv_drain_all_end (io.c:720): undo one bdrv_drain_all_begin. Polls, for the drivers' end hooks. */
export function* bdrvDrainAllEnd(siteId: SiteId): Polls<void> {
  globalStateCode(SITE_END);
  modelAssert(bdrvDrainAllCount() > 0, "bdrv_drain_all_count > 0", SITE_END);
  const section = sectionEnd(null, Drain.all, siteId);
  const walk = walkOf(section);
  const counter = { pending: 0 };
  for (const bs of bdrvAllStates()) {
    const ctx = bs.aioContext;
    yield* aioContextAcquire(ctx);
    bdrvDoDrainedEnd(bs, walk, counter);
    aioContextRelease(ctx);
  }
  modelAssert(
    machine.currentContext === machine.mainContext,
    "qemu_get_current_aio_context() == qemu_get_aio_context()",
    SITE_END,
  );
  yield* aioWaitWhile(null, () => counter.pending > 0, siteId);
  const open = openDrainAlls();
  open.splice(open.indexOf(section), 1);
  sectionEnded(section);
}

/** bdrv_drain_all (io.c:751): an instant, not a section. Polls. */
export function* bdrvDrainAll(siteId: SiteId): Polls<void> {
  globalStateCode(siteId);
  yield* bdrvDrainAllBegin(siteId);
  yield* bdrvDrainAllEnd(siteId);
}

/**
 * bdrv_new (block.c:429), its drains: a node that is born inside drains of everything is quiesced as often.
 * Differs from QEMU: on behalf of those sections, and without the wait, which nothing could make busy.
 */
export function bdrvDrainAllNewNode(bs: BlockDriverState): void {
  globalStateCode(SITE_DRAIN_ALL_NEW_NODE);
  assert(bs.inFlight === 0, "a new node has no request");
  assert(bs.quiesceCounter === 0, "a new node is not quiesced");
  for (const section of openDrainAlls()) bdrvDoDrainedBegin(bs, walkOf(section));
}

/** bdrv_drain_all_end_quiesce (io.c:702): a node that is deleted inside drains of everything ends all its levels. Polls. */
export function* bdrvDrainAllEndQuiesce(bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_QUIESCE);
  modelAssert(bs.quiesceCounter > 0, "bs->quiesce_counter > 0", SITE_QUIESCE);
  modelAssert(bs.refcnt === 0, "!bs->refcnt", SITE_QUIESCE);
  const counter = { pending: 0 };
  while (bs.quiesceCounter > 0) {
    const newest = must(bs.quiescedFor[bs.quiesceCounter - 1], "a quiesced node has a level");
    bdrvDoDrainedEnd(bs, walkOf(newest), counter);
  }
  yield* aioWaitWhile(bs.aioContext, () => counter.pending > 0, SITE_QUIESCE);
}

/** bdrv_drain_all_poll (io.c:624): whether any node, or a parent that is not a node, is busy. */
function bdrvDrainAllPoll(walk: DrainWalk): boolean {
  globalStateCode();
  for (const bs of bdrvAllStates()) {
    if (bdrvDrainPoll(bs, walk)) return true;
  }
  return false;
}

/** bdrv_drain_assert_idle (io.c:607): nothing is in flight in `bs` nor below. */
function bdrvDrainAssertIdle(bs: BlockDriverState): void {
  modelAssert(bs.inFlight === 0, "qatomic_read(&bs->in_flight) == 0", SITE_IDLE);
  for (const child of childrenOf(bs, SITE_IDLE).snapshot()) {
    const childBs = edgeBs(child, SITE_IDLE);
    assert(childBs !== null, "an edge in a list of children points at a node");
    bdrvDrainAssertIdle(childBs);
  }
}

function walkOf(section: SectionId): DrainWalk {
  return { section, through: null, ignore: null, ignoreBdsParents: true, recursive: false };
}
