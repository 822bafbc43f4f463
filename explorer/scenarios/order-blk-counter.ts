// What the edge "in-flight counter of a BlockBackend" of the sanctioned order is for.
//
//   main                                       io0, a guest
//                                                read behind the end: counts at the BlockBackend, reads children(top),
//                                                fails; it never was in flight at a node
//   drained_begin(top)
//     reads the BlockBackend's counter as 0
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)

import { blkCoPreadv } from "#core/backend";
import { assert, EIO } from "#core/base";
import { qiovOf } from "#core/io";
import { type Co, hostAllocate, type Polls, qemuCoSleepNs } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import {
  type Chain,
  CLUSTER_BYTES,
  closeChain,
  dropBackingAndStay,
  NODE_BYTES,
  openChain,
  PAUSE_NS,
} from "./hole-chain.ts";

/** Requests of the guest, about half of them before the edit. */
const REQUESTS = 20;

const orderBlkCounter: Scenario = {
  name: "order-blk-counter",
  title: "Requests that fail before they reach a node, while main edits the graph.",
  expected: [{ finds: [], restsOn: ["blk-counter", "gate"] }],
  main,
};

export default orderBlkCounter;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  world.guest(chain.ctx, () => guest(chain));
  yield* world.sleep(PAUSE_NS);
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* guest({ drive }: Chain): Co<void> {
  const buffer = qiovOf(hostAllocate(CLUSTER_BYTES));
  for (let request = 0; request < REQUESTS; request++) {
    const ret = yield* blkCoPreadv(drive, NODE_BYTES, CLUSTER_BYTES, buffer);
    assert(ret === -EIO, "there is nothing to read behind the end");
    yield* qemuCoSleepNs(PAUSE_NS / 10);
  }
}
