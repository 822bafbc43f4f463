// Covered by luck, through a lock (`--lock aio`) that main takes only after it has edited.
//
//   main                                       io0
//                                                a request, which reads both lists, counted
//   drained_begin(top)
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)
//   takes the lock of io0, lets it go
//                                                the dispatcher holds the lock of io0
//                                                  plug, unplug: read children(top), uncounted
//
// Had io0 been quicker, it would have had its lock before main took it, and nothing would order plug and edit. `quiesce races
// --predict syncp` says so, and executes the schedule that shows it: the sections need not even change places.

import { blkCoPreadv, blkIoPlug, blkIoUnplug } from "#core/backend";
import { qiovOf } from "#core/io";
import {
  aioContextAcquire,
  aioContextRelease,
  type Co,
  hostAllocate,
  type Polls,
  qemuCoSleepNs,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import {
  type Chain,
  CLUSTER_BYTES,
  closeChain,
  dropBackingAndStay,
  openChain,
  PAUSE_NS,
  raceWithDrop,
} from "./hole-chain.ts";

const WALKS = ["bdrv_io_plug", "bdrv_io_unplug"].map((reader) => raceWithDrop("children", reader));

const luckLockAfter: Scenario = {
  name: "luck-lock-after",
  title: "Plug comes after an edit only because main takes a lock in between.",
  expected: [
    { finds: WALKS },
    {
      lock: "aio",
      finds: WALKS.map((walk) => ({ ...walk, rule: "covered-by-luck" })),
      restsOn: ["lock"],
    },
  ],
  main,
};

export default luckLockAfter;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  const { ctx } = chain;
  world.guest(ctx, () => device(chain));
  yield* world.sleep(PAUSE_NS);
  yield* dropBackingAndStay(world, chain);
  yield* aioContextAcquire(ctx);
  aioContextRelease(ctx);
  yield* closeChain(world, chain);
}

/**
 * Its first request makes the graph known to the iothread: what nobody else could reach may be edited as one likes. Then main
 * and the iothread meet by time alone.
 */
function* device({ drive }: Chain): Co<void> {
  yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, qiovOf(hostAllocate(CLUSTER_BYTES)));
  yield* qemuCoSleepNs(4 * PAUSE_NS);
  blkIoPlug(drive);
  blkIoUnplug(drive);
}
