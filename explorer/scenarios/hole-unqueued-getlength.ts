// Known hole: asking a BlockBackend for its length neither queues nor counts.
//
//      drive --> top --backing--> base
//
//   main                                       io0, a guest
//   drained_begin(top): nothing in flight
//   set_backing_hd(top, none)
//     edits children(top)
//     .                                        getlength: reads children(top)
//     .  (stays in the section)
//   drained_end(top)
//
// Where: blk_getlength (block-backend.c:1581), whose blk_is_available walks the children of every node below. Why no drain
// covers it: of the functions that guests call, only reads, writes, ioctls, discards and flushes pass
// blk_wait_while_drained. The length is asked for without a raise of any in-flight counter and without a look at the gate.

import { blkGetlength } from "#core/backend";
import { type Co, type Polls, qemuCoSleepNs } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import {
  type Chain,
  closeChain,
  dropBackingAndStay,
  openChain,
  PAUSE_NS,
  raceWithDrop,
} from "./hole-chain.ts";

const holeUnqueuedGetlength: Scenario = {
  name: "hole-unqueued-getlength",
  title: "A guest asks for the length, uncounted, while main edits the graph.",
  expected: [
    {
      finds: [raceWithDrop("children", "bdrv_is_inserted")],
    },
  ],
  main,
};

export default holeUnqueuedGetlength;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  world.guest(chain.ctx, () => guest(chain));
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* guest({ drive }: Chain): Co<void> {
  yield* qemuCoSleepNs(PAUSE_NS / 2);
  blkGetlength(drive);
}
