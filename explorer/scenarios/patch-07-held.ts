// The price of patch 7: a caller that holds the AioContext lock deadlocks in an unlocked drain.
//
//      drive  (io0)       a guest reads; the request is in `slow`
//        |
//       top               main, holding the lock of io0:  blk_insert_bs(second, top)
//        |  backing         bdrv_subtree_drained_begin_unlocked(top): waits for the request, and keeps the lock
//      slow               io0: cannot take its own lock to finish the request
//
// It deadlocks in QEMU too, which is why the series has the comment that the macro is for callers which surely do not hold the
// lock. With patch 1 or 7 off the wait gives the lock up, and all is well.

import { blkInsertBs, blkNew, blkUnref } from "#core/backend";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeSlowChain, holding, openSlowChain, whileReading } from "./slow-chain.ts";

const patch07Held: Scenario = {
  name: "patch-07-held",
  title: "A BlockBackend is given a busy node by a caller that holds its lock (against patch 7).",
  expected: [
    { finds: [] },
    { lock: "aio", outcome: "deadlock", finds: [{ rule: "deadlock" }] },
    { without: [7], lock: "aio", finds: [] },
    { without: [1], lock: "aio", finds: [] },
  ],
  main,
};

export default patch07Held;

function* main(world: World): Polls<void> {
  const chain = yield* openSlowChain(world);
  const second = blkNew(chain.ctx, { name: "second" });
  yield* whileReading(world, chain, () => holding(chain.ctx, () => blkInsertBs(second, chain.top)));
  yield* world.joinGuests();
  yield* holding(chain.ctx, () => blkUnref(second));
  yield* closeSlowChain(world, chain);
}
