// Drains from a coroutine (C: bdrv_co_yield_to_drain): a drain polls, a coroutine must not, so a bottom half in the node's
// context does the work while the coroutine sleeps.
//
// The node's in-flight counter is held from the hand-off until the bottom half starts, so that the node cannot finish draining
// for somebody else before that; between the two the graph may change. A coroutine that drains a node on which its own
// request is in flight waits for itself.

import { assert, type SectionId, type SiteId } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { Drain, site } from "../probe/index.ts";
import {
  aioContextAcquire,
  aioContextRelease,
  type Co,
  coRunOutside,
  globalStateCode,
  ioOrGsCode,
  machine,
  modelAssert,
  type Polls,
  qemuCoroutineSelf,
  qemuInCoroutine,
} from "../sched/index.ts";
import { bdrvDoDrainedBegin, type DrainOptions, drainedBeginIn, drainedEndIn } from "./drain.ts";
import { bdrvDrainAllBegin } from "./drain-all.ts";
import { bdrvDecInFlightFor, bdrvIncInFlight } from "./in-flight.ts";
import { sectionBegin, sectionBegun, sectionEnd, sectionEnded } from "./sections.ts";

const SITE_CO_DRAINED_BEGIN = site("bdrv_co_drained_begin");
const SITE_CO_DRAINED_END = site("bdrv_co_drained_end");
const SITE_CO_SUBTREE_DRAINED_BEGIN = site("bdrv_co_subtree_drained_begin");
const SITE_CO_SUBTREE_DRAINED_END = site("bdrv_co_subtree_drained_end");
const SITE_CO_DRAIN = site("bdrv_co_drain");
const SITE_CO_DRAINED_BEGIN_NO_POLL = site("bdrv_co_drained_begin_no_poll");
const SITE_DRAINED_BEGIN_NO_POLL = site("bdrv_drained_begin_no_poll");

const SINGLE: DrainOptions = { kind: Drain.single, unlocked: false };
const SUBTREE: DrainOptions = { kind: Drain.subtree, unlocked: false };

/** bdrv_drained_begin (io.c:478), called in a coroutine. */
export function* bdrvCoDrainedBegin(bs: BlockDriverState, siteId: SiteId): Co<void> {
  ioOrGsCode(null, SITE_CO_DRAINED_BEGIN);
  yield* coDrainedBegin(bs, SINGLE, siteId);
}

/** bdrv_drained_end (io.c:553), called in a coroutine. */
export function* bdrvCoDrainedEnd(bs: BlockDriverState, siteId: SiteId): Co<void> {
  ioOrGsCode(null, SITE_CO_DRAINED_END);
  yield* coDrainedEnd(bs, SINGLE, siteId);
}

/** bdrv_subtree_drained_begin (io.c:484), called in a coroutine. */
export function* bdrvCoSubtreeDrainedBegin(bs: BlockDriverState, siteId: SiteId): Co<void> {
  ioOrGsCode(null, SITE_CO_SUBTREE_DRAINED_BEGIN);
  yield* coDrainedBegin(bs, SUBTREE, siteId);
}

/** bdrv_subtree_drained_end (io.c:566), called in a coroutine. */
export function* bdrvCoSubtreeDrainedEnd(bs: BlockDriverState, siteId: SiteId): Co<void> {
  ioOrGsCode(null, SITE_CO_SUBTREE_DRAINED_END);
  yield* coDrainedEnd(bs, SUBTREE, siteId);
}

/** bdrv_drain (io.c:601), called in a coroutine. */
export function* bdrvCoDrain(bs: BlockDriverState, siteId: SiteId): Co<void> {
  ioOrGsCode(null, SITE_CO_DRAIN);
  yield* bdrvCoDrainedBegin(bs, siteId);
  yield* bdrvCoDrainedEnd(bs, siteId);
}

/** bdrv_drained_begin_no_poll (patch 2), called in a coroutine: quiesce from outside, do not wait for requests. */
export function* bdrvCoDrainedBeginNoPoll(bs: BlockDriverState, siteId: SiteId): Co<void> {
  ioOrGsCode(null, SITE_CO_DRAINED_BEGIN_NO_POLL);
  const section = sectionBegin(bs, Drain.single, siteId);
  yield* bdrvCoYieldToDrain(bs, function* (): Polls<void> {
    bdrvDrainedBeginNoPollIn(bs, section);
  });
  sectionBegun(section);
}

/** bdrv_drained_begin_no_poll (patch 2) at thread level: quiesce, do not wait. */
export function bdrvDrainedBeginNoPoll(bs: BlockDriverState, siteId: SiteId): void {
  ioOrGsCode(bs.aioContext, SITE_DRAINED_BEGIN_NO_POLL);
  assert(!qemuInCoroutine(), "in a coroutine use bdrvCoDrainedBeginNoPoll");
  const section = sectionBegin(bs, Drain.single, siteId);
  bdrvDrainedBeginNoPollIn(bs, section);
  sectionBegun(section);
}

/** bdrv_drain_all_begin (io.c:653), called in a coroutine: handed to the main context. */
export function* bdrvCoDrainAllBegin(siteId: SiteId): Co<void> {
  globalStateCode(siteId);
  yield* bdrvCoYieldToDrain(null, () => bdrvDrainAllBegin(siteId));
}

function* coDrainedBegin(bs: BlockDriverState, options: DrainOptions, siteId: SiteId): Co<void> {
  const section = sectionBegin(bs, options.kind, siteId);
  yield* bdrvCoYieldToDrain(bs, () => drainedBeginIn(bs, options, section, siteId));
  sectionBegun(section);
}

/** Differs from QEMU: the wait for the driver's end hooks is in the bottom half too, where C polls in the coroutine. */
function* coDrainedEnd(bs: BlockDriverState, options: DrainOptions, siteId: SiteId): Co<void> {
  const section = sectionEnd(bs, options.kind, siteId);
  yield* bdrvCoYieldToDrain(bs, () => drainedEndIn(bs, options, section, siteId));
  sectionEnded(section);
}

function bdrvDrainedBeginNoPollIn(bs: BlockDriverState, section: SectionId): void {
  bdrvDoDrainedBegin(bs, {
    section,
    through: null,
    ignore: null,
    ignoreBdsParents: false,
    recursive: false,
  });
}

/**
 * bdrv_co_yield_to_drain (io.c:381): run `drain` from a bottom half of the context of `bs` (of main for null) and sleep
 * meanwhile. The lock of another context, which the caller holds, is given up across the sleep, or that context could not run.
 */
function* bdrvCoYieldToDrain(bs: BlockDriverState | null, drain: () => Polls<void>): Co<void> {
  const co = qemuCoroutineSelf();
  assert(co === machine.currentCoroutine, "who hands off is the coroutine that runs");
  const ctx = bs === null ? machine.mainContext : bs.aioContext;
  const home = co.ctx;
  assert(home !== null, "a running coroutine has a context");
  const foreignLock = machine.lockRegime === "aio" && ctx !== home;
  if (bs !== null) bdrvIncInFlight(bs);
  if (foreignLock) aioContextRelease(ctx);
  yield* coRunOutside(ctx, function* (): Polls<void> {
    modelAssert(!qemuInCoroutine(), "!qemu_in_coroutine()");
    if (bs === null) {
      yield* drain();
      return;
    }
    const now = bs.aioContext;
    yield* aioContextAcquire(now);
    bdrvDecInFlightFor(bs, co);
    yield* drain();
    aioContextRelease(now);
  });
  if (foreignLock) yield* coRunOutside(home, () => aioContextAcquire(ctx));
}
