// Known hole: a truncate does not queue, and looks at the graph before it is counted.
//
//      drive --> top --backing--> base
//
//   main                                       io0, a guest
//   drained_begin(top): nothing in flight
//   set_backing_hd(top, none)
//     edits children(top)
//     .                                        truncate: reads children(top), twice uncounted
//     .  (stays in the section)                raises in_flight(top), changes its length, lowers it
//   drained_end(top)
//
// Where: blk_co_truncate (block-backend.c:2347) and bdrv_co_truncate (io.c:3476), which raises the node's in-flight counter
// only at io.c:3520. Why no drain covers it: there is no counter of the BlockBackend around it and no
// blk_wait_while_drained in front of it. So it reads uncounted first, and then begins a request in a node that main has
// drained and believes to be quiet.

import { blkCoTruncate } from "#core/backend";
import { type Co, type Polls, qemuCoSleepNs } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import {
  type Chain,
  closeChain,
  dropBackingAndStay,
  NODE_BYTES,
  openChain,
  PAUSE_NS,
  raceWithDrop,
} from "./hole-chain.ts";

const holeUnqueuedTruncate: Scenario = {
  name: "hole-unqueued-truncate",
  title: "A guest truncates, unqueued, while main edits the graph in a drained section.",
  expected: [
    {
      finds: [
        raceWithDrop("children", "bdrv_is_inserted"),
        { rule: "request-in-drained-section", node: "top" },
      ],
    },
  ],
  main,
};

export default holeUnqueuedTruncate;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  world.guest(chain.ctx, () => guest(chain));
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* guest({ drive }: Chain): Co<void> {
  yield* qemuCoSleepNs(PAUSE_NS / 2);
  yield* blkCoTruncate(drive, 2 * NODE_BYTES);
}
