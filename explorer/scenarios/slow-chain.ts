// What the scenarios about the AioContext lock have in common: a chain in an iothread whose lower node takes its time, so that
// main, when it edits, always finds a request in flight and has to wait.
//
//      drive           a BlockBackend in the iothread io0
//        |
//       top            an overlay
//        |  backing
//      slow            null-co: a request takes LATENCY_NS
//
// Not a scenario itself. They run under the lock regime aio; under "none" there is no lock to hold.

import { type BlockBackend, blkCoPreadv, blkUnref } from "#core/backend";
import { nullCoDriver, nullOpen, overlayOpen } from "#core/drivers";
import { type BlockDriverState, bdrvRef, bdrvUnref } from "#core/graph";
import { qiovOf } from "#core/io";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  type Co,
  hostAllocate,
  type Polls,
} from "#core/sched";
import type { World } from "../world.ts";
import { NODE_BYTES, openDrive } from "./hole-chain.ts";

const LATENCY_NS = 10_000_000;
const REQUEST_BYTES = 4096;

/** The graph of the file comment. Main holds a reference to each node. */
export interface SlowChain {
  readonly ctx: AioContext;
  readonly drive: BlockBackend;
  readonly top: BlockDriverState;
  readonly slow: BlockDriverState;
}

/** Make it. Polls. */
export function* openSlowChain(world: World): Polls<SlowChain> {
  const ctx = world.iothread("io0");
  const slow = yield* nullOpen(nullCoDriver, {
    nodeName: "slow",
    size: NODE_BYTES,
    latencyNs: LATENCY_NS,
    readZeroes: true,
  });
  bdrvRef(slow);
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES, backing: slow });
  const drive = yield* openDrive(ctx, top);
  return { ctx, drive, top, slow };
}

/** Run `edit` in the middle of a read that a guest makes at the drive. Polls. */
export function* whileReading(
  world: World,
  { ctx, drive }: SlowChain,
  edit: () => Polls<void>,
): Polls<void> {
  world.guest(ctx, function* (): Co<void> {
    yield* blkCoPreadv(drive, 0, REQUEST_BYTES, qiovOf(hostAllocate(REQUEST_BYTES)));
  });
  yield* world.sleep(LATENCY_NS / 2);
  yield* edit();
}

/** Let go of everything, with the lock where there is one. Polls. */
export function* closeSlowChain(world: World, chain: SlowChain): Polls<void> {
  const { ctx, drive, top, slow } = chain;
  yield* world.joinGuests();
  drive.dev = null;
  yield* holding(ctx, () => blkUnref(drive));
  yield* bdrvUnref(top);
  yield* bdrvUnref(slow);
  yield* world.stopIothreads();
}

/** Run `body` with the lock of `ctx` held. Polls. */
export function* holding(ctx: AioContext, body: () => Polls<void>): Polls<void> {
  yield* aioContextAcquire(ctx);
  yield* body();
  aioContextRelease(ctx);
}
