// What patch 7 is for: subtree drains for callers that do not hold the AioContext lock, such as blk_insert_bs.
//
//      drive   second     a guest reads at drive; the request is in `slow`
//        |    .
//       top .             main, without the lock of io0:  blk_insert_bs(second, top)
//        |  backing         bdrv_root_attach_child: subtree drain of top, which waits for the request
//      slow                   patch 7 off: bdrv_subtree_drained_begin releases the lock of io0, which main does not hold
//
// Off, the run ends where QEMU's mutex would report an error. On, the drain is bdrv_subtree_drained_begin_unlocked, which
// waits with the macro of patch 1. The price: a caller that does hold the lock must not come here (patch-07-held).

import { blkInsertBs, blkNew, blkUnref } from "#core/backend";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeSlowChain, holding, openSlowChain, whileReading } from "./slow-chain.ts";

const patch07: Scenario = {
  name: "patch-07",
  title: "A BlockBackend is given a busy node by a caller that does not hold its lock (patch 7).",
  expected: [
    { finds: [] },
    { lock: "aio", finds: [] },
    {
      without: [7],
      lock: "aio",
      outcome: "assertion",
      finds: [{ rule: "modelled-assertion" }],
    },
  ],
  main,
};

export default patch07;

function* main(world: World): Polls<void> {
  const chain = yield* openSlowChain(world);
  const second = blkNew(chain.ctx, { name: "second" });
  yield* whileReading(world, chain, () => blkInsertBs(second, chain.top));
  yield* world.joinGuests();
  yield* holding(chain.ctx, () => blkUnref(second));
  yield* closeSlowChain(world, chain);
}
