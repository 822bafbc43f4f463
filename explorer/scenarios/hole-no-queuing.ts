// Known hole: a BlockBackend whose requests pass the gate although it is closed.
//
//      drive --> top --backing--> base         drive: request queuing is disabled
//
//   main                                       io0, a job
//   drained_begin(top): closes the gate of drive
//   set_backing_hd(top, none)
//     edits children(top), backing(top)
//     .                                        read: counted; the gate is closed and does not matter;
//     .  (stays in the section)                reads children(top), backing(top)
//   drained_end(top)
//
// Where: blk_set_disable_request_queuing (block-backend.c:1232), used by mirror (mirror.c:1772), stream (stream.c:328) and
// commit (commit.c:382, 391) on their own BlockBackends and by the NBD export, which would otherwise wait for themselves. Why
// no drain covers it: these users must stop by other means while a drain lasts (a job at its pause point, an export by its
// drained_poll), and nothing checks that they do. The request holds a counter, but it began after the drain had waited. With
// `queuing` other than "disabled" nothing is found.

import { blkCoPreadv } from "#core/backend";
import { qiovOf } from "#core/io";
import { type Co, hostAllocate, type Polls, qemuCoSleepNs } from "#core/sched";
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

const holeNoQueuing: Scenario = {
  name: "hole-no-queuing",
  title: "A request passes the gate of a BlockBackend without queuing while main edits the graph.",
  params: { queuing: "disabled" },
  expected: [
    {
      finds: [
        raceWithDrop("children", "bdrv_is_inserted"),
        raceWithDrop("backing", "overlay_co_preadv"),
        { rule: "request-in-drained-section", node: "top" },
      ],
    },
  ],
  main,
};

export default holeNoQueuing;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  chain.drive.disableRequestQueuing = world.param("queuing") === "disabled";
  world.guest(chain.ctx, () => job(chain));
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* job({ drive }: Chain): Co<void> {
  yield* qemuCoSleepNs(PAUSE_NS / 2);
  yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, qiovOf(hostAllocate(CLUSTER_BYTES)));
}
