// Known hole: plug and unplug walk the graph without being counted.
//
//      drive --> top --backing--> base
//
//   main                                       io0, the device
//   drained_begin(top): nothing in flight
//   set_backing_hd(top, none)
//     edits children(top)
//     .                                        plug: reads children(top)
//     .  (stays in the section)                unplug: reads children(top)
//   drained_end(top)
//
// Where: blk_io_plug (block-backend.c:2297) and bdrv_io_plug (io.c:3247), which visit every node below. Why no drain covers
// it: the device calls them between requests, when it holds no in-flight counter, so a drain has nothing to wait for; and
// they do not look at the gate. External handlers are kept out while a drain lasts, but only those that have not started yet,
// and devices plug from bottom halves as well (hw/block/dataplane/xen-block.c:598).

import { blkIoPlug, blkIoUnplug } from "#core/backend";
import { aioBhScheduleOneshot, type Co, type Polls, qemuCoSleepNs } from "#core/sched";
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

const holePlug: Scenario = {
  name: "hole-plug",
  title: "A device plugs and unplugs, uncounted, while main edits the graph.",
  expected: [
    {
      finds: [raceWithDrop("children", "bdrv_io_plug"), raceWithDrop("children", "bdrv_io_unplug")],
    },
  ],
  main,
};

export default holePlug;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  world.guest(chain.ctx, () => device(chain));
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* device({ ctx, drive }: Chain): Co<void> {
  yield* qemuCoSleepNs(PAUSE_NS / 2);
  aioBhScheduleOneshot(ctx, () => {
    blkIoPlug(drive);
    blkIoUnplug(drive);
    return undefined;
  });
}
