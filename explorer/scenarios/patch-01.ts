// What patch 1 is for: a wait that leaves the AioContext lock alone, for callers that do not hold it.
//
//      drive              a guest reads; the request is in `slow`
//        |
//       top   second      main, without the lock of io0:  blk_insert_bs(second, slow)
//        |    .             bdrv_root_attach_child: subtree drain of slow, which waits for the request
//      slow .                 patch 1 off: BDRV_POLL_WHILE releases the lock of io0 first, which main does not hold
//
// Off, the run ends where QEMU's mutex would report an error; on, main waits without touching the lock. It takes the lock regime
// aio: without AioContext locks there is nothing to release.

import { blkInsertBs, blkNew, blkUnref } from "#core/backend";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeSlowChain, holding, openSlowChain, whileReading } from "./slow-chain.ts";

const patch01: Scenario = {
  name: "patch-01",
  title: "A BlockBackend is given the lower node of a busy chain, without its lock (patch 1).",
  expected: [
    { finds: [] },
    { lock: "aio", finds: [] },
    {
      without: [1],
      lock: "aio",
      outcome: "assertion",
      finds: [{ rule: "modelled-assertion" }],
    },
  ],
  main,
};

export default patch01;

function* main(world: World): Polls<void> {
  const chain = yield* openSlowChain(world);
  const second = blkNew(chain.ctx, { name: "second" });
  yield* whileReading(world, chain, () => blkInsertBs(second, chain.slow));
  yield* world.joinGuests();
  yield* holding(chain.ctx, () => blkUnref(second));
  yield* closeSlowChain(world, chain);
}
