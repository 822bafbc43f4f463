// What the scenarios of known holes have in common: a small graph in an iothread, and an edit that main makes and stays with.
//
//      drive           a BlockBackend in the iothread io0
//        |
//       top            an overlay
//        |  backing
//      base            an overlay without a backing file
//
// Not a scenario itself. Each hole-*.ts is the smallest program that shows one hole of QEMU's protocol, found with every
// patch on; docs/known-findings.md is made from them. Main and the iothread meet by time alone: whoever waited for the other
// would order the two accesses, and there would be nothing to show. Times are wide apart, so that every schedule, and a live
// run too, has the same order of events.

import { type BlkOptions, type BlockBackend, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { overlayOpen } from "#core/drivers";
import { type BlockDriverState, bdrvRef, bdrvSetBackingHd, bdrvUnref } from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "#core/io";
import { site } from "#core/probe";
import { type AioContext, aioContextAcquire, aioContextRelease, type Polls } from "#core/sched";
import type { ExpectedFinding } from "../scenario.ts";
import type { World } from "../world.ts";

const SECTION = site("hole_section");

/** How long main stays where it is. The iothread acts halfway through. */
export const PAUSE_NS = 10_000_000;
/** Length of the nodes, and of a cluster of theirs. */
export const CLUSTER_BYTES = 65_536;
export const NODE_BYTES = 4 * CLUSTER_BYTES;

/** The graph of the file comment. Main holds a reference to each node. */
export interface Chain {
  readonly ctx: AioContext;
  readonly drive: BlockBackend;
  readonly top: BlockDriverState;
  readonly base: BlockDriverState;
}

/** Make it. Polls. */
export function* openChain(world: World, options: BlkOptions = {}): Polls<Chain> {
  const ctx = world.iothread("io0");
  const base = yield* overlayOpen({ nodeName: "base", size: NODE_BYTES });
  bdrvRef(base);
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES, backing: base });
  const drive = yield* openDrive(ctx, top, options);
  return { ctx, drive, top, base };
}

/** A BlockBackend called `drive` that holds `bs`, and takes it to `ctx`. Polls. */
export function* openDrive(
  ctx: AioContext,
  bs: BlockDriverState,
  options: BlkOptions = {},
): Polls<BlockBackend> {
  const drive = blkNew(ctx, { name: "drive", ...options });
  // A device is attached: nobody moves this BlockBackend to another context.
  drive.dev = { id: drive.name };
  yield* blkInsertBs(drive, bs);
  return drive;
}

/** In a drained section of `top`, take its backing file away, and stay in the section for a pause. Polls. */
export function* dropBackingAndStay(world: World, { top }: Chain): Polls<void> {
  yield* bdrvDrainedBegin(top, SECTION);
  yield* bdrvSetBackingHd(top, null);
  yield* world.sleep(PAUSE_NS);
  yield* bdrvDrainedEnd(top, SECTION);
}

/**
 * Wait for the guests and let go of everything. The iothread is joined before the last edits, as a thread's end orders them
 * behind all that ran in it, counted or not; what must still run there goes first. Polls.
 */
export function* closeChain(world: World, { drive, top, base }: Chain): Polls<void> {
  yield* world.joinGuests();
  yield* locked(base.aioContext, () => bdrvUnref(base));
  yield* world.stopIothreads();
  drive.dev = null;
  yield* locked(top.aioContext, () => blkUnref(drive));
  yield* bdrvUnref(top);
}

/** Run `body` with the lock of `ctx` held, as QEMU's callers do (which is nothing under lock regime none). Polls. */
function* locked(ctx: AioContext, body: () => Polls<void>): Polls<void> {
  yield* aioContextAcquire(ctx);
  yield* body();
  aioContextRelease(ctx);
}

/** The race of `reader`, which reads `list` of `top`, with what dropBackingAndStay edits. */
export function raceWithDrop(list: "children" | "backing", reader: string): ExpectedFinding {
  return {
    rule: "race",
    list,
    node: "top",
    reader,
    editor: "bdrv_child_cb_detach",
    operation: "bdrv_set_backing_hd",
  };
}
