// What the edge "wake of a queued request" of the sanctioned order is for.
//
//   main                                       io0, a guest
//                                                read
//   drained_begin(top): closes the gate
//     set_backing_hd(top, none)
//     edits children(top), backing(top)          read: the gate is closed; queued
//   drained_end(top): wakes it                   resumes, reads children(top), backing(top)
//
// As a rule a request that was woken looks at the gate again, and the gate orders it. This one waits only once, as in QEMU
// 7.2 (scenario hole-waits-once says what comes of it); here no second section follows, and the wake alone is promise enough.

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
} from "./hole-chain.ts";

const orderQueueWake: Scenario = {
  name: "order-queue-wake",
  title: "A request that waits at the gate only once goes on after the drain that kept it.",
  expected: [{ finds: [], restsOn: ["queue-wake"] }],
  main,
};

export default orderQueueWake;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world, { waitsOnce: true });
  world.guest(chain.ctx, () => guest(chain));
  yield* world.sleep(PAUSE_NS);
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* guest({ drive }: Chain): Co<void> {
  const buffer = qiovOf(hostAllocate(CLUSTER_BYTES));
  yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, buffer);
  yield* qemuCoSleepNs(1.5 * PAUSE_NS);
  yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, buffer);
}
