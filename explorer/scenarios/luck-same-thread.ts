// Covered by luck, through the same thread: a read that no drain waits for, followed in its thread by a request that one does.
//
//   main                                       io0
//                                                plug, unplug: read children(top), uncounted
//                                                a request, counted
//   drained_begin(top)
//     reads the request's counter as 0
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)
//
// What orders the two accesses is that plug and request share a thread. With two iothreads at one node it would be a race.

import { blkCoPreadv, blkIoPlug, blkIoUnplug } from "#core/backend";
import { qiovOf } from "#core/io";
import { type Co, hostAllocate, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import {
  type Chain,
  CLUSTER_BYTES,
  closeChain,
  dropBackingAndStay,
  openChain,
  PAUSE_NS,
} from "./hole-chain.ts";
import { luckyPlug } from "./luck-plug.ts";

const luckSameThread: Scenario = {
  name: "luck-same-thread",
  title: "Plug comes before an edit only because a request follows it in the same thread.",
  expected: [{ finds: luckyPlug() }],
  main,
};

export default luckSameThread;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  world.guest(chain.ctx, () => guest(chain));
  yield* world.sleep(PAUSE_NS);
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* guest({ drive }: Chain): Co<void> {
  blkIoPlug(drive);
  blkIoUnplug(drive);
  yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, qiovOf(hostAllocate(CLUSTER_BYTES)));
}
