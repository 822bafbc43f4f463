// Known hole: a copy within the block layer does not queue, and looks at the graph before it is counted.
//
//      drive --> top --backing--> base
//
//   main                                       io0, a guest
//   drained_begin(top): nothing in flight
//   set_backing_hd(top, none)
//     edits children(top), backing(top)
//     .                                        copy_range: reads children(top), four times uncounted
//     .  (stays in the section)                raises in_flight(top), reads backing(top), lowers it
//   drained_end(top)
//
// Where: blk_co_copy_range (block-backend.c:2600) and bdrv_co_copy_range_internal (io.c:3336). Why no drain covers it: as
// with truncate, there is neither a counter of the BlockBackend nor a blk_wait_while_drained. The counted part is uncovered,
// too: it began after the drain had waited, and nothing that the drain's end releases let it in.

import { blkCoCopyRange } from "#core/backend";
import { type Co, type Polls, qemuCoSleepNs } from "#core/sched";
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

const holeUnqueuedCopyRange: Scenario = {
  name: "hole-unqueued-copy-range",
  title: "A guest copies a range, unqueued, while main edits the graph in a drained section.",
  expected: [
    {
      finds: [
        raceWithDrop("children", "bdrv_is_inserted"),
        raceWithDrop("backing", "overlay_co_copy_range_from"),
        { rule: "request-in-drained-section", node: "top" },
      ],
    },
  ],
  main,
};

export default holeUnqueuedCopyRange;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  world.guest(chain.ctx, () => guest(chain));
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* guest({ drive }: Chain): Co<void> {
  yield* qemuCoSleepNs(PAUSE_NS / 2);
  yield* blkCoCopyRange(drive, 0, drive, CLUSTER_BYTES, CLUSTER_BYTES);
}
