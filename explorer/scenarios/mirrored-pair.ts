// What the scenarios of wrong drains have in common: a node with two children, one of which main takes away while a guest
// reads, with patch 10 off, so that the only drain is the one that the scenario makes.
//
//      drive                  a BlockBackend in the iothread io0
//        |
//      pair                   a quorum: reads go to the child that was added last
//      /   \
//  first   second             null nodes with a latency, so that requests are under way most of the time
//
// The guest only reads: a write would go on from child to child and meet the edge that was emptied. Not a scenario itself.

import { type BlockBackend, blkCoPreadv, blkInsertBs, blkNew } from "#core/backend";
import { nullCoDriver, nullOpen, quorumOpen } from "#core/drivers";
import { type BlockDriverState, bdrvRef, bdrvUnrefChild } from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd, qiovOf } from "#core/io";
import { site } from "#core/probe";
import { type AioContext, type Co, hostAllocate, type Polls } from "#core/sched";
import type { World } from "../world.ts";

const SETUP = site("mirrored_pair_setup");

const NODE_BYTES = 1 << 20;
const REQUEST_BYTES = 4096;
const LATENCY_NS = 10_000;
const GUESTS = 4;
/** How long the guests work before the edit and after it. */
const PAUSE_NS = 100_000;

/** What a read at the drive walks the children of `pair` in. */
export const READERS = ["bdrv_is_inserted", "quorum_co_preadv", "quorum_getlength"] as const;

/** The graph of the file comment. Main holds a reference to `pair` and to `second`. */
export interface MirroredPair {
  readonly ctx: AioContext;
  readonly drive: BlockBackend;
  readonly pair: BlockDriverState;
  readonly second: BlockDriverState;
}

/** Take `second` away from `pair`: bdrv_unref_child and nothing else. Polls. */
export function* unrefSecond({ pair, second }: MirroredPair): Polls<void> {
  const edges = pair.rawChildren.snapshot();
  yield* bdrvUnrefChild(pair, edges.find((edge) => edge.rawBs === second) ?? null);
}

/**
 * Make the graph and run `edit` while guests read. The graph is left standing: with patch 10 off, taking it down would be so
 * many edits outside a drain. Polls.
 */
export function* withMirroredPair(
  world: World,
  edit: (pair: MirroredPair) => Polls<void>,
): Polls<void> {
  const made = yield* open(world);
  let isOver = false;
  for (let guest = 0; guest < GUESTS; guest++)
    world.guest(made.ctx, () => read(made.drive, () => isOver));
  yield* world.sleep(PAUSE_NS);
  yield* edit(made);
  yield* world.sleep(PAUSE_NS);
  isOver = true;
  yield* world.joinGuests();
  yield* world.stopIothreads();
}

function* open(world: World): Polls<MirroredPair> {
  const ctx = world.iothread("io0");
  const nullNode = (nodeName: string): Polls<BlockDriverState> =>
    nullOpen(nullCoDriver, { nodeName, size: NODE_BYTES, latencyNs: LATENCY_NS, ctx });
  const first = yield* nullNode("first");
  const second = yield* nullNode("second");
  bdrvRef(second);
  // Patch 11 asks of every edit that the nodes are drained, and with patch 10 off nobody else drains them.
  yield* bdrvDrainedBegin(first, SETUP);
  yield* bdrvDrainedBegin(second, SETUP);
  const pair = yield* quorumOpen("pair", [first, second]);
  const drive = blkNew(ctx, { name: "drive" });
  // A device is attached: nobody moves this BlockBackend to another context.
  drive.dev = { id: drive.name };
  yield* blkInsertBs(drive, pair);
  yield* bdrvDrainedEnd(second, SETUP);
  yield* bdrvDrainedEnd(first, SETUP);
  return { ctx, drive, pair, second };
}

function* read(drive: BlockBackend, isOver: () => boolean): Co<void> {
  const buffer = qiovOf(hostAllocate(REQUEST_BYTES));
  while (!isOver()) yield* blkCoPreadv(drive, 0, REQUEST_BYTES, buffer);
}
